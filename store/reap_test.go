package store_test

import (
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// However many leases are due, all end, and every one did when its lock did.
func TestReapAll(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		const n = 300
		l := newLab(t, r, plain(n)...)
		for range n {
			l.grant(t, lease.Request{})
		}
		r.Advance(ttl + grace + time.Minute)
		l.reap(t)
		d := l.dump(t)
		if free := len(d.places("free")); free != n || len(d.index("ended")) != n {
			t.Errorf("%d devices free, %d leases ended, want %d", free, len(d.index("ended")), n)
		}
		for id, ended := range d.index("ended") {
			if !l.about(ended, -time.Minute) {
				t.Errorf("lease %s ended %s ago, want 1m", id, -ended)
			}
		}
		l.reconcile(t, plain(n)...)
		checkSettled(t, l.dump(t), l.Slack, nil)
	})
}

// Ended leases are forgotten after an hour, however many.
func TestReapForgets(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, plain(1)...)
		for range 300 {
			l.release(t, l.grant(t, lease.Request{}).ID)
		}
		r.Advance(retention + l.moment())
		l.reap(t)
		if left := len(l.dump(t).index("ended")); left != 0 {
			t.Errorf("%d left, want none", left)
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
		l.grant(t, naming("d199"))
		for range n - 1 {
			l.grant(t, lease.Request{})
		}
		if got := len(l.dump(t).locks()); got != n {
			t.Errorf("%d devices are leased, want %d", got, n)
		}
		l.reap(t)
		l.reconcile(t, plain(n)...)
		checkSettled(t, l.dump(t), l.Slack, nil)
	})
}

// A pool of which nothing is known has nothing to reap, and nothing to list.
func TestEmptyPool(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r)
		if next := l.reap(t); next != 0 {
			t.Errorf("the next lease is due in %s, want none", next)
		}
		for _, state := range lease.States() {
			l.wantListed(t, state, nil)
		}
		if keys := l.dump(t).keys; len(keys) != 0 {
			t.Errorf("keys %v, want none", keys)
		}
	})
}
