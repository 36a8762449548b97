package store_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// A grant tells the whole lease: what was asked for, the device, the fence, and how long it lives.
func TestAllocateGrants(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		g := l.want(t, lease.Request{
			TTL: 5 * time.Minute, MaxHold: 20 * time.Minute, Holder: "alice", Purpose: "boot test", Link: "https://ci/7",
		})
		got, granted, err := l.Allocate(t.Context(), g)
		if err != nil || !granted {
			t.Fatalf("granted %v, %v", granted, err)
		}
		want := &lease.Lease{
			ID: g.ID, State: lease.StateActive, Demands: []lease.Demand{{Count: 1}}, Devices: []string{"a"}, Holder: "alice", Purpose: "boot test", Link: "https://ci/7",
			Fence: got.Fence, TTL: 5 * time.Minute,
			Create: got.Now, Grant: got.Now, Expire: got.Now.Add(5 * time.Minute), Deadline: got.Now.Add(20 * time.Minute), Now: got.Now,
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("granted %+v, want %+v", got, want)
		}
		if got.Fence <= 0 || got.Now.IsZero() {
			t.Errorf("fence %d at %s", got.Fence, got.Now)
		}
	})
}

// What was granted is what is read back.
func TestLeaseIsReadAsGranted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		granted := l.grant(t, lease.Request{Holder: "alice"})
		got := l.read(t, granted.ID)
		got.Now = granted.Now
		if !reflect.DeepEqual(got, granted) {
			t.Errorf("read %+v, want %+v", got, granted)
		}
	})
}

// The device that has been free the longest is granted, whatever its class; at the same time, the first by name.
func TestAllocateSpreadsWear(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", "x"), device("b", "y"), device("c", ""))
		held := map[string]lease.ID{}
		for _, want := range []string{"a", "b", "c"} {
			got := l.grant(t, lease.Request{})
			held[got.Devices[0]] = got.ID
			if got.Devices[0] != want {
				t.Errorf("granted %v, want %s", got.Devices, want)
			}
		}
		for _, name := range []string{"b", "c", "a"} {
			r.Advance(l.moment())
			l.release(t, held[name])
		}
		for _, want := range []string{"b", "c", "a"} {
			if got := l.grant(t, lease.Request{}); got.Devices[0] != want {
				t.Errorf("granted %v, want %s", got.Devices, want)
			}
		}
	})
}

func TestAllocateChooses(t *testing.T) {
	for _, test := range []struct {
		name    string
		request lease.Request
		want    string
	}{
		{"any", lease.Request{}, "a"},
		{"by label", selecting("model=y"), "b"},
		{"by several values", selecting("model in (y,z)"), "b"},
		{"by a label it has not", selecting("!model"), "d"},
		{"by name", naming("c"), "c"},
		{"by name and label", lease.Request{Demands: []lease.Demand{{Name: "c", Selector: "model=z"}}}, "c"},
	} {
		t.Run(test.name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
				l := newLab(t, r, device("a", "x"), device("b", "y"), device("c", "z"), device("d", ""))
				if got := l.grant(t, test.request); !slices.Equal(got.Devices, []string{test.want}) {
					t.Errorf("granted %v, want %s", got.Devices, test.want)
				}
			})
		})
	}
}

