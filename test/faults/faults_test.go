// Package faults_test breaks whatever leases stand on, while real clients use them, and checks that what the clients were told is
// what a fenced mutex for each device could have said. `make test-faults` runs it: it needs redis-server, and a checkout that
// TEST_FAULTS names, of which it builds the services. The tests of the checker itself run everywhere.
//
// # How a history is made
//
// Clients ask for a device by its name, so that each operation is about one device and devices are checked one by one. Every
// request is one operation, sent once by net/http, with the times of its call and its return on one monotonic clock. An operation
// is definite (granted, renewed, released, refused, or the lease is gone), or its outcome is unknown: no answer, a broken one, 202,
// or any 503. A 503 is never taken for "nothing happened": store_unavailable may come from a Redis that runs the script later, and
// not_replicated is a grant that was taken back, which others saw meanwhile. A client repeats an allocation of unknown outcome with
// the same token; so does the checker's history put them together, and nothing in it stays open for ever.
//
// # What a holder is promised
//
// A lease is certain until the moment when its request was sent, and what the answer said remained, and the grace: guarantee 4 gives
// a holder with a slow clock the grace. It may be gone after that, not before.
//
// # What shows that a test can fail
//
// Each fault is also run against mutants: the same services without the mechanism that the fault is about, built with `go build
// -overlay`. The checker has to find each.
package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

// silence is where go-redis tells of each connection that fails: here most are meant to.
type silence struct{}

// Printf implements go-redis's logger.
func (silence) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redis.SetLogger(silence{})
	// A toxic of toxiproxy stays when what it sends to is gone, and so does what reads for it.
	goleak.VerifyTestMain(tests{m}, goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"))
}

// tests runs the tests, after which no goroutine may be left.
type tests struct{ m *testing.M }

func (t tests) Run() int {
	code := t.m.Run()
	http.DefaultClient.CloseIdleConnections()
	return code
}

// TestFaults runs every fault, each also against its mutants, and prints the figures.
func TestFaults(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	table := &table{}
	t.Run("faults", func(t *testing.T) {
		for _, f := range faults() {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				f.test(t, w, table)
			})
		}
	})
	fmt.Print(table)
	if got := table.total().operations; table.complete() && got < leastOperations {
		t.Errorf("%d operations were checked, want %d at least", got, leastOperations)
	}
}

// TestLimits shows what is not promised: what was lost is told, and no loss is a failure.
func TestLimits(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	table := &table{}
	t.Run("limits", func(t *testing.T) {
		for _, f := range limits() {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				table.add(f.name, f.run(t, w.original, f.setting))
			})
		}
	})
	fmt.Print(table)
}

// leastOperations is how many operations a whole run checks at the least, and leastEach how many each fault but that of the crashing
// clients has therefore.
const (
	leastOperations = 100_000
	leastEach       = 4_800
)

// checkout is where the services are built; the test is skipped without it, or without a Redis.
func checkout(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("TEST_FAULTS")
	if dir == "" {
		t.Skip("run by make test-faults")
	}
	if _, err := exec.LookPath(redisProgram); err != nil {
		t.Skip("SKIPPED without redis-server: the tests of faults")
	}
	return dir
}
