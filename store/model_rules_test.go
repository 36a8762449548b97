package store_test

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// retention is how long the record of an ended lease is kept.
const retention = time.Hour

// model is what the store promises for one pool, in plain Go. Its times are since the pool began, and move by advance
// alone; what passes by itself on a real Redis is left out, but for what adopt takes over.
type model struct {
	now     time.Duration
	grace   time.Duration
	fence   int64 // the highest number that was ever drawn, whatever was lost since
	devices map[string]*modelDevice
	locks   map[string]modelLock
	leases  map[lease.ID]*modelLease
	active  map[lease.ID]time.Duration // when the index says that the locks expire
	ended   map[lease.ID]time.Duration // when the index says that a lease ended

	line    map[lease.ID]order         // who waits, and where
	joined  int                        // how many ever did
	tickets map[lease.ID]time.Duration // when who waits is dropped
	asked   map[lease.ID]time.Duration // since when

	drawn  time.Duration // what time the last number is, of those that places in line are made of: ahead of now after the clock went back
	resume time.Duration // when grants go on after a loss of the data
	blame  time.Duration // until when that loss is known

	freed   bool          // whether the step that is being made has made something free
	granted []*modelLease // since the last check, in order
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
	grant    lease.Grant // with the wants of the inventory in force
	create   time.Duration
	forget   time.Duration
	devices  []string // none while it waits
	fence    int64    // 0 until the store told
	start    time.Duration
	deadline time.Duration
	shown    bool         // whether its holder was told of it again while it was active
	reason   lease.Reason // "" until somebody noticed that it is over
	end      time.Duration
}

// waits reports whether a lease is in line.
func (l *modelLease) waits() bool { return l.devices == nil && l.reason == "" }

func newModel(grace time.Duration) *model {
	m := &model{grace: grace}
	m.loseEverything()
	return m
}

// loseEverything is what remains when Redis lost its data: the promise that fences rise.
func (m *model) loseEverything() {
	m.devices, m.locks, m.leases = map[string]*modelDevice{}, map[string]modelLock{}, map[lease.ID]*modelLease{}
	m.active, m.ended = map[lease.ID]time.Duration{}, map[lease.ID]time.Duration{}
	m.line = map[lease.ID]order{}
	m.tickets, m.asked = map[lease.ID]time.Duration{}, map[lease.ID]time.Duration{}
	m.drawn, m.resume, m.blame = 0, 0, 0
}

// paused reports whether nothing is granted.
func (m *model) paused() bool { return m.now < m.resume }

// certain is how long holders may go on at the most from now, whatever becomes of the data.
func (m *model) certain() time.Duration {
	longest := m.resume - m.now
	for _, l := range m.leases {
		if len(l.devices) > 0 && m.holds(l) && l.reason == "" {
			longest = max(longest, l.grant.TTL+m.grace)
		}
	}
	return longest
}

// setBack sets the clock back. What had expired stays so.
func (m *model) setBack(d time.Duration) {
	maps.DeleteFunc(m.locks, func(_ string, lock modelLock) bool { return lock.until <= m.now })
	maps.DeleteFunc(m.leases, func(_ lease.ID, l *modelLease) bool { return l.forget <= m.now })
	if !m.paused() {
		m.resume = 0
	}
	if m.now >= m.blame {
		m.blame = 0
	}
	m.now -= d
}

// cap has leases live no longer from now than they may, after the clock went back.
func (m *model) cap() {
	for id, due := range m.active {
		l := m.record(id)
		if l == nil || l.waits() || l.reason != "" || due <= m.now+l.grant.TTL+m.grace {
			continue
		}
		m.active[id] = m.now + l.grant.TTL + m.grace
		for _, device := range l.devices {
			if lock := m.locks[device]; lock.id == id {
				m.locks[device] = modelLock{id, min(lock.until, m.active[id])}
			}
		}
		if l.start > m.now {
			l.start, l.deadline = m.now, m.now+l.deadline-l.start
		}
	}
}

// step is what one script does: at its end, what became free is handed to who waits.
func (m *model) step(do func()) {
	m.freed = false
	do()
	m.serve()
}

// record is a lease that is not forgotten, or nil.
func (m *model) record(id lease.ID) *modelLease {
	if l := m.leases[id]; l != nil && m.now < l.forget {
		return l
	}
	return nil
}

// isOn reports whether a lease waits, or is active as far as anybody noticed.
func (m *model) isOn(id lease.ID) bool {
	l := m.record(id)
	return l != nil && l.reason == ""
}

// holder is the lease whose lock a device has.
func (m *model) holder(device string) (lease.ID, bool) {
	lock, ok := m.locks[device]
	return lock.id, ok && m.now < lock.until
}

