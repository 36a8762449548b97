package stack_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// grants is leases that are granted one after the other, and never released.
type grants struct {
	stop func()
	mu   sync.Mutex
	all  []*client.Lease
	when []time.Time // each was known
}

// granting leases boards until it is stopped. The client repeats what failed, with the same token.
func (l *lab) granting(t *testing.T) *grants {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	g, done := &grants{}, make(chan struct{})
	g.stop = func() { cancel(); <-done }
	go func() {
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for ; ; <-tick.C {
			got, err := l.client.Acquire(ctx, board(), client.Waiting{})
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				t.Errorf("allocate: %v", err)
				return
			}
			g.mu.Lock()
			g.all, g.when = append(g.all, got), append(g.when, time.Now())
			g.mu.Unlock()
		}
	}()
	return g
}

// before returns the leases that were known by a time.
func (g *grants) before(by time.Time) []*client.Lease {
	g.mu.Lock()
	defer g.mu.Unlock()
	var known []*client.Lease
	for i, at := range g.when {
		if at.Before(by) {
			known = append(known, g.all[i])
		}
	}
	return known
}

// onlyOutages checks that nothing was worse than an outage: nobody was told that a lease is over.
func onlyOutages(t *testing.T, failed []error) {
	t.Helper()
	for _, err := range failed {
		if !errors.Is(err, lease.ErrUnavailable) {
			t.Errorf("during the outage: %v", err)
			return
		}
	}
}

// testRedis restarts and kills Redis while leases are granted and kept alive.
func (l *lab) testRedis(t *testing.T) {
	redis := l.only(t, "redis")
	g := l.granting(t)
	tr := begin(t, l.keepalive)
	tr.flow(t, 2*rate)
	start := time.Now()
	docker(t, "restart", redis)
	tr.flow(t, 2*rate)
	t.Logf("restarted, and 2 s of keepalives went well, in %.1f s", time.Since(start).Seconds())
	start = time.Now()
	docker(t, "exec", redis, "sh", "-c", "kill -9 $(pidof redis-server)")
	tr.flow(t, 2*rate)
	t.Logf("killed, and 2 s of keepalives went well, in %.1f s", time.Since(start).Seconds())
	g.stop()
	onlyOutages(t, tr.end(t))
	granted := append(g.before(time.Now()), l.held...)
	lost := l.lost(t, granted)
	t.Logf("%d of %d leases lost", lost, len(granted))
	if lost > 0 {
		t.Errorf("%d leases lost", lost)
	}
	for _, got := range g.all {
		if err := l.client.Release(t.Context(), got); err != nil {
			t.Fatal(err)
		}
	}
}

// any reports whether one of the leases is such.
func (g *grants) any(such func(*client.Lease) bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.all, such)
}
