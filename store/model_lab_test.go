package store_test

import (
	"reflect"
	"slices"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// availability is how the devices that satisfy some wants are used, as the indexes say.
type availability struct {
	maintenance int
	free        int
	mistaken    int           // of these, listed as free though they are not
	next        time.Duration // when the first of their leases ends
	known       bool          // whether that is known
}

func (m *model) availability(wants []lease.Want) availability {
	var a availability
	matches := func(name string) bool {
		device := spare{name: name}
		if d := m.devices[name]; d != nil {
			device.class = d.class
		}
		return slices.ContainsFunc(wants, func(w lease.Want) bool { return mayTake(w, device) })
	}
	for name, d := range m.devices {
		switch {
		case !matches(name):
		case d.place == lease.DeviceMaintenance:
			a.maintenance++
		case d.place == lease.DeviceFree:
			if a.free++; m.mistaken(name) {
				a.mistaken++
			}
		}
	}
	for id, due := range m.active {
		l := m.record(id)
		if l != nil && slices.ContainsFunc(l.devices, matches) && (!a.known || due < a.next) {
			a.next, a.known = due, true
		}
	}
	return a
}

// mistaken reports whether a device is listed as free though it is not to be had. Whoever comes across such an entry drops
// it; when, is not promised.
func (m *model) mistaken(name string) bool {
	_, locked := m.holder(name)
	d := m.devices[name]
	return d.place == lease.DeviceFree && (locked || d.state != "in_service")
}

// reconcile makes devices known with their classes, forgets the others, and has who waits wait for what there is.
func (m *model) reconcile(pool *lease.Pool) {
	inventory := map[string]bool{}
	m.step(func() {
		for i := range pool.Devices {
			inventory[pool.Devices[i].Name] = true
			m.register(pool.Devices[i].Name, pool.Devices[i].Class())
		}
	})
	m.step(func() {
		for name, d := range m.devices {
			if inventory[name] {
				continue
			}
			if d.state = "removed"; !m.heldOut(name) {
				m.settle(name, m.now)
			}
		}
	})
	m.step(func() { m.requeue(pool) })
}

func (m *model) register(name, class string) {
	d := m.devices[name]
	if d == nil {
		d = &modelDevice{class: class, state: "in_service"}
		m.devices[name] = d
	}
	since := m.now
	if d.class != class {
		if d.place != "" {
			since = d.since
		}
		d.class, d.place = class, ""
	}
	if d.state == "removed" {
		d.state = "in_service"
	}
	if m.heldOut(name) {
		return
	}
	if last := m.record(d.last); last != nil && last.stored() == lease.StateActive && !m.holds(last) {
		m.finish(last, m.lost(last))
	}
	m.settle(name, since)
}

// heldOut reports whether a device is leased; then it is nowhere else, and its lease is listed as active.
func (m *model) heldOut(name string) bool {
	id, locked := m.holder(name)
	if !locked {
		return false
	}
	m.devices[name].place = ""
	if _, listed := m.active[id]; !listed {
		m.active[id] = m.locks[name].until
	}
	return true
}

// requeue finds anew what satisfies the demands of who waits; nothing does when the devices of the pool can't.
func (m *model) requeue(pool *lease.Pool) {
	for _, l := range m.inLine() {
		wants, matching, err := pool.Match(l.grant.Request.Demands)
		if err != nil {
			wants, matching = nil, 0
		}
		if !reflect.DeepEqual(wants, l.grant.Wants) {
			m.freed = true
		}
		l.grant.Wants, l.grant.Matching = wants, matching
	}
}

// setDevice changes a device; false when there is none.
func (m *model) setDevice(name string, c lease.DeviceChange) bool {
	d := m.devices[name]
	if d == nil || d.state == "removed" {
		return false
	}
	if c.Maintenance != nil && *c.Maintenance {
		d.state = "maintenance"
	} else if c.Maintenance != nil {
		d.state = "in_service"
	}
	if c.Note != nil {
		d.note = *c.Note
	}
	m.step(func() {
		if _, locked := m.holder(name); !locked {
			m.settle(name, m.now)
		}
	})
	return true
}

// listed is the leases that a list of a state shows, in its order.
func (m *model) listed(state lease.State) []lease.ID {
	var found []lease.ID
	if state == lease.StatePending {
		for _, l := range m.inLine() {
			found = append(found, l.grant.ID)
		}
		return found
	}
	index := m.ended
	if state == lease.StateActive {
		index = m.active
	}
	for _, id := range inOrder(index) {
		if l := m.record(id); l != nil && m.state(l) == state {
			found = append(found, id)
		}
	}
	return found
}

func (m *model) state(l *modelLease) lease.State {
	if reason, _ := m.over(l); reason != "" {
		return reason.State()
	}
	if l.waits() {
		return lease.StatePending
	}
	return lease.StateActive
}

// gone is the leases that are listed as active though they do not hold all of their locks.
func (m *model) gone() []string {
	var ids []string
	for id := range m.active {
		if l := m.record(id); l == nil || !m.holds(l) {
			ids = append(ids, id.String())
		}
	}
	return ids
}

// expire is when the holder of an active lease was told that it ends. The lock says so, unless the index says another
// time that may be right.
func (m *model) expire(l *modelLease) time.Duration {
	if due, listed := m.active[l.grant.ID]; listed && due > m.now {
		return due - m.grace
	}
	return m.locks[l.devices[0]].until - m.grace
}
