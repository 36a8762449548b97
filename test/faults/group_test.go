package faults_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/store/storetest"
)

// masterName is the group's name among the Sentinels.
const masterName = "lab"

// group is a Redis with two replicas and three Sentinels. All of them, and the services, reach the first master by a wire.
type group struct {
	first     string // the address of the first master, as all know it
	master    *server
	replicas  []*server
	sentinels []*sentinel
}

// sentinel is one Sentinel.
type sentinel struct {
	*process
	addr string
	ask  *redis.SentinelClient
}

func newGroup(t *testing.T, master *server, first, fsync string) *group {
	t.Helper()
	g := &group{first: first, master: master}
	host, port, _ := net.SplitHostPort(first)
	for range 2 {
		g.replicas = append(g.replicas, newServer(t, fsync, "--replicaof", host+" "+port))
	}
	until(t, "both replicas follow", func(ctx context.Context) bool { return master.info(ctx, "replication", "connected_slaves") == "2" })
	for range 3 {
		g.sentinels = append(g.sentinels, newSentinel(t, host, port))
	}
	for _, s := range g.sentinels {
		until(t, "the Sentinels know all", func(ctx context.Context) bool {
			known, err := s.ask.Master(ctx, masterName).Result()
			return err == nil && known["num-slaves"] == "2" && known["num-other-sentinels"] == "2" && known["flags"] == "master"
		})
	}
	return g
}

func newSentinel(t *testing.T, host, port string) *sentinel {
	t.Helper()
	for range attempts {
		s := &sentinel{addr: storetest.FreeAddr(t)}
		dir := folder(t)
		_, own, _ := net.SplitHostPort(s.addr)
		lines := []string{
			"port " + own, "bind 127.0.0.1", "dir " + dir,
			fmt.Sprintf("sentinel monitor %s %s %s 2", masterName, host, port),
			"sentinel down-after-milliseconds " + masterName + " 1000",
			"sentinel failover-timeout " + masterName + " 3000",
		}
		file := filepath.Join(dir, "sentinel.conf")
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.process = newProcess(t, dir, redisProgram, nil, file, "--sentinel")
		s.ask = redis.NewSentinelClient(&redis.Options{Addr: s.addr, MaxRetries: -1})
		t.Cleanup(func() { _ = s.ask.Close() })
		s.start(t)
		if s.serves(t, func(ctx context.Context) bool { return s.ask.Ping(ctx).Err() == nil }) {
			return s
		}
	}
	t.Fatal("a Sentinel does not start")
	return nil
}

// env has a service ask the Sentinels.
func (g *group) env() []string {
	var addrs []string
	for _, s := range g.sentinels {
		addrs = append(addrs, s.addr)
	}
	return []string{"REDIS_ADDRS=" + strings.Join(addrs, ","), "REDIS_MASTER_NAME=" + masterName}
}

// failedOver waits until all Sentinels know the same new master, and it knows too.
func (g *group) failedOver(t *testing.T) {
	t.Helper()
	until(t, "another is the master", func(ctx context.Context) bool {
		var addr string
		for i, s := range g.sentinels {
			known, err := s.ask.GetMasterAddrByName(ctx, masterName).Result()
			if err != nil || len(known) != 2 {
				return false
			}
			now := net.JoinHostPort(known[0], known[1])
			if now == g.first || (i > 0 && now != addr) {
				return false
			}
			addr = now
		}
		return slices.ContainsFunc(g.replicas, func(r *server) bool {
			return r.addr == addr && r.info(ctx, "replication", "role") == "master"
		})
	})
}

// demoted waits until the first master is a replica.
func (g *group) demoted(t *testing.T) {
	t.Helper()
	until(t, "the old master is a replica", func(ctx context.Context) bool { return g.master.info(ctx, "replication", "role") == "slave" })
}

// planned has the Sentinels make another the master, though nothing is wrong.
func (g *group) planned(t *testing.T) {
	t.Helper()
	if err := g.sentinels[0].ask.Failover(t.Context(), masterName).Err(); err != nil {
		t.Errorf("SENTINEL FAILOVER: %v", err)
	}
	g.failedOver(t)
}

// inStep waits until the replicas have all that the master has.
func (g *group) inStep(t *testing.T) {
	t.Helper()
	until(t, "the replicas have all", func(ctx context.Context) bool {
		offset := g.master.info(ctx, "replication", "master_repl_offset")
		for _, r := range g.replicas {
			if offset == "" || r.info(ctx, "replication", "slave_repl_offset") != offset {
				return false
			}
		}
		return true
	})
}
