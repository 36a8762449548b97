package store_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// replica is a store of its own, as another process has it, with what it logs and counts.
type replica struct {
	*store.Store
	log      bytes.Buffer
	registry *prometheus.Registry
}

// newReplica is one with the grace of allocators, or 0 as a keepalive service has none.
func newReplica(c redis.UniversalClient, grace time.Duration) *replica {
	r := &replica{registry: prometheus.NewRegistry()}
	r.Store = store.New(c, store.Options{
		Grace: grace, Timeout: 20 * time.Second, Registerer: r.registry, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
	})
	return r
}

// look has a replica look whether Redis has what it had.
func (r *replica) look(t testing.TB) {
	t.Helper()
	if err := r.Look(t.Context()); err != nil {
		t.Fatalf("look: %v", err)
	}
}

// value is a metric of the replica.
func (r *replica) value(t testing.TB, name string) float64 {
	t.Helper()
	m := metrics(t, r.registry)[name]
	return m.GetGauge().GetValue() + m.GetCounter().GetValue()
}

// lose empties Redis, some time after what was there began.
func (l *lab) lose(t testing.TB) {
	t.Helper()
	l.Advance(time.Second)
	if err := l.Client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatalf("flush: %v", err)
	}
	l.Advance(time.Second)
}

// paused fails unless nothing is granted for about that long.
func (l *lab) paused(t testing.TB, want time.Duration) {
	t.Helper()
	_, _, err := l.Allocate(t.Context(), l.want(t, lease.Request{}))
	if e := coded(t, err, lease.CodeUnavailable); !l.about(e.RetryAfter, want) || !strings.Contains(e.Message, "from before") {
		t.Fatalf("refused for %s, want %s: %s", e.RetryAfter, want, e.Message)
	}
}

// Redis comes back empty, and all that knew the pool but one keepalive service are gone: that is enough for no device to be granted
// while a holder from before may use it, whoever tells Redis of the devices again. Then grants go on, first to those in line.
func TestStoreLost(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		held := l.take(t, "a").ID
		witness := newReplica(r.Client, 0)
		if _, err := witness.Keepalive(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		witness.look(t)
		l.lose(t)

		l.Store = store.New(r.Client, store.Options{Grace: grace, Timeout: 20 * time.Second})
		l.reconcile(t, device("a", ""))
		witness.look(t)
		l.paused(t, ttl+grace)
		_, err := witness.Keepalive(t.Context(), held)
		if at := wantEnded(t, err, lease.ReasonStoreLost); time.Since(at).Abs() > time.Hour {
			t.Errorf("ended at %s", at)
		}
		wantCode(t, l.Release(t.Context(), held), lease.CodeNotFound)                                  // a grant of this token may still be on its way
		if until := witness.Pauses()[pool]; (time.Until(until) - ttl - grace).Abs() > 20*time.Second { // our clock runs
			t.Errorf("told to be paused until %s", until)
		}
		if left := witness.value(t, "lease_grants_paused_seconds{pool=default}"); !l.about(time.Duration(left)*time.Second, ttl+grace) {
			t.Errorf("paused for %v s", left)
		}
		if n := witness.value(t, "lease_store_losses_total{pool=default}"); n != 1 || strings.Count(witness.log.String(), "without its state") != 1 {
			t.Errorf("%v losses counted, logged: %s", n, &witness.log)
		}

		ticket := l.want(t, lease.Request{})
		ticket.Wait, ticket.Queueing.AskWithin = true, time.Hour
		if got, _, err := l.Allocate(t.Context(), ticket); err != nil || got.State != lease.StatePending {
			t.Fatalf("in line: %+v, %v", got, err)
		}
		r.Advance(ttl + grace - l.moment())
		l.reap(t)
		if got, err := l.Poll(t.Context(), ticket.ID); err != nil || got.State != lease.StatePending {
			t.Fatalf("granted before the end: %+v, %v", got, err)
		}
		r.Advance(2 * l.moment())
		l.reap(t)
		l.wantHolds(t, ticket.ID, "a")
		witness.look(t)
		if left := witness.value(t, "lease_grants_paused_seconds{pool=default}"); left != 0 || len(witness.Pauses()) != 0 {
			t.Errorf("paused for %v s", left)
		}
		r.Advance(retention)
		_, err = witness.Keepalive(t.Context(), held)
		wantCode(t, err, lease.CodeNotFound)
	})
}

// The pause is as long as the longest TTL that any holder was told, by whichever replica, unless that is long over.
func TestPauseIsTheLongestTTL(t *testing.T) {
	const long = 3 * ttl
	for _, c := range []struct {
		name  string
		after time.Duration // the holder is told of the lease
		want  time.Duration
	}{{"just now", time.Second, long}, {"a while ago", 2 * ttl, long}, {"long ago", long + 2*grace, ttl}} {
		t.Run(c.name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
				l := newLab(t, r, device("a", ""))
				witness, other := newReplica(r.Client, 0), newReplica(r.Client, grace)
				if err := other.Reconcile(t.Context(), l.inventory.Pool(pool)); err != nil {
					t.Fatal(err)
				}
				id := l.grant(t, lease.Request{TTL: long}).ID
				if _, err := witness.Keepalive(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				witness.look(t)
				r.Advance(c.after)
				other.look(t) // it was told nothing of this lease, but by Redis
				l.lose(t)
				other.look(t)
				l.Store = other.Store
				l.paused(t, c.want+grace)
			})
		})
	}
}