// holds reports whether a lease has all of its locks.
func (m *model) holds(l *modelLease) bool {
	return !slices.ContainsFunc(l.devices, func(device string) bool {
		id, locked := m.holder(device)
		return !locked || id != l.grant.ID
	})
}

// lost is why a lease without its locks is over: a lock that died before its time was removed.
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

// over is why and when a lease ended, whether or not that was noticed; "" while it waits or is active. One that waits is
// over when somebody notices that nobody asked for it.
func (m *model) over(l *modelLease) (lease.Reason, time.Duration) {
	if l.reason != "" {
		return l.reason, l.end
	}
	if l.waits() || m.holds(l) {
		return "", 0
	}
	reason := m.lost(l)
	if reason.State() == lease.StateExpired {
		return reason, m.active[l.grant.ID]
	}
	return reason, m.now
}

// finish ends an active lease.
func (m *model) finish(l *modelLease, reason lease.Reason) {
	id, at := l.grant.ID, m.now
	if due, listed := m.active[id]; listed && reason.State() == lease.StateExpired {
		at = min(at, due)
	}
	delete(m.active, id)
	for _, device := range l.devices {
		if holder, locked := m.holder(device); locked && holder == id {
			delete(m.locks, device)
		}
	}
	m.close(l, reason, at)
	for _, device := range l.devices {
		if _, locked := m.holder(device); !locked {
			m.settle(device, at)
		}
	}
}

// close writes down that a lease is over.
func (m *model) close(l *modelLease, reason lease.Reason, at time.Duration) {
	l.reason, l.end, l.forget = reason, at, m.now+retention
	m.ended[l.grant.ID] = at
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
	if d.state == "in_service" {
		m.freed = true
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
	for _, id := range m.due(m.active) {
		l := m.record(id)
		switch {
		case l == nil:
			delete(m.active, id)
		case m.holds(l):
			m.active[id] = m.locks[l.devices[0]].until
		default:
			m.finish(l, m.lost(l))
		}
	}
	for _, id := range m.due(m.tickets) {
		if l := m.record(id); l != nil {
			m.drop(l, lease.ReasonAbandoned, m.tickets[id])
		} else {
			m.leave(id)
		}
	}
}

// due is the leases whose time in an index has come, in its order.
func (m *model) due(index map[lease.ID]time.Duration) []lease.ID {
	return slices.DeleteFunc(inOrder(index), func(id lease.ID) bool { return index[id] > m.now })
}

// inOrder is the leases of an index, by time and where that is the same by id.
func inOrder(index map[lease.ID]time.Duration) []lease.ID {
	return slices.SortedFunc(maps.Keys(index), func(a, b lease.ID) int {
		return cmp.Or(cmp.Compare(index[a], index[b]), strings.Compare(a.String(), b.String()))
	})
}

// tidy drops leases that ended long ago from their index.
func (m *model) tidy() {
	for id, at := range m.ended {
		if at <= m.now-retention {
			delete(m.ended, id)
		}
	}
}

// keepalive decides a keepalive: no code when the lease is renewed.
func (m *model) keepalive(id lease.ID) (l *modelLease, code lease.Code) {
	m.step(func() { l, code = m.renew(id) })
	return l, code
}

func (m *model) renew(id lease.ID) (*modelLease, lease.Code) {
	l := m.record(id)
	switch {
	case l == nil && m.now < m.blame:
		return nil, lease.CodeEnded
	case l == nil:
		return nil, lease.CodeNotFound
	case l.waits():
		return l, lease.CodeConflict
	case l.reason != "":
		return l, lease.CodeEnded
	case !m.holds(l):
		m.finish(l, m.lost(l))
		return l, lease.CodeEnded
	case l.deadline <= m.now:
		m.finish(l, lease.ReasonDeadline)
		return l, lease.CodeEnded
	}
	until := min(m.now+l.grant.TTL, l.deadline) + m.grace
	m.active[id] = until
	for _, device := range l.devices {
		m.locks[device] = modelLock{id, until}
	}
	return l, ""
}

// release decides a release.
func (m *model) release(id lease.ID, retract bool) (l *modelLease, code lease.Code) {
	if l := m.record(id); retract && l != nil && l.shown {
		return l, ""
	}
	m.step(func() { l, code = m.giveBack(id) })
	if retract && l != nil {
		delete(m.leases, id)
		delete(m.ended, id)
		return l, ""
	}
	return l, code
}

func (m *model) giveBack(id lease.ID) (*modelLease, lease.Code) {
	l := m.record(id)
	switch {
	case l == nil:
		return nil, lease.CodeNotFound
	case l.waits():
		m.drop(l, lease.ReasonReleased, m.now)
	case l.reason == "" && m.holds(l):
		m.finish(l, lease.ReasonReleased)
	case l.reason == "":
		m.finish(l, m.lost(l))
	}
	if l.reason == lease.ReasonReleased {
		return l, ""
	}
	return l, lease.CodeEnded
}
