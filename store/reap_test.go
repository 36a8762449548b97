package store_test

import (
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// However many leases are due, a call ends at most 128 of them and says whether there are more; in the end every device
// is back, and every lease has ended when its lock did.
func TestReapInBatches(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		const n = 300
		l := newLab(t, r, plain(n)...)
		for range n {
			l.grant(t, lease.Request{})
		}
		r.Advance(ttl + grace + time.Minute)
		for i, want := range []struct {
			ended int
			more  bool
		}{{128, true}, {256, true}, {300, false}, {300, false}} {
			if more := l.reap(t); more != want.more {
				t.Errorf("call %d: more %v, want %v", i, more, want.more)
			}
			d := l.dump(t)
			if free := len(d.places("free")); free != want.ended || len(d.index("ended")) != want.ended {
				t.Errorf("call %d: %d devices free, %d leases ended, want %d", i, free, len(d.index("ended")), want.ended)
			}
		}
		for id, ended := range l.dump(t).index("ended") {
			if !l.about(ended, -time.Minute) {
				t.Errorf("lease %s ended %s ago, want 1m", id, -ended)
			}
		}
		l.reconcile(t, plain(n)...)
		checkSettled(t, l.dump(t), l.Slack, nil)
	})
}

// Ended leases are forgotten after an hour, in batches as well.
func TestReapForgetsInBatches(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		const n = 300
		l := newLab(t, r, plain(1)...)
		for range n {
			l.release(t, l.grant(t, lease.Request{}).ID)
		}
		r.Advance(retention + l.moment())
		for i, want := range []struct {
			left int
			more bool
		}{{172, true}, {44, true}, {0, false}} {
			if more := l.reap(t); more != want.more {
				t.Errorf("call %d: more %v, want %v", i, more, want.more)
			}
			if left := len(l.dump(t).index("ended")); left != want.left {
				t.Errorf("call %d: %d left, want %d", i, left, want.left)
			}
		}
	})
}

// An allocation ends what is due by itself: with more due leases than it looks at, it still finds a device.
func TestAllocateReaps(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		const n = 200
		l := newLab(t, r, plain(n)...)
		for range n {
			l.grant(t, lease.Request{})
		}
		r.Advance(ttl + grace + time.Minute)
		l.grant(t, lease.Request{Name: "d199"})
		for range n - 1 {
			l.grant(t, lease.Request{})
		}
		if got := len(l.dump(t).locks()); got != n {
			t.Errorf("%d devices are leased, want %d", got, n)
		}
		for l.reap(t) {
			continue
		}
		l.reconcile(t, plain(n)...)
		checkSettled(t, l.dump(t), l.Slack, nil)
	})
}

// A pool of which nothing is known has nothing to reap, and nothing to list.
func TestEmptyPool(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r)
		if l.reap(t) {
			t.Error("more to reap in an empty pool")
		}
		for _, state := range lease.States() {
			l.wantListed(t, state, nil)
		}
		if keys := l.dump(t).keys; len(keys) != 0 {
			t.Errorf("keys %v, want none", keys)
		}
	})
}