// None free says how the matching devices are used, and when the first of them comes back at the latest.
func TestNoneFreeTellsAvailability(t *testing.T) {
	for _, test := range []struct {
		name    string
		request lease.Request
		want    lease.Availability
		next    time.Duration // 0 for unknown
	}{
		{"any", lease.Request{}, lease.Availability{Matching: 5, Leased: 3, Maintenance: 2}, 3*time.Minute + grace},
		{"by label", selecting("model=x"), lease.Availability{Matching: 3, Leased: 2, Maintenance: 1}, 5*time.Minute + grace},
		{"by name", naming("b"), lease.Availability{Matching: 1, Leased: 1}, 8*time.Minute + grace},
		{"all in maintenance", selecting("model=y"), lease.Availability{Matching: 1, Maintenance: 1}, 0},
		{"in maintenance by name", naming("c"), lease.Availability{Matching: 1, Maintenance: 1}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
				l := newLab(t, r, device("a", "x"), device("b", "x"), device("c", "x"), device("d", "y"), device("e", ""))
				l.grant(t, lease.Request{Demands: []lease.Demand{{Name: "a"}}, TTL: 5 * time.Minute})
				l.grant(t, lease.Request{Demands: []lease.Demand{{Name: "b"}}, TTL: 8 * time.Minute})
				l.grant(t, lease.Request{Demands: []lease.Demand{{Name: "e"}}, TTL: 3 * time.Minute})
				l.maintenance(t, "c", true)
				l.maintenance(t, "d", true)

				_, _, err := l.Allocate(t.Context(), l.want(t, test.request))
				got := coded(t, err, lease.CodeNoneFree).Availability
				if got.Matching != test.want.Matching || got.Leased != test.want.Leased || got.Maintenance != test.want.Maintenance {
					t.Errorf("availability %+v, want %+v", got, test.want)
				}
				if test.next == 0 && !got.NextEnd.IsZero() || test.next > 0 && !l.about(got.NextEnd.Sub(got.Now), test.next) {
					t.Errorf("next end %s at %s, want in %s", got.NextEnd, got.Now, test.next)
				}
			})
		})
	}
}

// An allocation repeated with its token is the same lease, so that a lost reply loses no device.
func TestAllocateAgainIsTheSameLease(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, plain(3)...)
		g := l.want(t, lease.Request{Holder: "alice"})
		first, _, err := l.Allocate(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			again, granted, err := l.Allocate(t.Context(), g)
			if err != nil || granted {
				t.Fatalf("granted %v, %v", granted, err)
			}
			again.Now = first.Now
			if !reflect.DeepEqual(again, first) {
				t.Errorf("again %+v, want %+v", again, first)
			}
		}
		if locks := l.dump(t).locks(); len(locks) != 1 {
			t.Errorf("locks %v, want one", locks)
		}
	})
}

// A token holds one lease: it can't be used for another request, not even when the lease is over.
func TestAllocateOtherRequestIsInvalid(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, plain(3)...)
		g := l.want(t, lease.Request{Holder: "alice"})
		if _, _, err := l.Allocate(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		other := g
		other.Request.Holder = "bob"
		for _, when := range []string{"while it is active", "when it is over"} {
			_, _, err := l.Allocate(t.Context(), other)
			if e := coded(t, err, lease.CodeInvalid); e.Field != "Lease-Token" {
				t.Errorf("%s: field %q, want Lease-Token", when, e.Field)
			}
			if when == "while it is active" {
				l.release(t, g.ID)
			}
		}
	})
}

// Fences rise with every grant of the pool, even in the same millisecond.
func TestFencesRise(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, plain(2)...)
		last := int64(0)
		for i := range 10 {
			got := l.grant(t, lease.Request{})
			if got.Fence <= last {
				t.Errorf("grant %d: fence %d after %d", i, got.Fence, last)
			}
			last = got.Fence
			l.release(t, got.ID)
		}
	})
}

// An entry among the free that should not be there costs nobody a device: who asks for any gets another, and the entry
// goes.
func TestAllocateIgnoresWrongEntries(t *testing.T) {
	for _, wrong := range []string{"leased", "in-maintenance", "gone", "unheard-of"} {
		t.Run(wrong, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
				l := newLab(t, r, device("free", ""), device("gone", ""), device("in-maintenance", ""), device("leased", ""))
				held := l.take(t, "leased")
				l.maintenance(t, "in-maintenance", true)
				l.reconcile(t, device("free", ""), device("in-maintenance", ""), device("leased", ""))
				l.do(t, "zadd", "free:{default}:-", "1", wrong) // free the longest, it says
				if got := l.grant(t, lease.Request{}); got.Devices[0] != "free" {
					t.Errorf("granted %v, want the one that is free", got.Devices)
				}
				l.wantSettled(t, "free", "in-maintenance", "leased")
				l.renew(t, held.ID)
			})
		})
	}
}
