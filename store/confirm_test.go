package store_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// replicated is a lab whose leases one replica is to confirm.
type replicated struct {
	*lab
	replica *storetest.Redis
}

// newReplicated starts a master and a replica, and waits until they are in step.
func newReplicated(t *testing.T) *replicated {
	t.Helper()
	t.Parallel()
	program := os.Getenv("TEST_REDIS")
	if program == "" {
		t.Skip("SKIPPED without TEST_REDIS: replicas are those of a real Redis")
	}
	master := storetest.Real(t, program, "--repl-diskless-sync-delay", "0")
	host, port, _ := strings.Cut(master.Addr, ":")
	r := &replicated{replica: storetest.Real(t, program, "--replicaof", host+" "+port)}
	inStep(t, master)
	r.lab = newLab(t, master, device("a", ""))
	r.Store = store.New(master.Client, store.Options{Grace: grace, Confirm: 1})
	return r
}

// wait waits until something holds.
func wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !holds() {
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatal("it did not come to pass that " + what)
		}
	}
}

// inStep waits until a master has a replica that confirms what is written.
func inStep(t *testing.T, master *storetest.Redis) {
	t.Helper()
	wait(t, "the replica is in step", func() bool {
		p := master.Client.Pipeline()
		p.Set(t.Context(), "{"+pool+"}", "", time.Millisecond)
		have := p.Do(t.Context(), "WAIT", 1, 100)
		_, _ = p.Exec(t.Context())
		n, _ := have.Int()
		return n == 1
	})
}

// hang stops the replica until the end of the test or the call of wake.
func (r *replicated) hang(t *testing.T) (wake func()) {
	t.Helper()
	info, err := r.replica.Client.InfoMap(t.Context(), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(info["Server"]["process_id"])
	if err != nil {
		t.Fatal(err)
	}
	send := func(s syscall.Signal) {
		if err := syscall.Kill(pid, s); err != nil {
			t.Fatal(err)
		}
	}
	send(syscall.SIGSTOP)
	t.Cleanup(func() { send(syscall.SIGCONT) })
	return func() { send(syscall.SIGCONT) }
}

// What a holder was told of is on the replica, at that moment.
func TestConfirmedGrantIsReplicated(t *testing.T) {
	r := newReplicated(t)
	g := r.want(t, lease.Request{})
	for _, when := range []string{"granted", "asked for again"} {
		if _, _, err := r.Allocate(t.Context(), g); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if id := r.replica.Client.Get(t.Context(), "lock:{"+pool+"}:a").Val(); id != g.ID.String() {
			t.Errorf("%s: the replica's lock is %q, want %s", when, id, g.ID)
		}
	}
	got := r.renew(t, g.ID)
	if got.Replicated == nil || !*got.Replicated {
		t.Errorf("the keepalive says replicated: %v, want true", got.Replicated)
	}
}

// Without confirmation nothing is said of replicas.
func TestUnconfirmedKeepaliveSaysNothingOfReplicas(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		if got := l.renew(t, l.take(t, "a").ID); got.Replicated != nil {
			t.Errorf("replicated: %v, want nil", *got.Replicated)
		}
	})
}

// A grant that the replica does not have is taken back, and its token may be used again.
func TestUnreplicatedGrantIsTakenBack(t *testing.T) {
	r := newReplicated(t)
	wake := r.hang(t)
	g := r.want(t, lease.Request{})
	for range 3 {
		_, _, err := r.Allocate(t.Context(), g)
		wantCode(t, err, lease.CodeNotReplicated)
		r.wantStates(t, map[string]lease.DeviceState{"a": lease.DeviceFree})
	}
	wake()
	wait(t, "the grant is confirmed", func() bool {
		_, _, err := r.Allocate(t.Context(), g) // the first may have been kept, when it could not be taken back
		return err == nil
	})
}

