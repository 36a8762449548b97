package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// TestModel proves that whatever holders, operators, time and faults do, in whatever order, the store answers as the
// model says, and what it leaves in Redis keeps the invariants.
func TestModel(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		rapid.Check(t, agreesWithModel(r, func(o store.Options) *store.Store { return store.New(r.Client, o) }))
	})
}

// agreesWithModel is the property: a random history of a Redis that starts empty.
func agreesWithModel(r *storetest.Redis, open func(store.Options) *store.Store) func(*rapid.T) {
	return func(t *rapid.T) {
		m := &machine{
			ctx: context.WithoutCancel(t.Context()), redis: r, store: open(store.Options{Grace: modelGrace, Timeout: 20 * time.Second}),
			model: newModel(modelGrace), inventory: map[string]string{"a": "", "b": "x"}, mistaken: -1,
		}
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
)

// term is how long a lease is asked for.
type term struct{ ttl, hold time.Duration }

// GoString is how rapid shows it.
func (t term) GoString() string { return fmt.Sprintf("TTL %s, at most %s", t.ttl, t.hold) }

// machine drives a store and the model side by side. A history is the same each time that it is repeated, and so is what
// fails: no error has in it what differs from run to run, such as fences and milliseconds, or rapid could not shorten it.
type machine struct {
	ctx   context.Context
	redis *storetest.Redis
	store *store.Store
	model *model

	inventory map[string]string // device -> its label model, "" for none
	lab       *lease.Inventory  // the same, as the store is given it
	history   []request         // of every token that was used
	mistaken  time.Duration     // when an index was last falsified
}

// request is what a holder asked for with a token.
type request struct {
	token lease.Token
	id    lease.ID
	lease.Request
}

// GoString is how rapid shows it.
func (r request) GoString() string { return fmt.Sprintf("%s: %s", r.Holder, r.id) }

// actions are what can happen; the one without a name is checked after each. Frequent ones have several names.
func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"":                      m.check,
		"allocate":              m.allocateAny,
		"allocate some more":    m.allocateAny,
		"allocate by selector":  m.allocateSelected,
		"allocate by name":      m.allocateNamed,
		"allocate again":        m.allocateAgain,
		"allocate once more":    m.allocateAgain,
		"keep alive":            m.keepalive,
		"keep alive again":      m.keepalive,
		"release":               m.release,
		"advance":               m.advance,
		"advance more":          m.advance,
		"reap":                  m.reap,
		"reap and reconcile":    m.settle,
		"set device":            m.setDevice,
		"change inventory":      m.changeInventory,
		"operator takes device": m.takeAway,
		"fault":                 m.fault,
		"read lease":            m.readLease,
		"list leases":           m.listLeases,
		"read devices":          m.readDevices,
	}
}

// check compares what Redis has with the invariants and with the model.
func (m *machine) check(t *rapid.T) {
	d := m.dump(t)
	checkKeys(t, d)
	checkLocks(t, d)
	checkRecords(t, d)
	m.checkAgrees(t, d)
}

// settle reaps and reconciles, after which nothing may be out of place.
func (m *machine) settle(t *rapid.T) {
	m.reap(t)
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
// lease, or what is remembered of it.
func TestTimesNeverCoincide(t *testing.T) {
	t.Parallel()
	const margin = 30 * time.Second
	for _, from := range phases {
		for _, end := range ends() {
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
	all := []time.Duration{retention, retention - mistake}
	for _, term := range terms {
		for _, told := range []time.Duration{term.ttl, term.hold} {
			all = append(all, told, told+modelGrace, told+modelGrace+retention)
		}
	}
	return all
}
