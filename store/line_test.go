package store_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// queue asks for a lease and must be told to wait.
func (l *lab) queue(t testing.TB, r lease.Request) *lease.Lease {
	t.Helper()
	g := l.want(t, r)
	g.Wait = true
	got, granted, err := l.Allocate(t.Context(), g)
	if err != nil || granted || got.State != lease.StatePending {
		t.Fatalf("allocate %+v: granted %v, %+v, %v; want it to wait", r, granted, got, err)
	}
	return got
}

// refused asks for a lease without waiting and must be told that there is none.
func (l *lab) refused(t testing.TB, r lease.Request) *lease.Availability {
	t.Helper()
	_, _, err := l.Allocate(t.Context(), l.want(t, r))
	return coded(t, err, lease.CodeNoneFree).Availability
}

// wantHolds fails unless the lease is active and has these devices, in this order.
func (l *lab) wantHolds(t testing.TB, id lease.ID, devices ...string) *lease.Lease {
	t.Helper()
	got := l.read(t, id)
	if got.State != lease.StateActive || !slices.Equal(got.Devices, devices) {
		t.Fatalf("lease %s is %s and has %v, want %v", id, got.State, got.Devices, devices)
	}
	return got
}

// wantWaits fails unless the leases wait, in this order.
func (l *lab) wantWaits(t testing.TB, leases ...*lease.Lease) {
	t.Helper()
	var waiting []*lease.Lease
	for next := ""; ; {
		page, after, err := l.Leases(t.Context(), pool, lease.StatePending, next, 128)
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, page...)
		if next = after; next == "" {
			break
		}
	}
	var got, want []lease.ID
	for i, w := range waiting {
		if got = append(got, w.ID); w.Queue.Place != i+1 || w.Queue.Length != len(waiting) {
			t.Errorf("%s is at place %d of %d, want %d of %d", w.ID, w.Queue.Place, w.Queue.Length, i+1, len(waiting))
		}
	}
	for _, w := range leases {
		want = append(want, w.ID)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("in line are %v, want %v", got, want)
	}
}

func asking(demands ...lease.Demand) lease.Request { return lease.Request{Demands: demands} }

// Whoever waits gets the device when it is released, in the order of asking; a request that does not wait gets nothing before.
func TestFirstComeFirstServed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		holder := l.grant(t, lease.Request{})
		first, second := l.queue(t, lease.Request{Holder: "first"}), l.queue(t, lease.Request{})
		l.wantWaits(t, first, second)
		l.refused(t, lease.Request{})
		r.Advance(time.Second)
		l.release(t, holder.ID)
		got := l.wantHolds(t, first.ID, "a")
		if !l.about(got.Waited(), time.Second) || got.Fence <= holder.Fence || !got.Deadline.Equal(got.Grant.Add(hold)) {
			t.Errorf("granted %+v", got)
		}
		l.refused(t, lease.Request{})
		l.wantWaits(t, second)
		l.release(t, first.ID)
		l.wantHolds(t, second.ID, "a")
	})
}

// However a device becomes free, who waits for it gets it in the same step.
func TestFreedDevicesAreHandedOn(t *testing.T) {
	ways := []struct {
		name string
		free func(t *testing.T, l *lab, holder lease.ID)
	}{
		{"release", func(t *testing.T, l *lab, holder lease.ID) { l.release(t, holder) }},
		{"retract", func(t *testing.T, l *lab, holder lease.ID) {
			if err := l.Retract(t.Context(), holder); err != nil {
				t.Fatal(err)
			}
		}},
		{"expiry, reaped", func(t *testing.T, l *lab, _ lease.ID) {
			l.Advance(2*ttl + grace)
			l.reap(t)
		}},
		{"expiry, found by another request", func(t *testing.T, l *lab, _ lease.ID) {
			l.Advance(2*ttl + grace)
			l.refused(t, lease.Request{})
		}},
		{"deadline, found by a keepalive", func(t *testing.T, l *lab, holder lease.ID) {
			for range 5 {
				l.Advance(ttl)
				l.renew(t, holder)
			}
			l.Advance(ttl + grace/2)
			_, err := l.Keepalive(t.Context(), holder)
			wantEnded(t, err, lease.ReasonDeadline)
		}},
		{"another device comes into service", func(t *testing.T, l *lab, _ lease.ID) {
			l.reconcile(t, device("a", "x"), device("b", "x"))
		}},
		{"maintenance ends", func(t *testing.T, l *lab, holder lease.ID) {
			l.maintenance(t, "a", true)
			l.release(t, holder)
			l.maintenance(t, "a", false)
		}},
		{"the lock is removed by hand", func(t *testing.T, l *lab, _ lease.ID) {
			l.remove(t, "a")
			l.reconcile(t, device("a", "x"))
		}},
		{"who waits asks again", func(t *testing.T, l *lab, _ lease.ID) { l.remove(t, "a") }},
	}
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		for _, way := range ways {
			t.Run(way.name, func(t *testing.T) {
				if err := r.Client.FlushAll(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				l := newLab(t, r)
				l.queueing = lease.Queueing{AskWithin: 3 * time.Hour}
				l.reconcile(t, device("a", "x"))
				holder := l.grant(t, lease.Request{TTL: 2 * ttl})
				waiting := l.queue(t, selecting("model=x"))
				way.free(t, l, holder.ID)
				if way.name == "who waits asks again" {
					l.maintenance(t, "a", false) // somebody notices
				}
				if got, err := l.Poll(t.Context(), waiting.ID); err != nil || got.State != lease.StateActive {
					t.Fatalf("%+v, %v", got, err)
				}
			})
		}
	})
}

