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
	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// reaped is a pool that a Reaper keeps in order. It lives in a bubble of synctest, where time passes as soon as everybody
// waits for it.
type reaped struct {
	*lab
	redis     *miniredis.Miniredis
	inventory atomic.Pointer[lease.Inventory]
	changed   chan struct{}
	log       bytes.Buffer
}

// reap runs a test in a bubble, with a Reaper over devices.
func withReaper(t *testing.T, devices []lease.Device, test func(t *testing.T, r *reaped)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &reaped{redis: miniredis.NewMiniRedis(), changed: make(chan struct{})}
		defer r.redis.Close()
		r.redis.ClockTTL(true)
		c := redis.NewClient(&redis.Options{
			Addr: "127.0.0.1:0", MaxRetries: -1, // a name would be looked up, outside the bubble
			Dialer: func(context.Context, string, string) (net.Conn, error) { return r.redis.Dial() },
		})
		defer func() { _ = c.Close() }()
		r.lab = newLab(t, &storetest.Redis{Client: c, Slack: 2 * time.Second}, devices...)
		r.inventory.Store(r.lab.inventory)

		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		reaper := r.NewReaper(r.inventory.Load, slog.New(slog.NewTextHandler(&r.log, nil)))
		if err := reaper.Reconcile(ctx); err != nil {
			t.Fatal(err)
		}
		go reaper.Run(ctx, r.changed)
		test(t, r)
	})
}

// pass lets time pass, and the Reaper do what it does then.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// A lease that runs out is noticed within moments though nobody allocates: its device is listed as free, its end is in the
// history.
func TestReaperEndsLeases(t *testing.T) {
	withReaper(t, plain(1), func(t *testing.T, r *reaped) {
		id := r.grant(t, lease.Request{}).ID
		pass(ttl + grace + 2*time.Second)
		if got := r.events(t, "expired"); len(got) != 1 || got[0]["lease"] != id.String() {
			t.Errorf("expired events %v, want one of %s", got, id)
		}
		checkSettled(t, r.dump(t), r.Slack, nil)
	})
}

// Who waits gets a device within 100 ms of when its lease ends, also if nobody waited when the Reaper looked last.
func TestReaperHandsOn(t *testing.T) {
	for name, early := range map[string]time.Duration{"waits for long": ttl, "has just come": 150 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			withReaper(t, plain(1), func(t *testing.T, r *reaped) {
				pass(330 * time.Millisecond) // the Reaper looks on the second
				r.grant(t, lease.Request{})
				pass(ttl + grace - early)
				g := r.want(t, lease.Request{})
				g.Wait, g.Queueing.AskWithin = true, time.Hour
				waiting, _, err := r.Allocate(t.Context(), g)
				if err != nil || waiting.State != lease.StatePending {
					t.Fatalf("%+v, %v", waiting, err)
				}
				pass(early - time.Millisecond)
				if got := r.read(t, g.ID); got.State != lease.StatePending {
					t.Fatalf("granted before the end: %+v", got)
				}
				pass(100 * time.Millisecond)
				r.wantHolds(t, g.ID, "d000")
			})
		})
	}
}

// What an operator or a mishap left wrong is put right within half a minute, without anyone asking.
func TestReaperReconciles(t *testing.T) {
	withReaper(t, plain(2), func(t *testing.T, r *reaped) {
		r.take(t, "d000")
		r.remove(t, "d000")
		if err := r.Client.ZRem(t.Context(), "free:{default}:-", "d001").Err(); err != nil {
			t.Fatal(err)
		}
		pass(31 * time.Second)
		checkSettled(t, r.dump(t), r.Slack, nil)
		if got := r.events(t, "revoked"); len(got) != 1 {
			t.Errorf("revoked events %v, want one", got)
		}
	})
}

// A changed inventory is reconciled at once; a pool that left it is forgotten when its last lease ends.
func TestReaperFollowsTheInventory(t *testing.T) {
	withReaper(t, plain(2), func(t *testing.T, r *reaped) {
		held := r.take(t, "d000")
		r.inventory.Store(inventoryOf(plain(3)...))
		r.changed <- struct{}{}
		synctest.Wait()
		r.wantSettled(t, "d000", "d001", "d002")

		r.inventory.Store(lease.NewInventory(nil))
		r.changed <- struct{}{}
		synctest.Wait()
		r.wantSettled(t, "d000")
		r.release(t, held.ID)
		r.wantSettled(t)
	})
}

// An outage is logged when it begins and when it is over, and what it kept from being done is done then.
func TestReaperLogsAnOutageOnce(t *testing.T) {
	withReaper(t, plain(1), func(t *testing.T, r *reaped) {
		r.grant(t, lease.Request{})
		r.redis.SetError("LOADING Redis is loading the dataset in memory")
		pass(ttl + grace + time.Minute)
		if log := r.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "level=ERROR") {
			t.Errorf("in an outage the log is %q, want one error", log)
		}
		r.redis.SetError("")
		pass(2 * time.Second)
		if log := r.log.String(); strings.Count(log, "\n") != 2 || strings.Count(log, "level=INFO") != 1 {
			t.Errorf("after an outage the log is %q, want one more line", log)
		}
		if got := r.events(t, "expired"); len(got) != 1 {
			t.Errorf("expired events %v, want one", got)
		}
	})
}

// When Redis lost its state, or did not answer when the inventory changed, its devices are known to it again within seconds, not
// within half a minute: they are to be had as soon as holders from before have stopped.
func TestReaperKnowsDevicesAgain(t *testing.T) {
	withReaper(t, plain(1), func(t *testing.T, r *reaped) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go r.Guard(ctx)
		r.grant(t, lease.Request{})
		pass(1500 * time.Millisecond)
		r.redis.FlushAll()
		pass(1100 * time.Millisecond)
		r.wantSettled(t, "d000")
		pass(ttl + grace - 2*time.Second)
		r.paused(t, time.Second)
		pass(2 * time.Second)
		r.take(t, "d000")

		r.inventory.Store(inventoryOf(plain(2)...))
		r.redis.SetError("LOADING Redis is loading the dataset in memory")
		r.changed <- struct{}{}
		synctest.Wait()
		r.redis.SetError("")
		pass(1100 * time.Millisecond)
		r.wantSettled(t, "d000", "d001")
	})
}
