package store_test

import (
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/automation-infra/automation-infra/lease"
)

// mistake is by how much a falsified index is wrong: such that what it says is never near anything else.
const mistake = time.Minute

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
	m.lab = lease.NewInventory([]lease.Pool{{Name: pool, TTL: ttl, MaxHold: maxHold, Devices: devices}})
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
		m.allocateNew(t, lease.Request{Name: name})
	}
}

// leased draws a device of the inventory that is leased and of which every index is right: the store puts one mistake
// right, but does not promise it for two at once.
func (m *machine) leased(t *rapid.T) string {
	var names []string
	for name, lock := range m.model.locks {
		due, listed := m.model.active[lock.id]
		_, known := m.inventory[name]
		if m.model.now < lock.until && known && listed && due == lock.until && m.model.devices[name].place == "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		t.Skip("no device is leased")
	}
	slices.Sort(names)
	return rapid.SampledFrom(names).Draw(t, "device")
}

// fault falsifies an index, or loses all data.
func (m *machine) fault(t *rapid.T) {
	switch rapid.SampledFrom([]string{"listed as free", "listed as due", "not listed", "data lost"}).Draw(t, "fault") {
	case "listed as free":
		m.listAsFree(t)
	case "listed as due":
		m.listAsDue(t)
	case "not listed":
		id := m.model.locks[m.leased(t)].id
		m.redisDoes(t, "zrem", "active:{"+pool+"}", id.String())
		delete(m.model.active, id)
	case "data lost":
		m.loseData(t)
	}
}

// listAsFree puts a leased device among the free.
func (m *machine) listAsFree(t *rapid.T) {
	m.onlyMistake(t)
	name := m.leased(t)
	d := m.model.devices[name]
	if d.state != "in_service" {
		t.Skip("it would not be free")
	}
	m.addToIndex(t, "free:{"+pool+"}:"+d.class, name, 3*mistake)
	d.place, d.since = lease.DeviceFree, m.model.now-3*mistake
}

// listAsDue says of a lease that its locks have expired.
func (m *machine) listAsDue(t *rapid.T) {
	m.onlyMistake(t)
	id := m.model.locks[m.leased(t)].id
	m.addToIndex(t, "active:{"+pool+"}", id.String(), mistake)
	m.model.active[id] = m.model.now - mistake
}

// onlyMistake lets no two entries be falsified at the same time, so that it is known which comes first.
func (m *machine) onlyMistake(t *rapid.T) {
	if m.mistaken == m.model.now {
		t.Skip("an index was falsified just now")
	}
	m.mistaken = m.model.now
}

// loseData empties Redis and makes the inventory known again.
func (m *machine) loseData(t *rapid.T) {
	m.loseKeys(t)
	m.model.loseEverything()
	m.redis.Advance(round)
	m.model.now += round
	m.reconcile(t)
}

func (m *machine) addToIndex(t *rapid.T, key, member string, ago time.Duration) {
	at := m.clock(t).Add(-ago).UnixMilli()
	if err := m.redis.Client.ZAdd(m.ctx, key, redis.Z{Score: float64(at), Member: member}).Err(); err != nil {
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