// A lease that was confirmed before is not taken back, but nobody is told of it while that is in doubt. A keepalive goes
// through, and promises no more than the replica has.
func TestUnreplicatedKeepalivePromisesNoMore(t *testing.T) {
	r := newReplicated(t)
	g := r.want(t, lease.Request{})
	l, _, err := r.Allocate(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	promised := r.unreplicated(t, g, l.Expire)
	if again := r.unreplicated(t, g, promised); !again.After(l.Expire) {
		t.Errorf("after a confirmed keepalive the promise is %s, as when it was granted", again)
	}
}

// unreplicated has the replica hang, and checks that promises stand at a time; then that they go on, and returns until when.
func (r *replicated) unreplicated(t *testing.T, g lease.Grant, promised time.Time) time.Time {
	t.Helper()
	wake := r.hang(t)
	for range 3 {
		got := r.renew(t, g.ID)
		if got.Replicated == nil || *got.Replicated || !got.Expire.Equal(promised) {
			t.Errorf("replicated %v until %s, want false until %s", got.Replicated, got.Expire, promised)
		}
	}
	_, _, err := r.Allocate(t.Context(), g)
	wantCode(t, err, lease.CodeNotReplicated)
	_, err = r.Poll(t.Context(), g.ID)
	wantCode(t, err, lease.CodeNotReplicated)
	if l := r.read(t, g.ID); l.State != lease.StateActive {
		t.Errorf("the lease is %s, want active", l.State)
	}
	wake()
	var got lease.Renewal
	wait(t, "a keepalive is confirmed", func() bool {
		got = r.renew(t, g.ID)
		return *got.Replicated
	})
	if !got.Expire.After(promised) {
		t.Errorf("confirmed until %s, after %s", got.Expire, promised)
	}
	return got.Expire
}

// Who waits in line is told of the lease once it is confirmed, though it was granted when it could not be.
func TestGrantFromTheLineIsConfirmed(t *testing.T) {
	r := newReplicated(t)
	holder := r.take(t, "a").ID
	g := r.want(t, lease.Request{})
	g.Wait = true
	if l, _, err := r.Allocate(t.Context(), g); err != nil || l.State != lease.StatePending {
		t.Fatalf("%+v, %v", l, err)
	}
	wake := r.hang(t)
	if err := r.Release(t.Context(), holder); err != nil {
		t.Fatal(err)
	}
	_, err := r.Poll(t.Context(), g.ID)
	wantCode(t, err, lease.CodeNotReplicated)
	wake()
	wait(t, "the lease is confirmed", func() bool {
		l, err := r.Poll(t.Context(), g.ID)
		return err == nil && l.State == lease.StateActive
	})
}

// A master that no replica follows may have been replaced by one that granted a lease since: that it knows of none is no answer.
func TestUnreplicatedDenialIsNotBelieved(t *testing.T) {
	r := newReplicated(t)
	released := r.take(t, "a").ID
	if err := r.Release(t.Context(), released); err != nil {
		t.Fatal(err)
	}
	wake := r.hang(t)
	for _, id := range []lease.ID{released, lease.NewToken().ID(pool)} {
		_, err := r.Keepalive(t.Context(), id)
		wantCode(t, err, lease.CodeNotReplicated)
		_, err = r.Poll(t.Context(), lease.NewToken().ID(pool))
		wantCode(t, err, lease.CodeNotReplicated)
	}
	wake()
	wait(t, "it is believed", func() bool {
		_, err := r.Keepalive(t.Context(), released)
		return errors.Is(err, lease.ErrEnded)
	})
}

// In a Redis Cluster the replicas are those of the master that has the pool.
func TestConfirmedGrantInACluster(t *testing.T) {
	r := newReplicatedCluster(t)
	wake := r.hang(t)
	_, _, err := r.Allocate(t.Context(), r.want(t, lease.Request{}))
	wantCode(t, err, lease.CodeNotReplicated)
	wake()
	g := r.want(t, lease.Request{})
	wait(t, "the grant is confirmed", func() bool {
		_, _, err := r.Allocate(t.Context(), g) // the first may have been kept, when it could not be taken back
		return err == nil
	})
	if got := r.renew(t, g.ID); !*got.Replicated {
		t.Error("the keepalive is not replicated")
	}
}

// newReplicatedCluster starts a Cluster of a master that has the slot of the pool, its replica, and another master, which the client
// is told of.
func newReplicatedCluster(t *testing.T) *replicated {
	t.Helper()
	t.Parallel()
	program := os.Getenv("TEST_REDIS")
	if program == "" {
		t.Skip("SKIPPED without TEST_REDIS: a Cluster is made of real Redis servers")
	}
	node := func() *storetest.Redis {
		return storetest.Real(t, program, "--cluster-enabled", "yes", "--repl-diskless-sync-delay", "0")
	}
	other, master, replica := node(), node(), node()
	do := func(n *storetest.Redis, args ...any) string {
		t.Helper()
		answer, err := n.Client.(*redis.Client).Do(t.Context(), args...).Text()
		if err != nil {
			t.Fatal(args, err)
		}
		return answer
	}
	slot := master.Client.ClusterKeySlot(t.Context(), "{"+pool+"}").Val()
	do(master, "cluster", "addslots", slot)
	for from, to := range map[int64]int64{0: slot - 1, slot + 1: 16383} {
		do(other, "cluster", "addslotsrange", from, to)
	}
	for _, n := range []*storetest.Redis{other, replica} {
		host, port, _ := strings.Cut(n.Addr, ":")
		do(master, "cluster", "meet", host, port)
	}
	id := do(master, "cluster", "myid")
	wait(t, "the replica knows its master", func() bool {
		return strings.Contains(do(replica, "cluster", "nodes"), id)
	})
	do(replica, "cluster", "replicate", id)
	for _, n := range []*storetest.Redis{other, master, replica} {
		wait(t, "the Cluster serves", func() bool {
			return strings.Contains(do(n, "cluster", "info"), "cluster_state:ok") && strings.Contains(do(n, "cluster", "nodes"), "slave "+id)
		})
	}
	inStep(t, master)
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{other.Addr}, MaxRedirects: 3, ContextTimeoutEnabled: true, ReadTimeout: -1, WriteTimeout: -1})
	t.Cleanup(func() { _ = cluster.Close() })
	master.Client = cluster
	r := &replicated{lab: newLab(t, master, device("a", "")), replica: replica}
	r.Store = store.New(cluster, store.Options{Grace: grace, Confirm: 1})
	return r
}
