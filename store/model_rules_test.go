package store_test

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// retention is how long the record of an ended lease is kept.
const retention = time.Hour

// model is what the store promises for one pool, in plain Go. Its times are since the pool began, and move by advance
// alone; what passes by itself on a real Redis is left out.
type model struct {
	now     time.Duration
	grace   time.Duration
	fence   int64 // the highest that was ever granted, whatever was lost since
	devices map[string]*modelDevice
	locks   map[string]modelLock
	leases  map[lease.ID]*modelLease
	active  map[lease.ID]time.Duration // when the index says that the locks expire
	ended   map[lease.ID]time.Duration // when the index says that a lease ended
}

// modelDevice is a device that the store knows.
type modelDevice struct {
	class string
	state string
	note  string
	last  lease.ID
	grant int64
	place lease.DeviceState // the index that has it; "" when none has, because it is leased or nobody noticed that it is not
	since time.Duration     // when it came to that place
}

type modelLock struct {
	id    lease.ID
	until time.Duration
}

// modelLease is a lease that has a record.
type modelLease struct {
	grant    lease.Grant
	device   string
	fence    int64
	create   time.Duration
	deadline time.Duration
	forget   time.Duration
	reason   lease.Reason // "" until somebody noticed that it is over
	end      time.Duration
	repaired bool // its entry among the active was put right from its lock, to the millisecond at best
}

func newModel(grace time.Duration) *model {
	m := &model{grace: grace}
	m.loseEverything()
	return m
}

// loseEverything is what remains when Redis lost its data: the promise that fences rise.
func (m *model) loseEverything() {
	m.devices, m.locks = map[string]*modelDevice{}, map[string]modelLock{}
	m.leases, m.active, m.ended = map[lease.ID]*modelLease{}, map[lease.ID]time.Duration{}, map[lease.ID]time.Duration{}
}

// record is a lease that is not forgotten, or nil.
func (m *model) record(id lease.ID) *modelLease {
	if l := m.leases[id]; l != nil && m.now < l.forget {
		return l
	}
	return nil
}

// isActive reports whether nobody noticed yet that a lease is over, if it is.
func (m *model) isActive(id lease.ID) bool {
	l := m.record(id)
	return l != nil && l.reason == ""
}

// holder is the lease whose lock a device has.
func (m *model) holder(device string) (lease.ID, bool) {
	lock, ok := m.locks[device]
	return lock.id, ok && m.now < lock.until
}

// holds reports whether a lease has its lock.
func (m *model) holds(l *modelLease) bool {
	id, locked := m.holder(l.device)
	return locked && id == l.grant.ID
}

// lost is why a lease without its lock is over: a lock that died before its time was removed.
func (m *model) lost(l *modelLease) lease.Reason {
	due, listed := m.active[l.grant.ID]
	switch {
	case !listed || due > m.now:
		return lease.ReasonRevoked
	case due-m.grace >= l.deadline:
		return lease.ReasonDeadline
	}
	return lease.ReasonExpired
}

// over is why and when a lease ended, whether or not that was noticed; "" while it is active.
func (m *model) over(l *modelLease) (lease.Reason, time.Duration) {
	if l.reason != "" {
		return l.reason, l.end
	}
	if m.holds(l) {
		return "", 0
	}
	reason := m.lost(l)
	if reason.State() == lease.StateExpired {
		return reason, m.active[l.grant.ID]
	}
	return reason, m.now
}

// finish ends a lease.
func (m *model) finish(l *modelLease, reason lease.Reason) {
	id, at := l.grant.ID, m.now
	if due, listed := m.active[id]; listed && reason.State() == lease.StateExpired {
		at = min(at, due)
	}
	delete(m.active, id)
	if m.holds(l) {
		delete(m.locks, l.device)
	}
	l.reason, l.end, l.forget = reason, at, m.now+retention
	m.ended[id] = at
	if _, locked := m.holder(l.device); !locked {
		m.settle(l.device, at)
	}
}

// settle puts a device that nobody holds where its state says.
func (m *model) settle(device string, since time.Duration) {
	d := m.devices[device]
	if d == nil {
		return
	}
	if d.state == "removed" {
		delete(m.devices, device)
		return
	}
	if home := placeOf(d.state); d.place != home {
		d.place, d.since = home, since
	}
}

func placeOf(state string) lease.DeviceState {
	if state == "maintenance" {
		return lease.DeviceMaintenance
	}
	return lease.DeviceFree
}

// reap ends what is due and puts right what only seems so.
func (m *model) reap() {
	for _, id := range m.due() {
		l := m.record(id)
		switch {
		case l == nil:
			delete(m.active, id)
		case m.holds(l):
			m.active[id], l.repaired = m.locks[l.device].until, true
		default:
			m.finish(l, m.lost(l))
		}
	}
}

// due is the leases whose locks should have expired, the earliest first.
func (m *model) due() []lease.ID {
	var ids []lease.ID
	for id, due := range m.active {
		if due <= m.now {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b lease.ID) int {
		return cmp.Or(cmp.Compare(m.active[a], m.active[b]), strings.Compare(a.String(), b.String()))
	})
	return ids
}

