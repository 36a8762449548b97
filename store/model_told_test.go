package store_test

import (
	"errors"
	"reflect"
	"time"

	"pgregory.net/rapid"

	"github.com/automation-infra/automation-infra/lease"
)

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
	if got == nil || got.Reason != reason {
		t.Logf("ended: %+v", got)
		t.Fatalf("lease %s: ended otherwise than %q", want.grant.ID, reason)
	}
	m.sameTime(t, "end", got.Time, at, now)
}

// sameLease compares a lease as the store tells it.
func (m *machine) sameLease(t *rapid.T, got *lease.Lease, want *modelLease) {
	g := want.grant
	m.sameDevices(t, want, got.Devices, got.Fence)
	told := lease.Lease{
		ID: g.ID, State: m.model.state(want), Demands: g.Request.Demands, Holder: g.Request.Holder, Purpose: g.Request.Purpose,
		Link: g.Request.Link, Priority: g.Request.Priority, TTL: g.TTL,
		Devices: got.Devices, Fence: got.Fence, Create: got.Create, Grant: got.Grant, Expire: got.Expire, Deadline: got.Deadline,
		Queue: got.Queue, Ended: got.Ended, Now: got.Now,
	}
	if !reflect.DeepEqual(*got, told) {
		t.Logf("lease: %+v, want %+v", *got, told)
		t.Fatalf("lease %s: not as asked for, or in another state than %s", g.ID, told.State)
	}
	m.sameTime(t, "create", got.Create, want.create, got.Now)
	m.sameEnd(t, got.Ended, want, got.Now)
	m.sameTerm(t, got, want)
	if (got.Queue != nil) != (told.State == lease.StatePending) {
		t.Fatalf("lease %s: %s, but tells how it waits: %v", g.ID, told.State, got.Queue != nil)
	}
	if got.Queue != nil {
		m.samePlace(t, got.Queue, want)
	}
}

// sameTerm compares since when and until when a lease is held.
func (m *machine) sameTerm(t *rapid.T, got *lease.Lease, want *modelLease) {
	granted, active := len(want.devices) > 0, m.model.state(want) == lease.StateActive
	if granted == got.Grant.IsZero() || granted == got.Deadline.IsZero() || active == got.Expire.IsZero() {
		t.Logf("lease: %+v", *got)
		t.Fatalf("lease %s: granted %v and active %v, but not in its times", got.ID, granted, active)
	}
	if granted {
		m.sameTime(t, "grant", got.Grant, want.start, got.Now)
		m.sameTime(t, "deadline", got.Deadline, want.deadline, got.Now)
	}
	if active {
		m.sameTime(t, "expire", got.Expire, m.model.expire(want), got.Now)
	}
}

// samePlace compares how a lease waits. Those in line without a record may count, until somebody comes across them.
func (m *machine) samePlace(t *rapid.T, got *lease.Queued, want *modelLease) {
	line := m.model.inLine()
	place := 1
	for line[place-1] != want {
		place++
	}
	strangers := len(m.strangers)
	if got.Place < place || got.Place > place+strangers || got.Length < len(line) || got.Length > len(line)+strangers {
		t.Fatalf("lease %s: place %d of %d, want %d of %d", want.grant.ID, got.Place, got.Length, place, len(line))
	}
	if got.AskWithin != want.grant.Queueing.AskWithin {
		t.Fatalf("lease %s: to be asked for within %s, want %s", want.grant.ID, got.AskWithin, want.grant.Queueing.AskWithin)
	}
	m.sameAvailability(t, got.Availability, want.grant)
}

// sameAvailability compares how the devices that match are told to be used.
func (m *machine) sameAvailability(t *rapid.T, got lease.Availability, g lease.Grant) {
	want := m.model.availability(g.Wants)
	leased := max(0, g.Matching-got.Maintenance-got.Free)
	if got.Matching != g.Matching || got.Maintenance != want.maintenance || got.Leased != leased ||
		got.Free > want.free || got.Free < want.free-want.mistaken {
		t.Fatalf("lease %s: %d leased, %d in maintenance, %d free of %d, want %d in maintenance, %d free (%d by mistake) of %d",
			g.ID, got.Leased, got.Maintenance, got.Free, got.Matching, want.maintenance, want.free, want.mistaken, g.Matching)
	}
	if want.known == got.NextEnd.IsZero() {
		t.Fatalf("lease %s: the next end is known: %v, want %v", g.ID, !want.known, want.known)
	}
	if want.known {
		m.sameTime(t, "next end", got.NextEnd, want.next, got.Now)
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
		since, known = l.start, true
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
