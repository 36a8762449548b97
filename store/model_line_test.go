package store_test

import (
	"cmp"
	"slices"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// order is a place in line; the lower is served first.
type order struct {
	at     time.Duration // when it was drawn, less what the priority is worth
	number int           // how many were drawn before
}

func (o order) compare(p order) int {
	return cmp.Or(cmp.Compare(o.at, p.at), cmp.Compare(o.number, p.number))
}

// inLine is the leases that wait, in order.
func (m *model) inLine() []*modelLease {
	var line []*modelLease
	for id := range m.line {
		if l := m.record(id); l != nil {
			line = append(line, l)
		}
	}
	slices.SortFunc(line, func(a, b *modelLease) int { return m.line[a.grant.ID].compare(m.line[b.grant.ID]) })
	return line
}

// join puts a lease in line.
func (m *model) join(l *modelLease) {
	id := l.grant.ID
	m.line[id] = order{max(m.now, m.drawn) - time.Duration(l.grant.Request.Priority)*l.grant.Queueing.Ageing, m.joined}
	m.joined++
	m.asked[id] = m.now
	m.touch(l)
}

// touch has a lease wait on for as long as it may without being asked for.
func (m *model) touch(l *modelLease) {
	due := m.now + l.grant.Queueing.AskWithin
	m.tickets[l.grant.ID] = due
	l.forget = due + l.grant.MaxHold + m.grace + retention
}

// ask asks for a lease that waits; then the line is served.
func (m *model) ask(l *modelLease) {
	m.touch(l)
	m.notice(l)
	m.freed = true
}

// leave takes a lease out of the line.
func (m *model) leave(id lease.ID) {
	delete(m.line, id)
	delete(m.tickets, id)
	delete(m.asked, id)
}

// drop ends a lease that waits. What it spoke for is to be had.
func (m *model) drop(l *modelLease, reason lease.Reason, at time.Duration) {
	m.leave(l.grant.ID)
	m.close(l, reason, at)
	m.freed = true
}

// serve hands what became free to who waits.
func (m *model) serve() {
	if m.freed {
		m.walk(m.inLine())
	}
}

// walk goes through leases that wait, in order, unless grants are paused. One that can have all that it wants is granted; any other speaks for what it
// could use, unless it does not wait for the rest.
func (m *model) walk(line []*modelLease) {
	if m.paused() {
		return
	}
	spoken := map[string]bool{}
	for _, l := range line {
		wanted := places(l.grant.Wants)
		taken := basis(wanted, m.spare(spoken))
		switch {
		case len(taken) == len(wanted) && len(taken) > 0:
			m.award(l, taken)
		case l.grant.Wait:
			for _, device := range taken {
				spoken[device.name] = true
			}
		}
	}
}

// spare is the devices that are to be had: in service, among the free, not locked and not spoken for.
func (m *model) spare(spoken map[string]bool) []spare {
	var found []spare
	for name, d := range m.devices {
		if d.place == lease.DeviceFree && !m.mistaken(name) && !spoken[name] {
			found = append(found, spare{name, d.class, d.since})
		}
	}
	return found
}

// notice puts the devices that a lease names where they belong, if nobody noticed yet that they are not locked any more.
func (m *model) notice(l *modelLease) {
	for _, w := range l.grant.Wants {
		if d := m.devices[w.Device]; d != nil && d.place == "" {
			if _, locked := m.holder(w.Device); !locked {
				m.settle(w.Device, m.now)
			}
		}
	}
}

// award grants a lease.
func (m *model) award(l *modelLease, devices []spare) {
	id := l.grant.ID
	m.leave(id)
	l.start, l.deadline = m.now, m.now+l.grant.MaxHold
	l.forget = l.deadline + m.grace + retention
	until := m.now + min(l.grant.TTL, l.grant.MaxHold) + m.grace
	m.active[id] = until
	for _, device := range devices {
		l.devices = append(l.devices, device.name)
		m.locks[device.name] = modelLock{id, until}
		d := m.devices[device.name]
		d.place, d.last = "", id
		d.grant++
	}
	m.granted = append(m.granted, l)
}

// verdict is what an allocation must answer: an error, or a lease.
type verdict struct {
	code    lease.Code
	lease   *modelLease
	granted bool // whether it is new
}

// allocate decides an allocation.
func (m *model) allocate(g lease.Grant) verdict {
	m.freed = false
	m.reap()
	known := m.record(g.ID)
	switch {
	case known != nil:
		code := m.again(known, g)
		m.serve()
		if code == "" {
			known.show()
		}
		return verdict{code: code, lease: known}
	case m.overQuota(g):
		m.serve()
		return verdict{code: lease.CodeQuota}
	}
	return m.request(g)
}

// again answers for an id that was used before.
func (m *model) again(l *modelLease, g lease.Grant) lease.Code {
	switch {
	case l.grant.Request.Digest() != g.Request.Digest():
		return lease.CodeInvalid
	case l.waits():
		m.ask(l)
		return ""
	case l.reason == "" && m.holds(l):
		return ""
	case l.reason == "":
		m.finish(l, m.lost(l))
	}
	return lease.CodeEnded
}

// show has the holder of a lease told of it again.
func (l *modelLease) show() {
	if l != nil && l.reason == "" && !l.waits() {
		l.shown = true
	}
}

// overQuota reports whether a holder would have too much of the pool.
func (m *model) overQuota(g lease.Grant) bool {
	leases, devices := 1, len(places(g.Wants))
	for id, l := range m.leases {
		if m.isOn(id) && l.grant.Request.Holder == g.Request.Holder {
			leases, devices = leases+1, devices+len(places(l.asked()))
		}
	}
	most := g.Limits
	return most.LeasesPerHolder > 0 && leases > most.LeasesPerHolder || most.DevicesPerHolder > 0 && devices > most.DevicesPerHolder
}

// asked is the wants of a lease by number alone, which the inventory does not change.
func (l *modelLease) asked() []lease.Want {
	wants := make([]lease.Want, len(l.grant.Request.Demands))
	for i, demand := range l.grant.Request.Demands {
		wants[i].Count = demand.Count
	}
	return wants
}

// request decides a new lease, at the place in line that it has or would have. Those behind it can be given something only
// when something became free.
func (m *model) request(g lease.Grant) verdict {
	l := &modelLease{grant: g, create: m.now}
	m.leases[g.ID] = l
	m.join(l)
	m.notice(l)
	line := m.inLine()
	if !m.freed {
		line = line[:slices.Index(line, l)+1]
	}
	m.walk(line)
	if l.waits() && !g.Wait {
		m.leave(g.ID)
		delete(m.leases, g.ID)
		if m.paused() {
			return verdict{code: lease.CodeUnavailable}
		}
		return verdict{code: lease.CodeNoneFree}
	}
	return verdict{lease: l, granted: !l.waits()}
}

// poll asks for a lease; nil when there is none.
func (m *model) poll(id lease.ID) (l *modelLease) {
	m.step(func() {
		m.reap()
		if l = m.record(id); l != nil && l.waits() {
			m.ask(l)
		}
	})
	l.show()
	return l
}
