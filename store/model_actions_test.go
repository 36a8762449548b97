package store_test

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/automation-infra/automation-infra/lease"
)

func (m *machine) allocateAny(t *rapid.T) { m.allocateNew(t, lease.Demand{}) }
func (m *machine) allocateSelected(t *rapid.T) {
	m.allocateNew(t, lease.Demand{Selector: m.selector(t)})
}
func (m *machine) allocateNamed(t *rapid.T) { m.allocateNew(t, lease.Demand{Name: m.device(t)}) }

// allocateSeveral asks for devices by several demands, which may overlap.
func (m *machine) allocateSeveral(t *rapid.T) {
	demands := make([]lease.Demand, rapid.IntRange(1, 3).Draw(t, "demands"))
	for i := range demands {
		switch rapid.IntRange(0, 3).Draw(t, "kind of demand") {
		case 0:
			demands[i] = lease.Demand{Name: m.device(t)}
		case 1:
			demands[i] = lease.Demand{Count: rapid.IntRange(1, 2).Draw(t, "count")}
		default:
			demands[i] = lease.Demand{Selector: m.selector(t), Count: rapid.IntRange(1, 2).Draw(t, "count")}
		}
	}
	m.allocateNew(t, demands...)
}

// rush has some ask one after another, so that there is a line.
func (m *machine) rush(t *rapid.T) {
	asks := []func(*rapid.T){m.allocateAny, m.allocateSelected, m.allocateNamed, m.allocateSeveral}
	for range rapid.IntRange(2, 4).Draw(t, "how many") {
		rapid.SampledFrom(asks).Draw(t, "what")(t)
		m.check(t)
	}
}

// allocateLate asks for several devices as the first after some time, so that who asks notices what is over.
func (m *machine) allocateLate(t *rapid.T) {
	m.advance(t)
	m.check(t)
	m.allocateSeveral(t)
}

func (m *machine) selector(t *rapid.T) string {
	return rapid.SampledFrom([]string{"model=x", "model in (x,y)", "!model"}).Draw(t, "selector")
}

// device draws one of the inventory, or one that was or may come to be in it.
func (m *machine) device(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "device")
}

// allocateNew asks with a token that nobody used.
func (m *machine) allocateNew(t *rapid.T, demands ...lease.Demand) {
	n, asks := len(m.history), rapid.SampledFrom(terms).Draw(t, "term")
	token := lease.Token(fmt.Sprintf("secret-of-holder-%08d", n))
	asked := request{
		token: token, id: token.ID(pool), ask: rapid.SampledFrom(askWithin).Draw(t, "ask within"),
		Request: lease.Request{
			Pool: pool, Demands: demands, Priority: rapid.SampledFrom(priorities).Draw(t, "priority"), TTL: asks.ttl, MaxHold: asks.hold,
			Holder: rapid.SampledFrom([]string{"alice", "bob", ""}).Draw(t, "holder"), Purpose: "nightly", Link: "https://ci/7",
		},
	}
	m.history = append(m.history, asked)
	m.ids[asked.id.String()] = asked.id
	m.allocate(t, asked)
}

// allocateAgain repeats a token, mostly with the same request. It does not take up what is left in line of one that was
// forgotten.
func (m *machine) allocateAgain(t *rapid.T) {
	if len(m.history) == 0 {
		t.Skip("no token was used")
	}
	asked := rapid.SampledFrom(m.history).Draw(t, "token")
	if slices.Contains(m.strangers, asked.id.String()) {
		t.Skip("it is in line without a record")
	}
	if rapid.IntRange(0, 3).Draw(t, "other request") == 3 {
		asked.Purpose = "other"
	}
	m.allocate(t, asked)
}

func (m *machine) allocate(t *rapid.T, asked request) {
	g, err := m.lab.Resolve(asked.id, asked.Request)
	if err != nil {
		return // the store is not asked
	}
	g.Wait, g.Queueing.AskWithin = rapid.IntRange(0, 3).Draw(t, "wait") > 0, asked.ask
	want := m.model.allocate(g)
	got, granted, err := m.store.Allocate(m.ctx, g)
	t.Logf("allocate %+v, priority %d, wait %v: granted %v: %+v, %v", g.Wants, g.Request.Priority, g.Wait, granted, got, err)
	switch {
	case want.code != "":
		m.refused(t, g, err, want)
	case err != nil:
		t.Fatalf("allocate %s: error %s", g.ID, errorCode(err))
	case granted != want.granted:
		t.Fatalf("allocate %s: granted %v, want %v", g.ID, granted, want.granted)
	default:
		m.sameLease(t, got, want.lease)
	}
}

// refused checks why an allocation was refused.
func (m *machine) refused(t *rapid.T, g lease.Grant, err error, want verdict) {
	e := m.coded(t, "allocate", g.ID, err, want.code)
	switch want.code {
	case lease.CodeEnded:
		m.sameEnd(t, e.Ended, want.lease, m.clock(t))
	case lease.CodeNoneFree:
		m.sameAvailability(t, *e.Availability, g)
	}
}