// A higher priority goes first, and a step of it counts as much as the pool's ageing of waiting.
func TestPriorityAges(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r)
		l.queueing = lease.Queueing{Ageing: 10 * time.Minute, AskWithin: 5 * time.Hour}
		l.reconcile(t, device("a", ""))
		l.grant(t, lease.Request{TTL: hold})
		low := l.queue(t, lease.Request{Priority: 0})
		usual := l.queue(t, lease.Request{Priority: 5})
		high := l.queue(t, lease.Request{Priority: 9})
		r.Advance(5 * time.Minute)
		alike := l.queue(t, lease.Request{Priority: 5})
		r.Advance(40 * time.Minute)
		late := l.queue(t, lease.Request{Priority: 4})
		l.wantWaits(t, high, usual, alike, low, late)
		later := l.queue(t, lease.Request{Priority: 9})
		l.wantWaits(t, high, usual, alike, later, low, late)
	})
}

// A request for several devices is granted all of them or none, whichever assignment that takes, in the order it asked.
func TestSeveralDevices(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", "x"), device("b", "y"), device("c", "z"), device("d", ""))
		any3 := lease.Demand{Selector: "model", As: "any"}
		got := l.grant(t, asking(any3, lease.Demand{Name: "b"}, lease.Demand{Selector: "model in (x,y)", As: "board"}))
		l.wantHolds(t, got.ID, "c", "b", "a")
		if as := []string{got.DemandOf(0).As, got.DemandOf(1).As, got.DemandOf(2).As}; !slices.Equal(as, []string{"any", "", "board"}) {
			t.Errorf("the devices are called %q", as)
		}
		short := l.refused(t, asking(lease.Demand{Name: "d"}, lease.Demand{Selector: "model"}))
		if short.Matching != 4 || short.Leased != 3 || short.Free != 1 {
			t.Errorf("availability %+v", short)
		}
		l.wantStates(t, map[string]lease.DeviceState{"d": lease.DeviceFree})
		l.Advance(ttl - time.Minute)
		l.renew(t, got.ID)
		l.Advance(ttl - time.Minute)
		l.wantHolds(t, got.ID, "c", "b", "a")
		l.release(t, got.ID)
		l.wantStates(t, map[string]lease.DeviceState{"a": lease.DeviceFree, "b": lease.DeviceFree, "c": lease.DeviceFree})
		checkSettled(t, l.dump(t), l.Slack, nil)
	})
}

// What a waiting request for several devices could use is kept for it, and no more than that: small ones can't starve it, and
// it does not keep others from what is left.
func TestWhatIsSpokenFor(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", "x"), device("b", "x"), device("c", "x"), device("d", "x"))
		held := []*lease.Lease{l.take(t, "a"), l.take(t, "b")}
		three := l.queue(t, asking(lease.Demand{Selector: "model=x", Count: 3}))
		if free := l.refused(t, selecting("model=x")).Free; free != 2 {
			t.Errorf("%d are free but spoken for, want 2", free)
		}
		small := l.queue(t, naming("d"))
		r.Advance(time.Second)
		l.release(t, held[0].ID)
		l.wantHolds(t, three.ID, "c", "d", "a")
		l.wantWaits(t, small)
		l.release(t, held[1].ID)
		l.grant(t, selecting("model=x")) // b, which nobody waits for
		l.release(t, three.ID)
		l.wantHolds(t, small.ID, "d")
	})
}

