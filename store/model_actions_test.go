package store_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/automation-infra/automation-infra/lease"
)

func (m *machine) allocateAny(t *rapid.T) { m.allocateNew(t, lease.Request{}) }
func (m *machine) allocateSelected(t *rapid.T) {
	m.allocateNew(t, lease.Request{Selector: m.selector(t)})
}
func (m *machine) allocateNamed(t *rapid.T) { m.allocateNew(t, lease.Request{Name: m.device(t)}) }

func (m *machine) selector(t *rapid.T) string {
	return rapid.SampledFrom([]string{"model=x", "model in (x,y)", "!model"}).Draw(t, "selector")
}

// device draws one of the inventory, or one that was or may come to be in it.
func (m *machine) device(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "device")
}

// allocateNew asks with a token that nobody used.
func (m *machine) allocateNew(t *rapid.T, r lease.Request) {
	n := len(m.history)
	r.Pool, r.Holder, r.Purpose, r.Link = pool, fmt.Sprintf("holder %d", n), "nightly", "https://ci/7"
	asks := rapid.SampledFrom(terms).Draw(t, "term")
	r.TTL, r.MaxHold = asks.ttl, asks.hold
	token := lease.Token(fmt.Sprintf("secret-of-holder-%08d", n))
	asked := request{token, token.ID(pool), r}
	m.history = append(m.history, asked)
	m.allocate(t, asked)
}

// allocateAgain repeats a token, mostly with the same request.
func (m *machine) allocateAgain(t *rapid.T) {
	if len(m.history) == 0 {
		t.Skip("no token was used")
	}
	asked := rapid.SampledFrom(m.history).Draw(t, "token")
	if rapid.IntRange(0, 3).Draw(t, "other request") == 3 {
		asked.Purpose = "other"
	}
	m.allocate(t, asked)
}

func (m *machine) allocate(t *rapid.T, asked request) {
	g, err := m.lab.Resolve(asked.id, asked.Request)
	if errors.Is(err, lease.ErrNoMatch) {
		return // the store is not asked
	}
	want := m.model.allocate(g, m.redis.Slack)
	got, granted, err := m.store.Allocate(m.ctx, g)
	t.Logf("allocate for %s: granted %v: %+v, %v", asked.Holder, granted, got, err)
	switch {
	case want.code != "":
		m.refused(t, g, err, want.code)
	case err != nil:
		t.Fatalf("allocate for %s: error %s", asked.Holder, errorCode(err))
	case want.existing != nil:
		if granted {
			t.Fatalf("allocate for %s: granted a second time: %v", asked.Holder, got.Devices)
		}
		m.sameLease(t, got, want.existing)
	default:
		m.granted(t, g, got, granted, want.choices)
	}
}

// granted checks a new lease: of a device that nobody holds and that was free the longest, with a higher fence.
func (m *machine) granted(t *rapid.T, g lease.Grant, got *lease.Lease, granted bool, choices []string) {
	if !granted || len(got.Devices) != 1 || !slices.Contains(choices, got.Devices[0]) {
		t.Fatalf("allocate %s: granted %v: %v, want one of %v", g.ID, granted, got.Devices, choices)
	}
	if id, locked := m.model.holder(got.Devices[0]); locked {
		t.Fatalf("allocate %s: granted %s, which %s holds", g.ID, got.Devices[0], id)
	}
	if got.Fence <= m.model.fence {
		t.Logf("fence %d, the last was %d", got.Fence, m.model.fence)
		t.Fatalf("allocate %s: the fence does not rise", g.ID)
	}
	m.sameLease(t, got, m.model.grant(g, got.Devices[0], got.Fence))
}

// refused checks why an allocation was refused.
func (m *machine) refused(t *rapid.T, g lease.Grant, err error, code lease.Code) {
	e := m.coded(t, "allocate", g.ID, err, code)
	switch code {
	case lease.CodeEnded:
		m.sameEnd(t, e.Ended, m.model.leases[g.ID], m.clock(t))
	case lease.CodeNoneFree:
		maintenance, next, known := m.model.availability(g)
		a := e.Availability
		if a.Matching != g.Demand.Matching || a.Maintenance != maintenance || a.Leased != a.Matching-maintenance {
			t.Fatalf("allocate %s: %d leased, %d in maintenance of %d, want %d in maintenance of %d",
				g.ID, a.Leased, a.Maintenance, a.Matching, maintenance, g.Demand.Matching)
		}
		if known == a.NextEnd.IsZero() {
			t.Fatalf("allocate %s: the next end is known: %v, want %v", g.ID, !known, known)
		}
		if known {
			m.sameTime(t, "next end", a.NextEnd, next, a.Now)
		}
	}
}

// anyID draws the id of a lease: mostly of one that nobody noticed to be over, else of a token that was used, or of one
// that never was.
func (m *machine) anyID(t *rapid.T) lease.ID {
	kind := rapid.IntRange(0, 9).Draw(t, "kind of lease")
	if kind == 9 || len(m.history) == 0 {
		return lease.Token("nobody-ever-used-this-token").ID(pool)
	}
	active := slices.DeleteFunc(slices.Clone(m.history), func(asked request) bool { return !m.model.isActive(asked.id) })
	if kind < 7 && len(active) > 0 {
		return rapid.SampledFrom(active).Draw(t, "token").id
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
	if code == lease.CodeEnded {
		m.sameEnd(t, e.Ended, want, m.clock(t))
	}
}

// advance moves to a phase of this round or a later one.
func (m *machine) advance(t *rapid.T) {
	to := m.model.now - m.model.now%round + phases[rapid.IntRange(0, len(phases)-1).Draw(t, "phase")]
	to += round * time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 1, 5}).Draw(t, "rounds"))
	if to <= m.model.now {
		to += round
	}
	m.redis.Advance(to - m.model.now)
	m.model.now = to
}

func (m *machine) reap(t *rapid.T) {
	more, err := m.store.Reap(m.ctx, pool)
	if err != nil || more {
		t.Fatalf("reap: more %v, %v", more, err)
	}
	m.model.reap()
	m.model.tidy()
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
