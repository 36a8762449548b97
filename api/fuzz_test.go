package api_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/automation-infra/automation-infra/api"
	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// fuzzedAllocator is an allocator of a lab without devices, over an embedded Redis.
func fuzzedAllocator(f *testing.F) http.Handler {
	empty := lease.NewInventory([]lease.Pool{{Name: lease.DefaultPool, TTL: ttl, MaxHold: maxHold}})
	return api.NewAllocator(api.AllocatorOptions{
		Options:   api.Options{Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Health: ready()},
		Store:     store.New(storetest.Embedded(f).Client, store.Options{Timeout: 30 * time.Second}),
		Inventory: func() *lease.Inventory { return empty }, RetryAfter: time.Second,
	})
}

// answered holds that a request gets none of our own errors and no lease.
func answered(t *testing.T, h http.Handler, r *http.Request, allowed ...int) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	for _, status := range allowed {
		if w.Code == status {
			return
		}
	}
	t.Errorf("%s %s: status %d: %s", r.Method, r.URL, w.Code, w.Body)
}

func FuzzAllocate(f *testing.F) {
	for _, seed := range []string{`{}`, `{"pool":"default","selector":"a in (b)"}`, `{"ttl_seconds":1e3}`, "\xff", `{"a":{"b":[null]}}`, ``, `{"devices":[{"count":2,"as":"a"},{}],"priority":0}`} {
		f.Add(seed, strings.Repeat("t", 32), "application/json", "10m")
	}
	h := fuzzedAllocator(f)
	f.Fuzz(func(t *testing.T, body, token, contentType, wait string) {
		r := httptest.NewRequest("POST", "/v1/leases?"+url.Values{"wait": {wait}}.Encode(), strings.NewReader(body))
		r.Header["Lease-Token"], r.Header["Content-Type"] = []string{token}, []string{contentType}
		answered(t, h, r, 400, 413, 415, 422)
	})
}

func FuzzList(f *testing.F) {
	f.Add("ZGVmYXVsdAo", "active", "model=rpi4", "default")
	f.Add("ZGVmYXVsdAoxLzI", "released", "", "")
	h := fuzzedAllocator(f)
	f.Fuzz(func(t *testing.T, pageToken, state, selector, pool string) {
		query := url.Values{"page_token": {pageToken}, "state": {state}, "selector": {selector}, "pool": {pool}}.Encode()
		answered(t, h, httptest.NewRequest("GET", "/v1/leases?"+query, nil), 200, 422)
		answered(t, h, httptest.NewRequest("GET", "/v1/devices?"+query, nil), 200, 422)
	})
}

func FuzzLeaseID(f *testing.F) {
	f.Add("default-q7f6x7xlybpxyvfmsm3mjnf35s", "correct-horse-battery-staple")
	h := fuzzedAllocator(f)
	f.Fuzz(func(t *testing.T, id, token string) {
		r := httptest.NewRequest("DELETE", "/v1/leases/x", nil)
		r.URL.Path, r.Header["Lease-Token"] = "/v1/leases/"+id, []string{token}
		answered(t, h, r, 403, 404, 405, 422, 301, 307)
	})
}