// What a refused request could have used is not kept from those behind it, when the same step found it free.
func TestRefusedRequestKeepsNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r)
		l.queueing = lease.Queueing{AskWithin: time.Hour}
		l.reconcile(t, device("a", "x"), device("b", "x"), device("switch", ""))
		l.take(t, "a")
		l.take(t, "b")
		l.grant(t, lease.Request{Demands: []lease.Demand{{Name: "switch"}}, TTL: hold})
		l.queue(t, lease.Request{Priority: 9, Demands: []lease.Demand{{Selector: "model=x"}, {Name: "switch"}}})
		waiting := l.queue(t, selecting("model=x"))
		l.Advance(ttl + grace + l.moment())
		l.refused(t, lease.Request{Priority: 8, Demands: []lease.Demand{{Selector: "model=x", Count: 2}}})
		if got := l.read(t, waiting.ID); got.State != lease.StateActive {
			t.Errorf("the one behind it is %s", got.State)
		}
	})
}

// Giving up a place, and losing it, frees what was kept for it.
func TestTicketsEnd(t *testing.T) {
	ends := map[string]func(t *testing.T, l *lab, ticket lease.ID) (state lease.State){
		"given up": func(t *testing.T, l *lab, ticket lease.ID) lease.State {
			l.release(t, ticket)
			l.release(t, ticket)
			return lease.StateReleased
		},
		"abandoned": func(t *testing.T, l *lab, ticket lease.ID) lease.State {
			l.Advance(2*time.Minute + l.moment())
			l.reap(t)
			_, err := l.Keepalive(t.Context(), ticket)
			wantEnded(t, err, lease.ReasonAbandoned)
			return lease.StateAbandoned
		},
	}
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		for name, end := range ends {
			t.Run(name, func(t *testing.T) {
				if err := r.Client.FlushAll(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				l := newLab(t, r)
				l.queueing = lease.Queueing{AskWithin: 3 * time.Minute}
				l.reconcile(t, device("a", "x"), device("b", "y"))
				l.take(t, "a")
				both := l.queue(t, asking(lease.Demand{Name: "a"}, lease.Demand{Name: "b"}))
				behind := l.queue(t, naming("b"))
				wantCode(t, l.Retract(t.Context(), lease.NewToken().ID(pool)), lease.CodeNotFound)
				_, err := l.Keepalive(t.Context(), both.ID)
				wantCode(t, err, lease.CodeConflict)
				l.Advance(time.Minute + l.moment())
				if _, err := l.Poll(t.Context(), behind.ID); err != nil {
					t.Fatal(err)
				}
				if got := end(t, l, both.ID); l.read(t, both.ID).State != got {
					t.Errorf("the ticket is %s, want %s", l.read(t, both.ID).State, got)
				}
				l.wantHolds(t, behind.ID, "b")
				l.wantWaits(t)
			})
		}
	})
}

// A ticket waits by what the inventory says now: a device that comes is for it, and one that leaves is not kept for it.
func TestInventoryChangesUnderTheLine(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", "x"), device("b", "y"))
		l.take(t, "a")
		waiting := l.queue(t, asking(lease.Demand{Selector: "model in (x,z)"}, lease.Demand{Selector: "model=y"}))
		l.refused(t, naming("b"))
		l.reconcile(t, device("b", "y"))
		l.release(t, l.take(t, "b").ID) // nothing can satisfy the ticket, so it keeps nothing
		l.wantWaits(t, waiting)
		l.reconcile(t, device("b", "y"), device("c", "z"))
		l.wantHolds(t, waiting.ID, "c", "b")
	})
}

// A pool's limits count what a holder has and what it waits for.
func TestQuota(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r)
		l.limits = lease.Limits{LeasesPerHolder: 3, DevicesPerHolder: 4}
		l.reconcile(t, plain(8)...)
		ask := func(holder string, n int) (*lease.Lease, error) {
			g := l.want(t, lease.Request{Holder: holder, Demands: []lease.Demand{{Count: n}}})
			g.Wait = true
			got, _, err := l.Allocate(t.Context(), g)
			return got, err
		}
		first, err := ask("alice", 3)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ask("alice", 2)
		wantCode(t, err, lease.CodeQuota)
		if _, err = ask("bob", 4); err != nil {
			t.Fatal(err)
		}
		waits, err := ask("carol", 3)
		if err != nil || waits.State != lease.StatePending {
			t.Fatalf("%+v, %v", waits, err)
		}
		_, err = ask("carol", 2)
		wantCode(t, err, lease.CodeQuota)
		l.release(t, waits.ID)
		for range 3 {
			if _, err = ask("carol", 1); err != nil {
				t.Fatal(err)
			}
		}
		_, err = ask("carol", 1)
		wantCode(t, err, lease.CodeQuota)
		l.release(t, first.ID)
		if _, err = ask("alice", 4); err != nil {
			t.Fatal(err)
		}
	})
}

