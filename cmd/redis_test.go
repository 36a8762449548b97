package cmd_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/automation-infra/automation-infra/store/storetest"
)

// realRedis starts a real Redis with these settings, or skips the test.
func realRedis(t *testing.T, args ...string) *storetest.Redis {
	t.Helper()
	program := os.Getenv("TEST_REDIS")
	if program == "" {
		t.Skip("SKIPPED: needs a real Redis; `make test-redis` runs this")
	}
	return storetest.Real(t, program, args...)
}

// services starts an allocator with the example inventory and a keepalive service, and returns their base URLs.
func services(t *testing.T, redisAddr string) (a *program, allocator, keepalive string) {
	t.Helper()
	allocator, keepalive = storetest.FreeAddr(t), storetest.FreeAddr(t)
	a = start(t, "allocator", "ALLOCATOR_ADDR="+allocator, "INVENTORY=../config/inventory.example.yaml",
		"KEEPALIVE_URL=http://"+keepalive, "REDIS_ADDRS="+redisAddr)
	start(t, "keepalive", "KEEPALIVE_ADDR="+keepalive, "REDIS_ADDRS="+redisAddr)
	return a, "http://" + allocator, "http://" + keepalive
}

func TestServicesShareARealRedis(t *testing.T) {
	t.Parallel()
	r := realRedis(t)
	_, allocator, keepalive := services(t, r.Addr)
	get(t, allocator+"/readyz", http.StatusOK)
	get(t, keepalive+"/readyz", http.StatusOK)
	status, body := post(t, allocator+"/v1/leases", "")
	if status != http.StatusCreated || !strings.Contains(body, keepalive+"/v1/leases/") {
		t.Fatalf("allocate: %d %s", status, body)
	}
	granted, _ := values(body)[0].(map[string]any)
	devices, _ := granted["devices"].([]any)
	if len(devices) != 1 {
		t.Errorf("lease: %s", body)
	}
	if locks := r.Client.Keys(t.Context(), "lock:{default}:*").Val(); len(locks) != 1 {
		t.Errorf("locks: %v", locks)
	}
}

func TestRedisThatWouldDropLeases(t *testing.T) {
	t.Parallel()
	r := realRedis(t, "--maxmemory-policy", "volatile-lru")
	a, allocator, keepalive := services(t, r.Addr)
	a.said("not ready")
	if why := get(t, allocator+"/readyz", http.StatusServiceUnavailable); !strings.Contains(why, "CONFIG SET maxmemory-policy noeviction") {
		t.Errorf("readyz: %s", why)
	}
	get(t, keepalive+"/readyz", http.StatusOK) // refusing keepalives would lose leases
	if err := r.Client.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err(); err != nil {
		t.Fatal(err)
	}
	get(t, allocator+"/readyz", http.StatusOK)
	a.said("Redis has no append-only file: leases are lost when it restarts; set `appendonly yes`")
}

func TestServicesWaitForRedis(t *testing.T) {
	t.Parallel()
	a, allocator, keepalive := services(t, storetest.FreeAddr(t))
	a.said("not ready")
	for _, base := range []string{allocator, keepalive} {
		get(t, base+"/livez", http.StatusOK)
		get(t, base+"/readyz", http.StatusServiceUnavailable)
	}
	if status, body := post(t, allocator+"/v1/leases", ""); status != http.StatusServiceUnavailable || !strings.Contains(body, "store_unavailable") {
		t.Errorf("allocate: %d %s", status, body)
	}
}
