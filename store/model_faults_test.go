package store_test

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/automation-infra/automation-infra/lease"
)

// mistake is by how much a falsified index is wrong: such that what it says is never near anything else.
const mistake = time.Minute

// longAgo is before anything else, by the same.
const longAgo = 20*round + 3*mistake

// changeInventory adds a device, takes one out, or gives one another label.
func (m *machine) changeInventory(t *rapid.T) {
	name := m.device(t)
	model := rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "model")
	_, known := m.inventory[name]
	if known && len(m.inventory) > 1 && rapid.Bool().Draw(t, "remove") {
		delete(m.inventory, name)
	} else {
		m.inventory[name] = model
	}
	m.reconcile(t)
}

// reconcile tells the store the inventory.
func (m *machine) reconcile(t *rapid.T) {
	var devices []lease.Device
	for _, name := range slices.Sorted(maps.Keys(m.inventory)) {
		devices = append(devices, device(name, m.inventory[name]))
	}
	m.lab = lease.NewInventory([]lease.Pool{{
		Name: pool, TTL: ttl, MaxHold: maxHold, Queueing: lease.Queueing{Ageing: ageing}, Limits: m.limits, Devices: devices,
	}})
	if err := m.store.Reconcile(m.ctx, m.lab.Pool(pool)); err != nil {
		t.Fatalf("reconcile: %v", err)
	}
	m.model.reconcile(m.lab.Pool(pool))
}

// takeAway has an operator remove the lock of a device, and mostly take it himself.
func (m *machine) takeAway(t *rapid.T) {
	name := m.leased(t)
	m.redisDoes(t, "del", "lock:{"+pool+"}:"+name)
	delete(m.model.locks, name)
	if rapid.IntRange(0, 3).Draw(t, "leave it") < 3 {
		m.allocateNew(t, lease.Demand{Name: name})
	}
}

// leased draws a device of the inventory that is leased and of which every index is right: the store puts one mistake
// right, but does not promise it for two at once.
func (m *machine) leased(t *rapid.T) string {
	var names []string
	for name, lock := range m.model.locks {
		_, known := m.inventory[name]
		if m.model.now < lock.until && known && m.isRight(name, lock) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		t.Skip("no device is leased")
	}
	slices.Sort(names)
	return rapid.SampledFrom(names).Draw(t, "device")
}

// isRight reports whether all indexes are right about a device that is leased.
func (m *machine) isRight(name string, lock modelLock) bool {
	due, listed := m.model.active[lock.id]
	near := (due - lock.until).Abs() <= m.redis.Slack
	return listed && near && m.model.devices[name].place == "" && m.model.holds(m.model.leases[lock.id])
}

// fault falsifies an index, loses all data, or sets the clock back.
func (m *machine) fault(t *rapid.T) {
	indexes := []string{"listed as free", "listed as due", "not listed", "listed as waiting"}
	faults := append(slices.Repeat(indexes, 2), "data lost", "clock set back") // after which little is granted for a while
	switch rapid.SampledFrom(faults).Draw(t, "fault") {
	case "listed as free":
		m.listAsFree(t)
	case "listed as due":
		m.listAsDue(t)
	case "not listed":
		id := m.model.locks[m.leased(t)].id
		m.redisDoes(t, "zrem", "active:{"+pool+"}", id.String())
		delete(m.model.active, id)
	case "listed as waiting":
		m.listAsWaiting(t)
	case "data lost":
		m.loseData(t)
	case "clock set back":
		m.setBack(t)
	}
}

// listAsFree puts a leased device among the free, before all others, and among the wanted if someone waits for it.
func (m *machine) listAsFree(t *rapid.T) {
	m.onlyMistake(t)
	name := m.leased(t)
	d := m.model.devices[name]
	if d.state != "in_service" {
		t.Skip("it would not be free")
	}
	m.redisAdds(t, "free:"+d.class, name, m.clock(t).Add(-longAgo).UnixMilli())
	if _, queued := m.dump(t).each("queue")[name]; queued {
		m.redisAdds(t, "wanted", name, 1)
	}
	d.place, d.since = lease.DeviceFree, m.model.now-longAgo
	if rapid.Bool().Draw(t, "asked for before anything else finds out") {
		m.check(t)
		rapid.SampledFrom([]func(*rapid.T){m.allocateAny, m.allocateSelected}).Draw(t, "what")(t)
	}
}

// listAsDue says of a lease that its locks have expired.
func (m *machine) listAsDue(t *rapid.T) {
	m.onlyMistake(t)
	id := m.model.locks[m.leased(t)].id
	m.redisAdds(t, "active", id.String(), m.clock(t).Add(-mistake).UnixMilli())
	m.model.active[id] = m.model.now - mistake
}

