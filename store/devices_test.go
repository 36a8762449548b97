package store_test

import (
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// A device's status tells its state and since when, who holds it, and what became of it before.
func TestDeviceStatus(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", "x"))
		if got, want := l.status(t, "a"), (lease.DeviceStatus{State: lease.DeviceFree}); !l.isSince(t, got, want, 0) {
			t.Errorf("new: %+v", got)
		}
		r.Advance(2 * time.Minute)
		held := l.grant(t, lease.Request{Holder: "alice"})
		r.Advance(3 * time.Minute)
		want := lease.DeviceStatus{
			State: lease.DeviceLeased, Lease: held.ID.String(), Holder: "alice", LastLease: held.ID.String(), Grants: 1,
		}
		if got := l.status(t, "a"); !l.isSince(t, got, want, 3*time.Minute) {
			t.Errorf("leased: %+v", got)
		}
		l.release(t, held.ID)
		r.Advance(4 * time.Minute)
		want = lease.DeviceStatus{State: lease.DeviceFree, LastLease: held.ID.String(), Grants: 1}
		if got := l.status(t, "a"); !l.isSince(t, got, want, 4*time.Minute) {
			t.Errorf("free again: %+v", got)
		}
	})
}

// isSince reports whether a status is what it should be, and since how long.
func (l *lab) isSince(t testing.TB, got, want lease.DeviceStatus, ago time.Duration) bool {
	t.Helper()
	now, err := l.Client.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	want.Since = got.Since
	return got == want && l.about(now.Sub(got.Since).Truncate(time.Millisecond), ago)
}

// A device in maintenance is granted to nobody until it is put back; its place in line is then the last.
func TestMaintenanceOfFreeDevice(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""), device("b", ""))
		r.Advance(time.Minute)
		got := l.maintenance(t, "a", true)
		if want := (lease.DeviceStatus{State: lease.DeviceMaintenance, Maintenance: true}); !l.isSince(t, got, want, 0) {
			t.Errorf("taken out: %+v", got)
		}
		_, _, err := l.Allocate(t.Context(), l.want(t, naming("a")))
		wantCode(t, err, lease.CodeNoneFree)
		b := l.grant(t, lease.Request{})
		_, _, err = l.Allocate(t.Context(), l.want(t, lease.Request{}))
		wantCode(t, err, lease.CodeNoneFree)

		l.release(t, b.ID)
		r.Advance(l.moment())
		if got := l.maintenance(t, "a", false); got.State != lease.DeviceFree || got.Maintenance {
			t.Errorf("put back: %+v", got)
		}
		for _, want := range []string{"b", "a"} {
			if got := l.grant(t, lease.Request{}); got.Devices[0] != want {
				t.Errorf("granted %v, want %s", got.Devices, want)
			}
		}
	})
}

// A leased device that is taken out of service stays its holder's, who may go on keeping it alive; when the lease ends,
// however it does, the device is in maintenance.
func TestMaintenanceOfLeasedDevice(t *testing.T) {
	for _, ending := range endings {
		t.Run(string(ending.reason), func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
				l := newLab(t, r, device("a", ""))
				held := l.grant(t, lease.Request{MaxHold: 2 * ttl})
				got := l.maintenance(t, "a", true)
				if got.State != lease.DeviceLeased || !got.Maintenance || got.Lease != held.ID.String() {
					t.Errorf("taken out while leased: %+v", got)
				}
				l.renew(t, held.ID)
				ending.end(t, l, held.ID)
				l.wantStates(t, map[string]lease.DeviceState{"a": lease.DeviceMaintenance})
				_, _, err := l.Allocate(t.Context(), l.want(t, lease.Request{}))
				wantCode(t, err, lease.CodeNoneFree)
			})
		})
	}
}

// A note is kept until it is changed, and changes nothing else.
func TestNote(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		on, note, none := true, "fan is loud", ""
		for _, step := range []struct {
			change lease.DeviceChange
			want   lease.DeviceStatus
		}{
			{lease.DeviceChange{Note: &note}, lease.DeviceStatus{State: lease.DeviceFree, Note: note}},
			{lease.DeviceChange{Maintenance: &on}, lease.DeviceStatus{State: lease.DeviceMaintenance, Maintenance: true, Note: note}},
			{lease.DeviceChange{}, lease.DeviceStatus{State: lease.DeviceMaintenance, Maintenance: true, Note: note}},
			{lease.DeviceChange{Note: &none}, lease.DeviceStatus{State: lease.DeviceMaintenance, Maintenance: true}},
		} {
			if got := l.set(t, "a", step.change); !l.isSince(t, got, step.want, 0) {
				t.Errorf("%+v: %+v, want %+v", step.change, got, step.want)
			}
		}
	})
}

func TestSetUnknownDevice(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		on := true
		_, err := l.SetDevice(t.Context(), pool, "nowhere", lease.DeviceChange{Maintenance: &on})
		wantCode(t, err, lease.CodeNotFound)
		if places := whereabouts(l.dump(t)); len(places) != 1 {
			t.Errorf("devices %v, want a alone", places)
		}
	})
}

// Any number of devices is read, in the order asked for.
func TestDevicesAreReadInOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		devices := plain(300)
		l := newLab(t, r, devices...)
		l.take(t, "d007")
		names := namesOf(devices)
		names[0], names[7] = names[7], names[0]
		got, err := l.Devices(t.Context(), pool, names)
		if err != nil || len(got) != 300 {
			t.Fatalf("%d devices, %v", len(got), err)
		}
		for i := range got {
			if leased := got[i].State == lease.DeviceLeased; leased != (i == 0) {
				t.Errorf("device %d, %s, is %s", i, names[i], got[i].State)
			}
		}
	})
}