// Word of a grant reaches who watches the lease, through Redis, also from another process; and nobody else.
func TestWatch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		other := newLab(t, &storetest.Redis{Client: storetest.Client(t, r.Addr), Advance: r.Advance, Slack: r.Slack}, device("a", ""))
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			l.Listen(t.Context(), slog.New(slog.DiscardHandler))
		}()
		t.Cleanup(func() { <-heard })
		for r.Client.PubSubNumSub(t.Context(), "leases").Val()["leases"] == 0 {
			if t.Context().Err() != nil {
				t.Fatal("nobody listens")
			}
		}
		holder := other.grant(t, lease.Request{})
		waiting, behind := l.queue(t, lease.Request{}), l.queue(t, lease.Request{})
		changed, stop := l.Watch(waiting.ID)
		defer stop()
		quiet, stopQuiet := l.Watch(behind.ID)
		defer stopQuiet()
		other.release(t, holder.ID)
		select {
		case <-changed:
		case <-time.After(20 * time.Second):
			t.Fatal("no word of the grant")
		}
		l.wantHolds(t, waiting.ID, "a")
		select {
		case <-quiet:
			t.Error("word of a lease that still waits")
		default:
		}
	})
}

// However much becomes free at once, all of it is handed on in order before the call returns.
func TestManyAreServedAtOnce(t *testing.T) {
	const n = lease.MaxDevices
	ways := map[string]func(t *testing.T, l *lab, big lease.ID){
		"release": func(t *testing.T, l *lab, big lease.ID) { l.release(t, big) },
		"expiry": func(t *testing.T, l *lab, _ lease.ID) {
			l.Advance(ttl + grace + l.moment())
			l.reap(t)
		},
	}
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		for name, free := range ways {
			t.Run(name, func(t *testing.T) {
				if err := r.Client.FlushAll(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				l := newLab(t, r)
				l.queueing = lease.Queueing{AskWithin: time.Hour}
				l.reconcile(t, plain(n)...)
				big := l.grant(t, lease.Request{Demands: []lease.Demand{{Count: n}}})
				waiting := make([]*lease.Lease, n+8)
				for i := range waiting {
					waiting[i] = l.queue(t, lease.Request{})
				}
				free(t, l, big.ID)
				var last int64
				for _, w := range waiting[:n] {
					got := l.read(t, w.ID)
					if got.State != lease.StateActive || got.Fence <= last {
						t.Fatalf("%s is %s with fence %d, after %d", w.ID, got.State, got.Fence, last)
					}
					last = got.Fence
				}
				l.wantWaits(t, waiting[n:]...)
			})
		}
	})
}

// Where more requests wait than a step looks at, each of which keeps something and can't be granted, those behind them wait
// longer than they had to; but nobody is overtaken, and all are served in the end.
func TestCrowdOfLargeRequests(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		const n = 60
		l := newLab(t, r)
		l.queueing = lease.Queueing{AskWithin: time.Hour}
		l.reconcile(t, append(plain(n+1), device("switch", "switch"))...)
		held := l.take(t, "switch").ID
		large := make([]*lease.Lease, n)
		for i := range large {
			large[i] = l.queue(t, asking(lease.Demand{Selector: "!model"}, lease.Demand{Name: "switch"}))
		}
		small := l.queue(t, selecting("!model"))
		l.refused(t, selecting("!model"))
		for i, w := range large {
			l.release(t, held)
			if held = w.ID; l.read(t, held).State != lease.StateActive {
				t.Fatalf("request %d is not served when it is first", i)
			}
			if i+1 < n && l.read(t, large[i+1].ID).State != lease.StatePending {
				t.Fatalf("request %d is served before its turn", i+1)
			}
		}
		if got := l.read(t, small.ID); got.State != lease.StateActive {
			t.Fatalf("the one behind them is %s", got.State)
		}
	})
}
