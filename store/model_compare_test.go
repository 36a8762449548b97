package store_test

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"github.com/automation-infra/automation-infra/lease"
)

// checkAgrees proves that Redis has what the model has: the locks, and the indexes with their times.
func (m *machine) checkAgrees(t *rapid.T, d *dump) {
	locks := map[string]string{}
	for device := range m.model.locks {
		if id, locked := m.model.holder(device); locked {
			locks[device] = id.String()
		}
	}
	if got := d.locks(); !maps.Equal(got, locks) {
		t.Fatalf("locks: %v, want %v", got, locks)
	}
	for device := range locks {
		m.sameLeft(t, "lock of "+device, d.each("lock")[device].left, m.model.locks[device].until)
	}
	places := map[lease.DeviceState]map[string]time.Duration{lease.DeviceFree: {}, lease.DeviceMaintenance: {}, "": {}}
	for name, about := range m.model.devices {
		places[about.place][about.class+"/"+name] = about.since
	}
	m.sameIndex(t, "free", d.places("free"), places[lease.DeviceFree])
	m.sameIndex(t, "maintenance", d.places("maintenance"), places[lease.DeviceMaintenance])
	m.sameIndex(t, "active", d.index("active"), byText(m.model.active))
	m.sameIndex(t, "ended", d.index("ended"), byText(m.model.ended))
	m.checkDevices(t, d)
}

// checkDevices proves that Redis knows the devices that the model knows, and the same of them.
func (m *machine) checkDevices(t *rapid.T, d *dump) {
	known := slices.Sorted(maps.Keys(m.model.devices))
	if got := slices.Sorted(slices.Values(d.one("devices").set)); !slices.Equal(got, known) {
		t.Fatalf("known devices: %v, want %v", got, known)
	}
	for name, want := range m.model.devices {
		got := d.each("device")[name].hash
		grants, _ := strconv.ParseInt(got["grants"], 10, 64)
		if got["class"] != want.class || got["state"] != want.state || got["note"] != want.note || grants != want.grant {
			t.Fatalf("device %s: %v, want %+v", name, got, *want)
		}
	}
}

func byText(times map[lease.ID]time.Duration) map[string]time.Duration {
	all := map[string]time.Duration{}
	for id, at := range times {
		all[id.String()] = at
	}
	return all
}

// sameIndex compares an index, whose times are as of now, with the model's.
func (m *machine) sameIndex(t *rapid.T, what string, got, want map[string]time.Duration) {
	has, wants := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))
	if !slices.Equal(has, wants) {
		t.Fatalf("index %s: %v, want %v", what, has, wants)
	}
	for member, at := range want {
		m.sameLeft(t, "index "+what+" of "+member, got[member], at)
	}
}

// sameLeft compares what is left until a time with the model's idea of that time.
func (m *machine) sameLeft(t *rapid.T, what string, left time.Duration, want time.Duration) {
	if (left - (want - m.model.now)).Abs() > m.redis.Slack {
		t.Logf("%s: in %s", what, left)
		t.Fatalf("%s: not in %s", what, want-m.model.now)
	}
}

func (m *machine) sameTime(t *rapid.T, what string, got time.Time, want time.Duration, now time.Time) {
	m.sameLeft(t, what, got.Sub(now), want)
}

// clock is Redis's.
func (m *machine) clock(t *rapid.T) time.Time {
	now, err := m.redis.Client.Time(m.ctx).Result()
	if err != nil {
		t.Fatalf("time: %v", err)
	}
	return now.Truncate(time.Millisecond)
}

func (m *machine) wantCode(t *rapid.T, operation string, about any, err error, code lease.Code) {
	_ = m.coded(t, operation, about, err, code)
}

// coded is an error of ours; it fails unless that has the code.
func (m *machine) coded(t *rapid.T, operation string, about any, err error, code lease.Code) *lease.Error {
	var e *lease.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("%s %v: error %s, want %s", operation, about, errorCode(err), code)
	}
	return e
}

// errorCode is the part of an error that is the same in each run.
func errorCode(err error) string {
	var e *lease.Error
	switch {
	case err == nil:
		return "none"
	case errors.As(err, &e):
		return string(e.Code)
	}
	return err.Error()
}

// sameEnd compares why and when a lease ended.
func (m *machine) sameEnd(t *rapid.T, got *lease.Ended, want *modelLease, now time.Time) {
	reason, at := m.model.over(want)
	if reason == "" && got == nil {
		return
	}
	if got == nil || got.Reason != reason && !m.eitherEnd(want, got.Reason, reason) {
		t.Logf("ended: %+v", got)
		t.Fatalf("lease %s: ended otherwise than %q", want.grant.ID, reason)
	}
	m.sameTime(t, "end", got.Time, at, now)
}

// eitherEnd reports whether two reasons differ by less than can be told: whether a lease ran to its deadline is a matter of
// one millisecond, which a repaired entry of a real Redis may be off.
func (m *machine) eitherEnd(l *modelLease, a, b lease.Reason) bool {
	return m.redis.Slack > 0 && l.repaired && a.State() == b.State()
}

// sameLease compares a lease as the store tells it.
func (m *machine) sameLease(t *rapid.T, got *lease.Lease, want *modelLease) {
	g := want.grant
	told := lease.Lease{
		ID: g.ID, State: m.model.state(want), Holder: g.Request.Holder, Purpose: g.Request.Purpose, Link: g.Request.Link,
		Fence: want.fence, TTL: g.TTL,
		Devices: got.Devices, Create: got.Create, Expire: got.Expire, Deadline: got.Deadline, Ended: got.Ended, Now: got.Now,
	}
	if told.ID != got.ID || told.State != got.State || told.Holder != got.Holder || told.Purpose != got.Purpose ||
		told.Link != got.Link || told.Fence != got.Fence || told.TTL != got.TTL || !slices.Equal(got.Devices, []string{want.device}) {
		t.Logf("lease: %+v, want %+v of %s", *got, told, want.device)
		t.Fatalf("lease %s: not as granted, or in another state than %s", g.ID, told.State)
	}
	m.sameTime(t, "create", got.Create, want.create, got.Now)
	m.sameTime(t, "deadline", got.Deadline, want.deadline, got.Now)
	m.sameEnd(t, got.Ended, want, got.Now)
	if told.State != lease.StateActive && !got.Expire.IsZero() {
		t.Fatalf("lease %s: over, but to expire", g.ID)
	}
	if told.State == lease.StateActive {
		m.sameTime(t, "expire", got.Expire, m.model.expire(want), got.Now)
	}
}

// sameDevice compares a device as the store tells it.
func (m *machine) sameDevice(t *rapid.T, name string, got lease.DeviceStatus, now time.Time) {
	d := m.model.devices[name]
	want := lease.DeviceStatus{State: lease.DeviceFree, Maintenance: d.state == "maintenance", Note: d.note, Grants: d.grant}
	since, known := d.since, d.place == placeOf(d.state)
	if d.grant > 0 {
		want.LastLease = d.last.String()
	}
	if want.Maintenance {
		want.State = lease.DeviceMaintenance
	}
	if id, locked := m.model.holder(name); locked {
		l := m.model.leases[id]
		want.State, want.Lease, want.Holder = lease.DeviceLeased, id.String(), l.grant.Request.Holder
		since, known = l.create, true
	}
	want.Since = got.Since
	if got != want || known == got.Since.IsZero() {
		t.Logf("device: %+v, want %+v (since is known: %v)", got, want, known)
		t.Fatalf("device %s: is %s, want %s", name, got.State, want.State)
	}
	if known {
		m.sameTime(t, "since", got.Since, since, now)
	}
}
