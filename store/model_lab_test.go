package store_test

import (
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// availability counts what an allocation that finds nothing free tells; next is when the first matching lease ends.
func (m *model) availability(g lease.Grant) (maintenance int, next time.Duration, known bool) {
	wanted := map[string]bool{}
	for _, class := range g.Demand.Classes {
		wanted[class] = true
	}
	matches := func(name string, d *modelDevice) bool {
		if g.Demand.Device != "" {
			return name == g.Demand.Device
		}
		return d != nil && wanted[d.class]
	}
	for name, d := range m.devices {
		if d.place == lease.DeviceMaintenance && matches(name, d) {
			maintenance++
		}
	}
	for id, due := range m.active {
		l := m.record(id)
		if l != nil && matches(l.device, m.devices[l.device]) && (!known || due < next) {
			next, known = due, true
		}
	}
	return maintenance, next, known
}

// reconcile makes devices known with their classes, and forgets the others.
func (m *model) reconcile(pool *lease.Pool) {
	inventory := map[string]bool{}
	for i := range pool.Devices {
		inventory[pool.Devices[i].Name] = true
		m.register(pool.Devices[i].Name, pool.Devices[i].Class())
	}
	for name, d := range m.devices {
		if inventory[name] {
			continue
		}
		if d.state = "removed"; !m.heldOut(name) {
			m.settle(name, m.now)
		}
	}
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
	if last := m.record(d.last); last != nil && last.reason == "" {
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
		m.active[id], m.leases[id].repaired = m.locks[name].until, true
	}
	return true
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
	if _, locked := m.holder(name); !locked {
		m.settle(name, m.now)
	}
	return true
}

// listed is the leases that a list of a state shows, with the time it is ordered by.
func (m *model) listed(state lease.State) map[lease.ID]time.Duration {
	index := m.ended
	if state == lease.StateActive {
		index = m.active
	}
	found := map[lease.ID]time.Duration{}
	for id, at := range index {
		if l := m.record(id); l != nil && m.state(l) == state {
			found[id] = at
		}
	}
	return found
}

func (m *model) state(l *modelLease) lease.State {
	if reason, _ := m.over(l); reason != "" {
		return reason.State()
	}
	return lease.StateActive
}

// gone is the leases that are listed as active though they hold no lock.
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
	return m.locks[l.device].until - m.grace
}
