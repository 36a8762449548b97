package store_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// TestModel proves that whatever holders, operators, time and faults do, in whatever order, the store answers as the
// model says, grants the same leases of the same devices in the same order, and leaves in Redis what keeps the invariants.
func TestModel(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		rapid.Check(t, agreesWithModel(r, func(o store.Options) *store.Store {
			return store.NewWithScripts(r.Client, o, unhurried)
		}))
	})
}

var limit = regexp.MustCompile(`(?m)^local WORK = \d+`)

// unhurried has scripts do all at once that they would leave to the next when it is much; the model knows no such limit.
func unhurried(name, source string) string {
	if name != "prelude" {
		return source
	}
	if !limit.MatchString(source) {
		panic("prelude.lua does not say how much one script does")
	}
	return limit.ReplaceAllString(source, "local WORK = 1000000")
}

// agreesWithModel is the property: a random history of a Redis that starts empty.
func agreesWithModel(r *storetest.Redis, open func(store.Options) *store.Store) func(*rapid.T) {
	return func(t *rapid.T) {
		m := &machine{
			ctx: context.WithoutCancel(t.Context()), redis: r,
			open:  func() *store.Store { return open(store.Options{Grace: modelGrace, Timeout: 20 * time.Second}) },
			model: newModel(modelGrace), inventory: map[string]string{"a": "", "b": "x", "c": "x"}, mistaken: -1,
			limits: rapid.SampledFrom(limits).Draw(t, "limits"), ids: map[string]lease.ID{},
		}
		m.store = m.open()
		t.Cleanup(func() { m.loseKeys(t) })
		m.reconcile(t)
		t.Repeat(m.actions())
		m.settle(t)
		m.checkNoSecret(t)
	}
}

// The times of the property. A history moves in minutes, from one of three phases of a round to another, and all that is
// ever due is due at least half a minute before or after: then the time that passes by itself on a real Redis decides
// nothing. Phase 1 is in the grace of leases that were granted or renewed in phase 0, phase 2 between the deadline of such
// leases and the end of their locks; TestTimesNeverCoincide shows that the numbers are right.
const (
	modelGrace = time.Minute
	round      = 13 * time.Minute
	maxHold    = 45 * time.Minute
)

var (
	phases = []time.Duration{0, 2*time.Minute + 30*time.Second, 6*time.Minute + 30*time.Second}
	terms  = []term{
		{2 * time.Minute, 19 * time.Minute}, {15 * time.Minute, 19 * time.Minute}, {15 * time.Minute, maxHold},
		{19 * time.Minute, 19 * time.Minute},
	}
	askWithin = []time.Duration{14*time.Minute + 30*time.Second, 45 * time.Minute}
)

// The rules of the line. Two who asked in different phases or rounds are never near each other in line, unless their priority
// is the same.
const ageing = 5 * time.Minute

var priorities = []int{0, 1, 2, 5}

// limits are what one holder may have, of which each history has one.
var limits = []lease.Limits{{}, {}, {}, {LeasesPerHolder: 3}, {DevicesPerHolder: 4}, {DevicesPerLease: 3, LeasesPerHolder: 4, DevicesPerHolder: 5}}

// term is how long a lease is asked for.
type term struct{ ttl, hold time.Duration }

// GoString is how rapid shows it.
func (t term) GoString() string { return fmt.Sprintf("TTL %s, at most %s", t.ttl, t.hold) }

// machine drives a store and the model side by side. A history is the same each time that it is repeated, and so is what
// fails: no error has in it what differs from run to run, such as fences and milliseconds, or rapid could not shorten it.
type machine struct {
	ctx   context.Context
	redis *storetest.Redis
	open  func() *store.Store // another one
	store *store.Store
	model *model

	inventory map[string]string // device -> its label model, "" for none
	lab       *lease.Inventory  // the same, as the store is given it
	limits    lease.Limits
	history   []request           // of every token that was used
	ids       map[string]lease.ID // of the same, by their text
	mistaken  time.Duration       // when an index was last falsified
	strangers []string            // those that are in line without a record
	disturbed bool                // whether there ever were any
	losses    time.Duration       // a millisecond for each loss of all data
	wentBack  bool                // whether the clock ever did
}

// request is what a holder asked for with a token.
type request struct {
	token lease.Token
	id    lease.ID
	ask   time.Duration // within which it has to be asked for while it waits
	lease.Request
}

// GoString is how rapid shows it.
func (r request) GoString() string { return fmt.Sprintf("%s: %s", r.Holder, r.id) }

