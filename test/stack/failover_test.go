package stack_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/client"
)

// failoverLimit is how long the death of the master may keep leases from being granted and kept alive.
const failoverLimit = 5 * time.Second

// testFailover kills the master while leases are granted and kept alive and its replicas are behind, and starts it again.
func testFailover(t *testing.T) {
	network := fmt.Sprintf("HA_NETWORK=172.30.%d", 100+os.Getpid()%100)
	l := newLab(t, "-ha", []string{"docker-compose.yml", "docker/docker-compose.ha.yml"}, network)
	start := time.Now()
	l.up(t)
	eventually(t, "a lease", func() error { return l.cycle(t.Context(), l.client) })
	t.Logf("serving %.1f s after up began", time.Since(start).Seconds())
	l.hold(t)
	l.replicated(t)
	g := l.granting(t)
	tr := begin(t, l.keepalive)
	tr.flow(t, 2*rate)
	master := l.only(t, "redis")
	behind := []string{l.only(t, "redis-2"), l.only(t, "redis-3")} // so that whoever is told of more than they have is told too much
	docker(t, append([]string{"pause"}, behind...)...)
	tr.flow(t, rate/4)
	start = time.Now()
	docker(t, "kill", master)
	killed := time.Now()
	docker(t, append([]string{"unpause"}, behind...)...)
	eventually(t, "a lease of the new master", func() error {
		if !g.any(func(got *client.Lease) bool { return got.Grant.After(killed) }) {
			return errors.New("none")
		}
		return nil
	})
	eventually(t, "a keepalive", func() error { return l.keepalive(t.Context(), 0) })
	back := time.Since(start)
	t.Logf("back %.1f s after the master died", back.Seconds())
	if back > failoverLimit {
		t.Errorf("back after %s, want %s", back, failoverLimit)
	}
	docker(t, "start", master)
	eventually(t, "the old master is a replica", func() error { return says(t, master, "role:slave", "redis-cli", "info", "replication") })
	tr.flow(t, 2*rate)
	g.stop()
	onlyOutages(t, tr.end(t))
	l.countLost(t, g)
	l.compose(t, "down", "-v")
}

// countLost counts what was lost with the master: of what a holder was told of, nothing may be.
func (l *lab) countLost(t *testing.T, g *grants) {
	t.Helper()
	told := slices.Concat(g.all, l.held)
	lost := l.lost(t, told)
	t.Logf("%d of %d leases lost with the master", lost, len(told))
	if lost > 0 {
		t.Errorf("%d leases lost", lost)
	}
}

// replicated waits until both replicas follow the master, and all Sentinels know everyone.
func (l *lab) replicated(t *testing.T) {
	t.Helper()
	redis := l.only(t, "redis")
	eventually(t, "two replicas", func() error { return says(t, redis, "connected_slaves:2", "redis-cli", "info", "replication") })
	for _, sentinel := range []string{"sentinel-1", "sentinel-2", "sentinel-3"} {
		container := l.only(t, sentinel)
		eventually(t, sentinel, func() error {
			return says(t, container, "status=ok,", "redis-cli", "-p", "26379", "info", "sentinel")
		})
		eventually(t, sentinel, func() error {
			return says(t, container, ",slaves=2,sentinels=3", "redis-cli", "-p", "26379", "info", "sentinel")
		})
	}
}

// says runs a command in a container, whose output must have these words.
func says(t *testing.T, container, words string, command ...string) error {
	t.Helper()
	out, err := try(t.Context(), nil, append([]string{"docker", "exec", container}, command...)...)
	if err == nil && !strings.Contains(out, words) {
		err = errors.New(out)
	}
	return err
}
