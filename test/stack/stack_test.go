// Package stack_test runs the Compose stack as a lab does, and breaks it. `make test-stack` runs it: it needs a Docker engine, and a
// copy of the checkout that TEST_STACK names.
package stack_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestStack(t *testing.T) {
	if os.Getenv("TEST_STACK") == "" {
		t.Skip("run by make test-stack")
	}
	t.Run("files", testFiles)
	l := newLab(t, "", nil)
	start := time.Now()
	l.compose(t, "build")
	t.Logf("%.0f s to build the images", time.Since(start).Seconds())
	t.Run("images are small", testImages)
	if !t.Run("cold start", l.testColdStart) {
		t.FailNow()
	}
	t.Run("settings are secret", l.testSettings)
	t.Run("containers may do little", l.testContained)
	l.hold(t)
	waited := l.waitInLine(t)
	t.Run("keepalive scales under load", l.testScale)
	t.Run("keepalive replicas end under load", l.testKeepaliveEnds)
	t.Run("gateway", l.testGateway)
	t.Run("long wait", func(t *testing.T) { testLongWait(t, waited) })
	t.Run("waiting client goes away", l.testAbandonedWait)
	t.Run("allocator is killed", l.testAllocatorKilled)
	t.Run("inventory is edited", l.testInventory)
	t.Run("Redis restarts and is killed", l.testRedis)
	t.Run("Prometheus has all targets", l.testTargets)
	t.Run("dashboard has data", l.testDashboard)
	t.Run("outages are problems", l.testOutages)
	t.Run("TLS", l.testTLS)
	t.Run("logs are JSON", l.testLogs)
	l.compose(t, "down", "-v")
	t.Run("without settings", testWithoutSettings)
	t.Run("master is killed", testFailover)
}

// testColdStart measures how long it takes from nothing to the first lease.
func (l *lab) testColdStart(t *testing.T) {
	start := time.Now()
	l.up(t)
	created := time.Since(start)
	eventually(t, "a lease", func() error { return l.cycle(t.Context(), l.client) })
	t.Logf("serving %.1f s after up began, %.1f s of which Compose took to create the containers", time.Since(start).Seconds(), created.Seconds())
	eventually(t, "all are healthy", func() error {
		if state := docker(t, "ps", "--filter", "label=com.docker.compose.project="+l.project, "--format", "{{.Names}} {{.Status}}"); strings.Contains(state, "starting") || strings.Contains(state, "unhealthy") {
			return fmt.Errorf("%s", state)
		}
		return nil
	})
}

// testWithoutSettings brings up a clean checkout, of which nobody has made a .env.
func testWithoutSettings(t *testing.T) {
	dir := os.Getenv("TEST_STACK")
	for _, made := range []string{".env", "devices.env"} {
		if err := os.Remove(dir + "/" + made); err != nil {
			t.Fatal(err)
		}
	}
	s := newStack(t, "-plain")
	start := time.Now()
	s.up(t)
	eventually(t, "a lease", func() error { return post(t, s.url+"/v1/leases", http.StatusCreated) })
	t.Logf("serving %.1f s after up began", time.Since(start).Seconds())
	s.compose(t, "down", "-v")
}
