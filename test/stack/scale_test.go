package stack_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/client"
)

// renewals is the sample of the keepalives that a replica answered well.
const renewals = `lease_keepalives_total{result="ok"}`

func (l *lab) testScale(t *testing.T) {
	tr := begin(t, l.keepalive)
	tr.flow(t, 2*rate)
	l.up(t, "keepalive=3")
	l.allUsed(t, 3)
	l.compose(t, "scale", "keepalive=5")
	l.allUsed(t, 5)
	l.up(t, "keepalive=2")
	l.allUsed(t, 2)
	tr.flow(t, 2*rate)
	tr.endWithout(t)
}

// allUsed waits until there are so many replicas of keepalive, and each has answered requests since.
func (l *lab) allUsed(t *testing.T, replicas int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d replicas", replicas), func() error {
		if n := len(l.containers(t, "keepalive")); n != replicas {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	all := l.containers(t, "keepalive")
	before, answered := make([]float64, len(all)), make([]float64, len(all))
	for i, container := range all {
		before[i] = scraped(t, container, "7080", renewals)
	}
	eventually(t, "every replica is used", func() error {
		var unused error
		for i, container := range all {
			if answered[i] = scraped(t, container, "7080", renewals) - before[i]; answered[i] < 50 {
				unused = errors.Join(unused, fmt.Errorf("%s answered %.0f", container[:12], answered[i]))
			}
		}
		return unused
	})
	t.Logf("%d replicas: answered %v", replicas, answered)
}

func (l *lab) testKeepaliveEnds(t *testing.T) {
	l.up(t, "keepalive=3")
	l.allReady(t, 3)
	tr := begin(t, l.keepalive)
	tr.flow(t, rate)
	all := l.containers(t, "keepalive")
	docker(t, "stop", all[0]) // SIGTERM
	tr.flow(t, 2*rate)
	docker(t, "kill", all[1])
	tr.flow(t, 3*rate)
	tr.endWithout(t)
	l.up(t, "keepalive=2")
	l.allReady(t, 2)
}

// allReady waits until so many replicas of keepalive are ready.
func (l *lab) allReady(t *testing.T, replicas int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d replicas are ready", replicas), func() error {
		all := l.containers(t, "keepalive")
		if len(all) != replicas {
			return fmt.Errorf("%d run", len(all))
		}
		for _, container := range all {
			if _, err := try(t.Context(), nil, "docker", "exec", container, "keepalive", "healthcheck"); err != nil {
				return err
			}
		}
		return nil
	})
}

// testAllocatorKilled has many lease and release boards while an allocator dies. What it had granted and not told is asked for again
// with the same token, so that at the end nothing is leased but what is held.
func (l *lab) testAllocatorKilled(t *testing.T) {
	l.up(t, "keepalive=2", "allocator=2")
	var retries atomic.Int64
	c := l.stack.client(t, client.Options{OnRetry: func(error, time.Duration) { retries.Add(1) }})
	tr := begin(t, func(ctx context.Context, _ int) error { return l.cycle(ctx, c) })
	tr.flow(t, 2*rate)
	docker(t, "kill", l.containers(t, "allocator")[0])
	tr.flow(t, 3*rate)
	tr.endWithout(t)
	t.Logf("the client made %d requests again, the gateway others", retries.Load())
	if n := l.leased(t); n != holding {
		t.Errorf("%d boards are leased, want %d", n, holding)
	}
	l.up(t, "keepalive=2", "allocator=1")
}
