package store_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// wantSettled fails unless the pool has these devices, each in its place.
func (l *lab) wantSettled(t testing.TB, devices ...string) {
	t.Helper()
	d := l.dump(t)
	if known := slices.Sorted(slices.Values(d.one("devices").set)); !slices.Equal(known, devices) {
		t.Errorf("devices %v, want %v", known, devices)
	}
	checkKeys(t, d)
	checkLocks(t, d)
	checkSettled(t, d, l.Slack, nil)
}

func TestReconcileAddsDevices(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", "x"))
		l.reconcile(t, device("a", "x"), device("b", "y"))
		l.wantSettled(t, "a", "b")
		l.take(t, "b")
	})
}

func TestReconcileForgetsFreeDevices(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", "x"), device("b", "x"), device("c", "x"))
		l.maintenance(t, "c", true)
		l.reconcile(t, device("a", "x"))
		l.wantSettled(t, "a")
	})
}

// A device that leaves the inventory while it is leased stays its holder's; when the lease ends, however it does, it is
// forgotten, and never granted again.
func TestReconcileLetsHoldersFinish(t *testing.T) {
	for _, ending := range endings {
		t.Run(string(ending.reason), func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
				l := newLab(t, r, device("a", "x"), device("b", "y"))
				id := l.grant(t, lease.Request{Demands: []lease.Demand{{Name: "a"}}, MaxHold: 2 * ttl}).ID
				l.reconcile(t, device("b", "y"))
				l.wantSettled(t, "a", "b")
				l.renew(t, id)
				_, err := l.SetDevice(t.Context(), pool, "a", lease.DeviceChange{})
				wantCode(t, err, lease.CodeNotFound)

				ending.end(t, l, id)
				l.reap(t)
				l.reconcile(t, device("b", "y"))
				if ending.reason != lease.ReasonRevoked { // whose lease is noticed when somebody asks for it
					l.wantSettled(t, "b")
				}
				_, err = l.Keepalive(t.Context(), id)
				wantEnded(t, err, ending.reason)
				l.wantSettled(t, "b")
			})
		})
	}
}

// A device that comes back while its lease goes on is leased as before, and in service when the lease ends.
func TestReconcileTakesDevicesBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", "x"))
		id := l.take(t, "a").ID
		l.reconcile(t, device("b", "x"))
		l.reconcile(t, device("a", "y"), device("b", "x"))
		l.wantStates(t, map[string]lease.DeviceState{"a": lease.DeviceLeased, "b": lease.DeviceFree})
		l.release(t, id)
		l.wantSettled(t, "a", "b")
		l.grant(t, selecting("model=y"))
	})
}

// A device with other labels is granted by these from then on, whether it was free, in maintenance or leased.
func TestReconcileRelabels(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", "x"), device("b", "x"), device("c", "x"))
		held := l.take(t, "b")
		l.maintenance(t, "c", true)
		l.reconcile(t, device("a", "y"), device("b", "y"), device("c", "y"))
		l.wantSettled(t, "a", "b", "c")
		l.wantStates(t, map[string]lease.DeviceState{
			"a": lease.DeviceFree, "b": lease.DeviceLeased, "c": lease.DeviceMaintenance,
		})
		l.release(t, held.ID)
		l.maintenance(t, "c", false)
		for range 3 {
			l.grant(t, selecting("model=y"))
		}
	})
}

// Reconciling what is as it should be changes nothing, and so does giving devices other labels to who is next in line.
func TestReconcileKeepsOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", "x"), device("b", "x"), device("c", "x"))
		for _, name := range []string{"b", "a", "c"} {
			r.Advance(l.moment())
			l.release(t, l.take(t, name).ID)
		}
		before := l.dump(t)
		l.reconcile(t, device("a", "x"), device("b", "x"), device("c", "x"))
		if after := l.dump(t); !reflect.DeepEqual(after.one("free"), before.one("free")) || len(after.keys) != len(before.keys) {
			t.Errorf("%+v, want %+v", after.keys, before.keys)
		}
		r.Advance(l.moment())
		l.reconcile(t, device("a", "y"), device("b", "x"), device("c", "y"))
		for _, want := range []string{"b", "a", "c"} {
			if got := l.grant(t, lease.Request{}); got.Devices[0] != want {
				t.Errorf("granted %v, want %s", got.Devices, want)
			}
		}
	})
}

