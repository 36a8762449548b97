package store_test

import (
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// ending is a way for the lease of device a to end, and how long ago it ended then.
type ending struct {
	reason lease.Reason
	end    func(t *testing.T, l *lab, id lease.ID)
	ago    time.Duration
}

// endings are all ways. Each is granted ttl, and may be held twice that.
var endings = []ending{
	{lease.ReasonReleased, func(t *testing.T, l *lab, id lease.ID) { l.release(t, id) }, 0},
	{lease.ReasonExpired, func(_ *testing.T, l *lab, _ lease.ID) { l.Advance(ttl + grace + 3*time.Minute) }, 3 * time.Minute},
	{lease.ReasonDeadline, func(t *testing.T, l *lab, id lease.ID) {
		l.Advance(ttl)
		l.renew(t, id)
		l.Advance(ttl + grace + 4*time.Minute)
	}, 4 * time.Minute},
	{lease.ReasonRevoked, func(t *testing.T, l *lab, _ lease.ID) { l.remove(t, "a") }, 0},
}

// Whoever asks first is told why and when a lease ended, and so is everyone after: its holder by keepalive, release or
// a repeated allocation, others by reading it. Reasons it has no other.
func TestEveryoneIsToldTheReason(t *testing.T) {
	for _, ending := range endings {
		t.Run(string(ending.reason), func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
				for _, first := range []string{"keepalive", "release", "allocate", "read", "reap"} {
					l := newLab(t, r, device("a", ""))
					g := l.want(t, lease.Request{MaxHold: 2 * ttl})
					if _, _, err := l.Allocate(t.Context(), g); err != nil {
						t.Fatal(err)
					}
					ending.end(t, l, g.ID)
					for _, asked := range []string{first, "keepalive", "release", "allocate", "read"} {
						checkEnded(t, l, g, ending, asked)
					}
					if err := r.Client.FlushAll(t.Context()).Err(); err != nil { // the next starts anew
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// checkEnded asks for a lease that is over.
func checkEnded(t *testing.T, l *lab, g lease.Grant, want ending, asked string) {
	t.Helper()
	var err error
	switch asked {
	case "keepalive":
		_, err = l.Keepalive(t.Context(), g.ID)
	case "allocate":
		_, _, err = l.Allocate(t.Context(), g)
	case "release":
		if err = l.Release(t.Context(), g.ID); want.reason == lease.ReasonReleased && err == nil {
			return
		}
	case "reap":
		l.reap(t)
		return
	case "read":
		got := l.read(t, g.ID)
		if got.State != want.reason.State() || !got.Expire.IsZero() || got.Remaining() != 0 || got.Ended == nil {
			t.Fatalf("read %+v, want it over", got)
		}
		err = lease.EndedError(got.Ended.Reason, got.Ended.Time)
	}
	end := wantEnded(t, err, want.reason)
	now, err := l.Client.Time(t.Context()).Result()
	if ago := now.Sub(end).Truncate(time.Millisecond); err != nil || !l.about(ago, want.ago) {
		t.Errorf("%s: ended %s ago, want %s (%v)", asked, ago, want.ago, err)
	}
}

// Releasing twice is as good as once, and frees the device once: the next holder keeps it.
func TestReleaseIsIdempotent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		first := l.take(t, "a").ID
		l.release(t, first)
		second := l.take(t, "a").ID
		l.release(t, first)
		if got := l.status(t, "a").Lease; got != second.String() {
			t.Errorf("device a is held by %q, want %s", got, second)
		}
		if n := len(l.events(t, "released")); n != 1 {
			t.Errorf("%d released events, want 1", n)
		}
	})
}

func TestReleaseOfUnknownLease(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		id := lease.NewToken().ID(pool)
		wantCode(t, l.Release(t.Context(), id), lease.CodeNotFound)
		wantCode(t, l.Retract(t.Context(), id), lease.CodeNotFound)
	})
}

// A grant that is retracted is as if it had never been: its device is free, nothing is known of it, and its token may be
// used again.
func TestRetract(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		g := l.want(t, lease.Request{})
		first, _, err := l.Allocate(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Retract(t.Context(), g.ID); err != nil {
			t.Fatal(err)
		}
		_, err = l.Lease(t.Context(), g.ID)
		wantCode(t, err, lease.CodeNotFound)
		l.wantStates(t, map[string]lease.DeviceState{"a": lease.DeviceFree})

		again, granted, err := l.Allocate(t.Context(), g)
		if err != nil || !granted || again.Fence <= first.Fence {
			t.Errorf("granted %v with fence %d after %d, %v", granted, again.Fence, first.Fence, err)
		}
	})
}

// When nobody runs, locks die all the same: at the end of the grace the device is to be had, and not a moment before.
func TestDeviceComesBackByItself(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		l.take(t, "a")
		r.Advance(ttl + grace - l.moment())
		_, _, err := l.Allocate(t.Context(), l.want(t, lease.Request{}))
		wantCode(t, err, lease.CodeNoneFree)

		r.Advance(l.moment())
		if locks := l.dump(t).locks(); len(locks) != 0 {
			t.Fatalf("locks %v, want none", locks)
		}
		l.wantStates(t, map[string]lease.DeviceState{"a": lease.DeviceFree})
		l.grant(t, lease.Request{})
	})
}

// What ended is remembered for an hour, so that a late holder hears why; then it is unknown.
func TestEndedLeaseIsRememberedForAnHour(t *testing.T) {
	for _, ending := range endings {
		t.Run(string(ending.reason), func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
				l := newLab(t, r, device("a", ""))
				id := l.grant(t, lease.Request{MaxHold: 2 * ttl}).ID
				ending.end(t, l, id)
				l.reconcile(t, device("a", "")) // it is noticed
				l.reap(t)
				r.Advance(retention - l.moment())
				l.reap(t)
				if got := l.read(t, id); got.Ended == nil || got.Ended.Reason != ending.reason {
					t.Errorf("within the hour: ended %+v, want %s", got.Ended, ending.reason)
				}
				r.Advance(l.moment())
				l.reap(t)
				_, err := l.Keepalive(t.Context(), id)
				wantCode(t, err, lease.CodeNotFound)
				if index := l.dump(t).index("ended"); len(index) != 0 {
					t.Errorf("after the hour the index has %v", index)
				}
			})
		})
	}
}