// listAsWaiting puts a lease in line that has no record.
func (m *machine) listAsWaiting(t *rapid.T) {
	nobody := lease.Token("nobody-ever-used-this-token").ID(pool).String()
	at := m.clock(t).Add(-3 * mistake)
	m.redisAdds(t, "queue", nobody, at.UnixMicro())
	m.redisAdds(t, "queue:-", nobody, at.UnixMicro())
	m.redisAdds(t, "wanted", "-", 0)
	m.redisAdds(t, "asked", nobody, at.UnixMilli())
	m.redisAdds(t, "tickets", nobody, at.Add(2*mistake).UnixMilli())
}

// onlyMistake lets no two entries be falsified at the same time, so that it is known which comes first.
func (m *machine) onlyMistake(t *rapid.T) {
	if m.mistaken == m.model.now {
		t.Skip("an index was falsified just now")
	}
	m.mistaken = m.model.now
}

// loseData loses all data, perhaps again before anybody has made use of Redis.
func (m *machine) loseData(t *rapid.T) {
	for range rapid.IntRange(1, 2).Draw(t, "times") {
		m.empty(t)
	}
	if rapid.Bool().Draw(t, "asked when the pause is over") {
		for m.model.paused() {
			m.check(t)
			m.advance(t)
		}
		m.check(t)
		m.allocateAny(t)
	}
}

// empty empties Redis, and makes the inventory known again. Whoever sees that first, this store knew what was there before: so
// nothing is granted for as long as any holder may go on.
func (m *machine) empty(t *rapid.T) {
	certain := m.model.certain()
	m.loseKeys(t)
	m.losses += time.Millisecond
	m.redis.Advance(round + m.losses) // no epoch is like another
	m.model.now += round
	m.model.loseEverything()
	if m.wentBack { // numbers rise after a loss by the clock alone
		m.model.fence = 0
	}
	switch rapid.SampledFrom([]string{"an inventory", "a look", "another store"}).Draw(t, "seen by") {
	case "a look":
		m.look(t)
	case "another store":
		if err := m.open().Reconcile(m.ctx, m.lab.Pool(pool)); err != nil {
			t.Fatalf("reconcile: %v", err)
		}
		m.look(t)
	}
	m.reconcile(t)
	d := m.dump(t)
	paused, lost := d.one("paused").left, d.one("lost").left
	longest := max(terms[len(terms)-1].ttl, ttl) + modelGrace
	if paused < certain-m.redis.Slack || paused > longest || lost < retention-m.redis.Slack || lost > retention {
		t.Fatalf("grants are paused for %s, want %s at least; the loss is known for %s", paused.Round(time.Minute), certain, lost.Round(time.Minute))
	}
	m.model.resume, m.model.blame = m.model.now+paused, m.model.now+lost
}

// look is what a store does each second.
func (m *machine) look(t *rapid.T) {
	if err := m.store.Look(m.ctx); err != nil {
		t.Fatalf("look: %v", err)
	}
}

// setBack sets Redis's clock back, while every index is right: what one says wrongly of the past it would say of the future then, until
// which nobody finds out.
func (m *machine) setBack(t *rapid.T) {
	if m.model.now < round {
		t.Skip("it is too early")
	}
	for name, lock := range m.model.locks {
		if m.model.now < lock.until && !m.isRight(name, lock) {
			t.Skip("an index is wrong")
		}
	}
	m.wentBack = true
	m.redis.Advance(-round)
	m.model.setBack(round)
	if rapid.Bool().Draw(t, "noticed before anything else happens") {
		m.check(t)
		m.reap(t)
	}
}

// redisAdds adds to an index: "free:-" is that of the class without labels.
func (m *machine) redisAdds(t *rapid.T, index, member string, score int64) {
	word, rest, of := strings.Cut(index, ":")
	key := word + ":{" + pool + "}"
	if of {
		key += ":" + rest
	}
	if err := m.redis.Client.ZAdd(m.ctx, key, redis.Z{Score: float64(score), Member: member}).Err(); err != nil {
		t.Fatalf("zadd %s: %v", key, err)
	}
}

// redisDoes runs a command as an operator does, by redis-cli; it must have an effect.
func (m *machine) redisDoes(t *rapid.T, command ...any) {
	n, err := m.redis.Client.Do(m.ctx, command...).Int()
	if err != nil || n != 1 {
		t.Fatalf("%v: %d, %v", command, n, err)
	}
}
