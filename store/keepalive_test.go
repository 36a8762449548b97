package store_test

import (
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// A keepalive gives a lease its TTL again, from now.
func TestKeepaliveExtends(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		id := l.take(t, "a").ID
		for i := range 3 {
			r.Advance(9 * time.Minute)
			got := l.renew(t, id)
			if !l.about(got.Expire.Sub(got.Now), ttl) || got.TTL != ttl {
				t.Errorf("keepalive %d: expires in %s of %s, want %s", i, got.Expire.Sub(got.Now), got.TTL, ttl)
			}
			if left := hold - time.Duration(i+1)*9*time.Minute; !l.about(got.Deadline.Sub(got.Now), left) {
				t.Errorf("keepalive %d: deadline in %s, want %s", i, got.Deadline.Sub(got.Now), left)
			}
			if read := l.read(t, id); !l.about(read.Remaining(), ttl) {
				t.Errorf("keepalive %d: read to remain %s, want %s", i, read.Remaining(), ttl)
			}
		}
	})
}

// No keepalive takes a lease past its deadline; one that comes later is told why.
func TestKeepaliveStopsAtTheDeadline(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		id := l.grant(t, lease.Request{MaxHold: 15 * time.Minute}).ID

		r.Advance(9 * time.Minute)
		if got := l.renew(t, id); !got.Expire.Equal(got.Deadline) || !l.about(got.Expire.Sub(got.Now), 6*time.Minute) {
			t.Errorf("expires in %s, deadline in %s; want both in 6m", got.Expire.Sub(got.Now), got.Deadline.Sub(got.Now))
		}
		r.Advance(6*time.Minute + grace/2) // the locks live on for half the grace
		if l.dump(t).locks()["a"] != id.String() {
			t.Error("the lock died with the deadline, want it to outlive it by the grace")
		}
		_, err := l.Keepalive(t.Context(), id)
		wantEnded(t, err, lease.ReasonDeadline)
		l.take(t, "a")
	})
}

// The lock outlives what its holder was told by exactly the grace, so that the holder stops first.
func TestLockHasGrace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		id := l.take(t, "a").ID
		for _, when := range []string{"when granted", "when renewed"} {
			if left := l.dump(t).each("lock")["a"].left; !l.about(left, ttl+grace) {
				t.Errorf("%s: the lock lives %s, want %s", when, left, ttl+grace)
			}
			r.Advance(ttl / 2)
			l.renew(t, id)
		}
	})
}

// A keepalive that comes within the grace is in time, and leaves a trace of being late.
func TestKeepaliveWithinGraceRenews(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		id := l.take(t, "a").ID
		r.Advance(ttl + grace/2)
		if got := l.read(t, id); got.State != lease.StateActive || got.Remaining() != 0 {
			t.Errorf("in the grace it is %s with %s, want active with nothing left", got.State, got.Remaining())
		}
		if got := l.renew(t, id); !l.about(got.Expire.Sub(got.Now), ttl) {
			t.Errorf("expires in %s, want %s", got.Expire.Sub(got.Now), ttl)
		}
		late := l.events(t, "renewed_late")
		if len(late) != 1 || late[0]["lease"] != id.String() || !l.about(milliseconds(t, late[0]["late_ms"]), grace/2) {
			t.Errorf("events %v, want one of %s, %s late", late, id, grace/2)
		}
		r.Advance(ttl / 2)
		l.renew(t, id)
		if n := len(l.events(t, "renewed_late")); n != 1 {
			t.Errorf("%d late renewals, want the one", n)
		}
	})
}

func TestKeepaliveOfUnknownLease(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		_, err := l.Keepalive(t.Context(), lease.NewToken().ID(pool))
		wantCode(t, err, lease.CodeNotFound)
	})
}

// A holder whose device an operator gave to someone else cannot keep it, nor take it back by releasing.
func TestKeepaliveNeverTouchesAnothersLock(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		first := l.take(t, "a").ID
		l.remove(t, "a")
		second := l.take(t, "a").ID
		r.Advance(ttl / 2)

		_, err := l.Keepalive(t.Context(), first)
		wantEnded(t, err, lease.ReasonRevoked)
		wantEnded(t, l.Release(t.Context(), first), lease.ReasonRevoked)
		lock := l.dump(t).each("lock")["a"]
		if lock.text != second.String() || !l.about(lock.left, ttl/2+grace) {
			t.Errorf("the lock is that of %q for %s, want %s for %s", lock.text, lock.left, second, ttl/2+grace)
		}
	})
}

// A store without grace renews leases as one that has some does.
func TestKeepaliveWithoutGrace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		s := store.New(r.Client, store.Options{Timeout: 20 * time.Second})
		g := l.want(t, lease.Request{})
		if _, _, err := s.Allocate(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		r.Advance(ttl / 2)
		got := l.renew(t, g.ID)
		if left := got.Expire.Sub(got.Now); !l.about(left, ttl) {
			t.Errorf("renewed for %s, want %s", left, ttl)
		}
	})
}