// An index that somebody or something made wrong is put right, and no holder loses a device by it.
func TestReconcileRepairs(t *testing.T) {
	at := func(m string) redis.Z { return redis.Z{Score: 1, Member: m} }
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, l *lab, held string) error
	}{
		{"a leased device is listed as free", func(t *testing.T, l *lab, _ string) error {
			return l.Client.ZAdd(t.Context(), "free:{default}:-", at("a")).Err()
		}},
		{"a leased device is listed as in maintenance", func(t *testing.T, l *lab, _ string) error {
			return l.Client.ZAdd(t.Context(), "maintenance:{default}:-", at("a")).Err()
		}},
		{"a free device is listed nowhere", func(t *testing.T, l *lab, _ string) error {
			return l.Client.ZRem(t.Context(), "free:{default}:-", "b").Err()
		}},
		{"a free device is listed as in maintenance as well", func(t *testing.T, l *lab, _ string) error {
			return l.Client.ZAdd(t.Context(), "maintenance:{default}:-", at("b")).Err()
		}},
		{"a device in maintenance is listed as free", func(t *testing.T, l *lab, _ string) error {
			return l.Client.ZAdd(t.Context(), "free:{default}:-", at("c")).Err()
		}},
		{"an active lease is listed as due", func(t *testing.T, l *lab, held string) error {
			return l.Client.ZAdd(t.Context(), "active:{default}", at(held)).Err()
		}},
		{"an active lease is not listed", func(t *testing.T, l *lab, held string) error {
			return l.Client.ZRem(t.Context(), "active:{default}", held).Err()
		}},
		{"a lease is listed that there is not", func(t *testing.T, l *lab, _ string) error {
			return l.Client.ZAdd(t.Context(), "active:{default}", at("default-aaaaaaaaaaaaaaaaaaaaaaaaaa")).Err()
		}},
		{"all indexes are lost", func(t *testing.T, l *lab, _ string) error {
			return l.Client.Del(t.Context(), "free:{default}:-", "maintenance:{default}:-", "active:{default}", "devices:{default}").Err()
		}},
		{"a device is not known", func(t *testing.T, l *lab, _ string) error {
			return l.Client.Del(t.Context(), "device:{default}:b").Err()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
				l := newLab(t, r, plain(0)...)
				l.reconcile(t, device("a", ""), device("b", ""), device("c", ""))
				held := l.take(t, "a")
				l.maintenance(t, "c", true)
				if err := test.spoil(t, l, held.ID.String()); err != nil {
					t.Fatal(err)
				}
				if got := l.read(t, held.ID); got.State != lease.StateActive || !l.about(got.Remaining(), ttl) {
					t.Errorf("before: the lease is %s with %s, want active with %s", got.State, got.Remaining(), ttl)
				}
				l.reap(t)
				l.reconcile(t, device("a", ""), device("b", ""), device("c", ""))
				l.wantSettled(t, "a", "b", "c")
				l.wantStates(t, map[string]lease.DeviceState{
					"a": lease.DeviceLeased, "b": lease.DeviceFree, "c": lease.DeviceMaintenance,
				})
				l.renew(t, held.ID)
			})
		})
	}
}

// A lease whose lock an operator removed ends, and its device is free.
func TestReconcileNoticesRemovedLocks(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		id := l.take(t, "a").ID
		l.remove(t, "a")
		l.reconcile(t, device("a", ""))
		l.wantSettled(t, "a")
		if got := l.events(t, "revoked"); len(got) != 1 || got[0]["lease"] != id.String() {
			t.Errorf("revoked events %v, want one of %s", got, id)
		}
	})
}

// When Redis lost everything, the inventory is all it takes: every device is to be had once those who held one have stopped, no
// lease is known, and fences are above all that were granted before.
func TestReconcileAfterLossOfData(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		lost := l.take(t, "a")
		if err := r.Client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		r.Advance(time.Second)
		l.reconcile(t, device("a", ""))
		l.wantSettled(t, "a")
		_, err := l.Keepalive(t.Context(), lost.ID)
		wantEnded(t, err, lease.ReasonStoreLost)
		r.Advance(ttl + grace + l.moment())
		if got := l.take(t, "a"); got.Fence <= lost.Fence {
			t.Errorf("fence %d after %d", got.Fence, lost.Fence)
		}
	})
}

// Any number of devices and classes is reconciled.
func TestReconcileManyDevices(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		var devices []lease.Device
		for i := range 700 {
			devices = append(devices, device(fmt.Sprintf("d%03d", i), fmt.Sprintf("m%d", i%100)))
		}
		l := newLab(t, r, devices...)
		l.wantSettled(t, namesOf(devices)...)
		if got := l.grant(t, selecting("model!=m0")); got.Devices[0] == "d000" {
			t.Errorf("granted %v, which is an m0", got.Devices)
		}
		l.reconcile(t, devices[:300]...)
		if known := len(l.dump(t).one("devices").set); known != 300 {
			t.Errorf("%d devices known, want 300", known)
		}
	})
}