// tidy drops leases that ended long ago from their index.
func (m *model) tidy() {
	for id, at := range m.ended {
		if at <= m.now-retention {
			delete(m.ended, id)
		}
	}
}

// verdict is what an allocation must answer: an error, the lease that the id has already, or one of some devices.
type verdict struct {
	code     lease.Code
	existing *modelLease
	choices  []string
}

// allocate decides an allocation; slack is how near two times must be to count as the same.
func (m *model) allocate(g lease.Grant, slack time.Duration) verdict {
	m.reap()
	if l := m.record(g.ID); l != nil {
		return m.again(l, g)
	}
	if g.Demand.Device != "" {
		return m.takeNamed(g.Demand.Device)
	}
	return m.takeLongestFree(g.Demand.Classes, slack)
}

func (m *model) again(l *modelLease, g lease.Grant) verdict {
	if l.grant.Request.Digest() != g.Request.Digest() {
		return verdict{code: lease.CodeInvalid}
	}
	if l.reason == "" && m.holds(l) {
		return verdict{existing: l}
	}
	if l.reason == "" {
		m.finish(l, m.lost(l))
	}
	return verdict{code: lease.CodeEnded}
}

func (m *model) takeNamed(device string) verdict {
	d := m.devices[device]
	if d == nil {
		return verdict{code: lease.CodeNoneFree}
	}
	if !m.takeable(device) {
		m.unlist(d)
		return verdict{code: lease.CodeNoneFree}
	}
	return verdict{choices: []string{device}}
}

// takeable reports whether a device is in service and nobody's.
func (m *model) takeable(device string) bool {
	_, locked := m.holder(device)
	return !locked && m.devices[device].state == "in_service"
}

// unlist takes a device from the free.
func (m *model) unlist(d *modelDevice) {
	if d.place == lease.DeviceFree {
		d.place = ""
	}
}

// takeLongestFree finds the device that has been free the longest. Entries of devices that can't be taken are wrong, and
// go.
func (m *model) takeLongestFree(classes []string, slack time.Duration) verdict {
	free := m.free(classes)
	for i, device := range free {
		d := m.devices[device]
		if !m.takeable(device) {
			m.unlist(d)
			continue
		}
		tied := slices.DeleteFunc(free[i:], func(other string) bool {
			return other != device && (slack == 0 || m.devices[other].since != d.since)
		})
		return verdict{choices: tied}
	}
	return verdict{code: lease.CodeNoneFree}
}

// free is the devices of some classes that are listed as free, the longest first, and by name where that is the same.
func (m *model) free(classes []string) []string {
	var found []string
	for name, d := range m.devices {
		if d.place == lease.DeviceFree && slices.Contains(classes, d.class) {
			found = append(found, name)
		}
	}
	slices.SortFunc(found, func(a, b string) int {
		return cmp.Or(cmp.Compare(m.devices[a].since, m.devices[b].since), strings.Compare(a, b))
	})
	return found
}

// grant records that a device was granted.
func (m *model) grant(g lease.Grant, device string, fence int64) *modelLease {
	until := m.now + min(g.TTL, g.MaxHold) + m.grace
	deadline := m.now + g.MaxHold
	l := &modelLease{
		grant: g, device: device, fence: fence, create: m.now, deadline: deadline, forget: deadline + m.grace + retention,
	}
	m.leases[g.ID], m.active[g.ID], m.locks[device], m.fence = l, until, modelLock{g.ID, until}, fence
	d := m.devices[device]
	d.place, d.last = "", g.ID
	d.grant++
	return l
}

// keepalive decides a keepalive: nil without an error when the lease is renewed.
func (m *model) keepalive(id lease.ID) (*modelLease, lease.Code) {
	l := m.record(id)
	if l == nil {
		return nil, lease.CodeNotFound
	}
	if l.reason == "" {
		switch {
		case !m.holds(l):
			m.finish(l, m.lost(l))
		case l.deadline <= m.now:
			m.finish(l, lease.ReasonDeadline)
		default:
			until := min(m.now+l.grant.TTL, l.deadline) + m.grace
			m.locks[l.device], m.active[id] = modelLock{id, until}, until
			return l, ""
		}
	}
	return l, lease.CodeEnded
}

// release decides a release.
func (m *model) release(id lease.ID, retract bool) (*modelLease, lease.Code) {
	l := m.record(id)
	if l == nil {
		return nil, lease.CodeNotFound
	}
	if l.reason == "" {
		reason := lease.ReasonReleased
		if !m.holds(l) {
			reason = m.lost(l)
		}
		m.finish(l, reason)
	}
	if retract {
		delete(m.leases, id)
		delete(m.ended, id)
		return l, ""
	}
	if l.reason == lease.ReasonReleased {
		return l, ""
	}
	return l, lease.CodeEnded
}