// Whoever comes to a Redis that others use, or starts again, or is the first of all, pauses nothing.
func TestNothingIsLost(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, plain(3)...)
		first, second := newReplica(r.Client, grace), newReplica(r.Client, 0)
		if err := first.Reconcile(t.Context(), l.inventory.Pool(pool)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := second.Keepalive(t.Context(), l.grant(t, lease.Request{}).ID); err != nil {
				t.Fatal(err)
			}
			r.Advance(time.Second)
			first.look(t)
			second.look(t)
		}
		if first.log.Len()+second.log.Len() != 0 || len(first.Pauses())+len(second.Pauses()) != 0 {
			t.Errorf("logged: %s%s", &first.log, &second.log)
		}
		_, err := second.Keepalive(t.Context(), lease.NewToken().ID(pool))
		wantCode(t, err, lease.CodeNotFound)
	})
}

// A replica that was cut off for so long that whatever Redis lost is over pauses nothing, but says so.
func TestLossThatIsOver(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		away := newReplica(r.Client, grace)
		if err := away.Reconcile(t.Context(), l.inventory.Pool(pool)); err != nil {
			t.Fatal(err)
		}
		since := l.now(t).Add(-2 * time.Hour).UnixMilli()
		l.do(t, "hset", "epoch:{default}", "since_ms", since)
		away.look(t)
		if _, lost := l.dump(t).keys["lost:{default}"]; lost || len(away.Pauses()) != 0 || !strings.Contains(away.log.String(), "without its state") {
			t.Errorf("the loss is known: %v, paused %v, logged: %s", lost, away.Pauses(), &away.log)
		}
		l.take(t, "a")
	})
}

// An operator who knows better ends the pause, and no replica begins it again.
func TestPauseLifted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		l.lose(t)
		l.reconcile(t, device("a", ""))
		l.paused(t, ttl+grace)
		l.do(t, "del", "paused:{default}")
		if err := l.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.reconcile(t, device("a", ""))
		l.take(t, "a")
	})
}

// now is the time of Redis.
func (l *lab) now(t testing.TB) time.Time {
	t.Helper()
	now, err := l.Client.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// Redis's clock goes back while leases are held. However many they are, none keeps a device longer in silence than it may, nor past
// its longest hold from now.
func TestClockSetBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		const n = 50
		l := newLab(t, r, plain(n)...)
		var ids []lease.ID
		for range n {
			ids = append(ids, l.grant(t, lease.Request{}).ID)
		}
		r.Advance(-6 * time.Hour)
		l.reap(t)
		d := l.dump(t)
		for device, lock := range d.each("lock") {
			if lock.left > ttl+grace {
				t.Fatalf("the lock of %s lives %s", device, lock.left)
			}
		}
		checkSettled(t, d, l.Slack, nil)
		renewed := l.renew(t, ids[0])
		if !l.about(renewed.Deadline.Sub(renewed.Now), hold) {
			t.Errorf("the deadline is in %s", renewed.Deadline.Sub(renewed.Now))
		}
		r.Advance(ttl + grace + l.moment())
		l.reap(t)
		if left := l.dump(t).locks(); len(left) != 0 {
			t.Errorf("%d devices are leased, want none", len(left))
		}
	})
}

// A jump of Redis's clock is told and counted, whatever calls take; nothing else is.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name              string
		jump              time.Duration
		forward, backward float64
	}{{"none", 0, 0, 0}, {"a little", 900 * time.Millisecond, 0, 0}, {"forward", 10 * time.Second, 1, 0}, {"backward", -10 * time.Second, 0, 1}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := miniredis.NewMiniRedis()
				defer m.Close()
				client := redis.NewClient(&redis.Options{
					Addr: "127.0.0.1:0", MaxRetries: -1, ContextTimeoutEnabled: true, ReadTimeout: -1, // a name would be looked up, outside the bubble
					Dialer: func(context.Context, string, string) (net.Conn, error) { return m.Dial() },
				})
				defer func() { _ = client.Close() }()
				slow := &slowHook{}
				client.AddHook(slow)
				s := newReplica(client, grace)
				if err := s.Reconcile(t.Context(), inventoryOf(plain(1)...).Pool(pool)); err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				go s.Guard(ctx)
				pass(time.Minute)
				for _, by := range []time.Duration{0, 3 * time.Second, 0, time.Second, 0} {
					slow.by.Store(int64(by))
					pass(10 * time.Second)
				}
				m.SetTime(time.Now().Add(c.jump)) // and there it stands still
				pass(1100 * time.Millisecond)
				stop()
				synctest.Wait()
				forward := s.value(t, "lease_store_clock_jumps_total{direction=forward}")
				backward := s.value(t, "lease_store_clock_jumps_total{direction=backward}")
				if lines := strings.Count(s.log.String(), "clock jumped"); forward != c.forward || backward != c.backward || float64(lines) != forward+backward {
					t.Errorf("%v forward, %v backward; logged: %s", forward, backward, &s.log)
				}
			})
		})
	}
}

// slowHook delays what Redis answers.
type slowHook struct{ by atomic.Int64 }

// DialHook, ProcessHook and ProcessPipelineHook make it a hook of go-redis.
func (*slowHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *slowHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		<-time.After(time.Duration(h.by.Load()))
		return err
	}
}

func (*slowHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