// actions are what can happen; the one without a name is checked after each. Frequent ones have several names, or an early
// one: rapid prefers those that come first.
func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"":                       m.check,
		"advance":                m.advance,
		"allocate":               m.allocateAny,
		"allocate by name":       m.allocateNamed,
		"allocate by selector":   m.allocateSelected,
		"allocate several":       m.allocateSeveral,
		"allocate after a while": m.allocateLate,
		"ask again":              m.allocateAgain,
		"ask at once":            m.rush,
		"fault":                  m.fault,
		"keep alive":             m.keepalive,
		"list leases":            m.listLeases,
		"operator takes device":  m.takeAway,
		"poll":                   m.poll,
		"poll again":             m.poll,
		"change inventory":       m.changeInventory,
		"read devices":           m.readDevices,
		"read lease":             m.readLease,
		"reap":                   m.reap,
		"reap and reconcile":     m.settle,
		"give back":              m.release,
		"pass on":                m.release,
		"set device":             m.setDevice,
	}
}

// check compares what Redis has with the invariants and with the model.
func (m *machine) check(t *rapid.T) {
	m.nextMillisecond(t)
	d := m.dump(t)
	checkKeys(t, d)
	checkLocks(t, d)
	checkRecords(t, d)
	checkQueues(t, d)
	m.strangers = d.strangers()
	m.disturbed = m.disturbed || len(m.strangers) > 0
	checkWanted(t, d, m.disturbed)
	checkHolders(t, d)
	m.checkGranted(t, d)
	m.checkLeases(t, d)
	m.checkAgrees(t, d)
	if !m.model.paused() {
		checkServed(t, d)
	}
	m.adopt(d)
}

// nextMillisecond waits until the clock of a real Redis shows another millisecond, so that what happens from now on is later
// than all that did before, for the model as well.
func (m *machine) nextMillisecond(t *rapid.T) {
	if m.redis.Slack == 0 {
		return
	}
	for last := m.clock(t); m.clock(t).Equal(last); {
		continue
	}
}

// settle reaps and reconciles, after which nothing may be out of place.
func (m *machine) settle(t *rapid.T) {
	m.reap(t)
	m.check(t)
	m.reconcile(t)
	checkSettled(t, m.dump(t), m.redis.Slack, m.model.gone())
}

func (m *machine) checkNoSecret(t *rapid.T) {
	tokens := make([]lease.Token, len(m.history))
	for i := range m.history {
		tokens[i] = m.history[i].token
	}
	checkNoSecret(t, m.dump(t), tokens)
}

func (m *machine) dump(t *rapid.T) *dump {
	d, err := takeDump(m.ctx, m.redis.Client, pool)
	if err != nil {
		t.Fatalf("read Redis: %v", err)
	}
	return d
}

// loseKeys deletes everything; the Redis is the test's own.
func (m *machine) loseKeys(t *rapid.T) {
	if err := m.redis.Client.FlushAll(m.ctx).Err(); err != nil {
		t.Fatalf("flush: %v", err)
	}
}

// TestTimesNeverCoincide proves that no time at which the property acts is near one at which something ends: a lock, a
// lease, a ticket, or what is remembered of it; and that no two orders of different priority are near each other.
func TestTimesNeverCoincide(t *testing.T) {
	t.Parallel()
	const margin = 30 * time.Second
	for _, from := range phases {
		for _, end := range slices.Concat(ends(), headStarts()) {
			for _, at := range phases {
				apart := (from + end - at) % round
				if apart = (apart + round) % round; apart < margin || apart > round-margin {
					t.Errorf("what begins in phase %s and lasts %s ends in phase %s", from, end, at)
				}
			}
		}
	}
}

// ends is after how long something that began in a phase can end.
func ends() []time.Duration {
	all := []time.Duration{retention, retention - mistake, ttl + modelGrace}
	for _, term := range terms {
		for _, told := range []time.Duration{term.ttl, term.hold} {
			all = append(all, told, told+modelGrace, told+modelGrace+retention)
		}
		for _, ask := range askWithin {
			all = append(all, ask, ask+retention, ask+term.hold+modelGrace+retention)
		}
	}
	return all
}

// headStarts is how much waiting the priorities are worth to each other.
func headStarts() []time.Duration {
	var all []time.Duration
	for _, high := range priorities {
		for _, low := range priorities {
			if high > low {
				all = append(all, time.Duration(high-low)*ageing)
			}
		}
	}
	return all
}