// poll asks for a lease, mostly for one that waits.
func (m *machine) poll(t *rapid.T) {
	id := m.anyID(t)
	if line := m.model.inLine(); len(line) > 0 && rapid.IntRange(0, 3).Draw(t, "any lease") < 3 {
		id = line[rapid.IntRange(0, len(line)-1).Draw(t, "place")].grant.ID
	}
	want := m.model.poll(id)
	got, err := m.store.Poll(m.ctx, id)
	t.Logf("poll: %+v, %v", got, err)
	m.read(t, id, got, err, want)
}

// anyID draws the id of a lease: mostly of one that nobody noticed to be over, else of a token that was used, or of one
// that never was.
func (m *machine) anyID(t *rapid.T) lease.ID {
	kind := rapid.IntRange(0, 9).Draw(t, "kind of lease")
	if kind == 9 || len(m.history) == 0 {
		return lease.Token("nobody-ever-used-this-token").ID(pool)
	}
	on := slices.DeleteFunc(slices.Clone(m.history), func(asked request) bool { return !m.model.isOn(asked.id) })
	if kind < 7 && len(on) > 0 {
		return rapid.SampledFrom(on).Draw(t, "token").id
	}
	return rapid.SampledFrom(m.history).Draw(t, "token").id
}

func (m *machine) keepalive(t *rapid.T) {
	id := m.anyID(t)
	want, code := m.model.keepalive(id)
	got, err := m.store.Keepalive(m.ctx, id)
	t.Logf("keepalive: %+v, %v", got, err)
	if code != "" {
		m.over(t, "keepalive", id, want, err, code)
		return
	}
	if err != nil {
		t.Fatalf("keepalive %s: error %s", id, errorCode(err))
	}
	if got.TTL != want.grant.TTL {
		t.Fatalf("keepalive %s: TTL %s, want %s", id, got.TTL, want.grant.TTL)
	}
	m.sameTime(t, "expire", got.Expire, m.model.active[id]-modelGrace, got.Now)
	m.sameTime(t, "deadline", got.Deadline, want.deadline, got.Now)
}

func (m *machine) release(t *rapid.T) {
	id, retract := m.anyID(t), rapid.IntRange(0, 3).Draw(t, "retract") == 3
	want, code := m.model.release(id, retract)
	ask := m.store.Release
	if retract {
		ask = m.store.Retract
	}
	err := ask(m.ctx, id)
	t.Logf("release: %v", err)
	if code != "" {
		m.over(t, "release", id, want, err, code)
	} else if err != nil {
		t.Fatalf("release %s: error %s", id, errorCode(err))
	}
}

// over checks that a lease is told to be over, or unknown.
func (m *machine) over(t *rapid.T, operation string, id lease.ID, want *modelLease, err error, code lease.Code) {
	e := m.coded(t, operation, id, err, code)
	switch {
	case code == lease.CodeEnded && want == nil:
		if e.Ended == nil || e.Ended.Reason != lease.ReasonStoreLost {
			t.Fatalf("%s %s: ended otherwise than with what was lost", operation, id)
		}
	case code == lease.CodeEnded:
		m.sameEnd(t, e.Ended, want, m.clock(t))
	}
}

// advance moves to a phase of this round or a later one.
func (m *machine) advance(t *rapid.T) {
	to := m.model.now - m.model.now%round + phases[rapid.IntRange(0, len(phases)-1).Draw(t, "phase")]
	to += round * time.Duration(rapid.SampledFrom([]int{0, 0, 0, 0, 0, 1, 1, 5}).Draw(t, "rounds"))
	if to <= m.model.now {
		to += round
	}
	paused := m.model.paused()
	m.redis.Advance(to - m.model.now)
	m.model.now = to
	if paused && !m.model.paused() {
		m.reap(t) // as within a second at the latest
	}
}

func (m *machine) reap(t *rapid.T) {
	next, err := m.store.Reap(m.ctx, pool)
	if err != nil {
		t.Fatalf("reap: %v", err)
	}
	m.model.step(func() {
		m.model.reap()
		m.model.cap()
		m.model.tidy()
		m.model.freed = true
	})
	m.sameNext(t, next)
}

// sameNext compares when the next lease is due, which is told while someone waits.
func (m *machine) sameNext(t *rapid.T, got time.Duration) {
	due := inOrder(m.model.active)
	wanted := len(due) > 0 && len(m.model.inLine()) > 0
	if wanted != (got > 0) && len(m.strangers) == 0 {
		t.Fatalf("reap: the next lease is due in %s, which somebody waits for: %v", got.Round(time.Minute), wanted)
	}
	if wanted {
		m.sameLeft(t, "next due", got, m.model.active[due[0]])
	}
}

func (m *machine) setDevice(t *rapid.T) {
	name, change := m.device(t), lease.DeviceChange{}
	if rapid.Bool().Draw(t, "change state") {
		on := rapid.Bool().Draw(t, "maintenance")
		change.Maintenance = &on
	}
	if rapid.Bool().Draw(t, "change note") {
		note := rapid.SampledFrom([]string{"", "cable loose"}).Draw(t, "note")
		change.Note = &note
	}
	got, err := m.store.SetDevice(m.ctx, pool, name, change)
	if !m.model.setDevice(name, change) {
		m.wantCode(t, "set device", name, err, lease.CodeNotFound)
		return
	}
	if err != nil {
		t.Fatalf("set device %s: %v", name, err)
	}
	m.sameDevice(t, name, got, m.clock(t))
}
