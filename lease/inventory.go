package lease

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Inventory is what devices there are. It does not change; a new one takes its place.
type Inventory struct {
	pools   map[string]*Pool
	devices map[string]*Device
}

// NewInventory makes an inventory of pools that are valid, as package config reads them.
func NewInventory(pools []Pool) *Inventory {
	inv := &Inventory{pools: map[string]*Pool{}, devices: map[string]*Device{}}
	for _, pool := range pools {
		pool.Devices = slices.SortedFunc(slices.Values(pool.Devices), func(a, b Device) int { return cmp.Compare(a.Name, b.Name) })
		pool.classes = classify(pool.Devices)
		pool.Queueing.Ageing = cmp.Or(pool.Queueing.Ageing, DefaultAgeing)
		pool.Queueing.AskWithin = cmp.Or(pool.Queueing.AskWithin, DefaultAskWithin)
		inv.pools[pool.Name] = &pool
		for i := range pool.Devices {
			pool.Devices[i].Pool = pool.Name
			inv.devices[pool.Devices[i].Name] = &pool.Devices[i]
		}
	}
	return inv
}

// Pools returns the names of the pools, sorted.
func (inv *Inventory) Pools() []string { return slices.Sorted(maps.Keys(inv.pools)) }

// Pool returns a pool by its name, nil when there is none.
func (inv *Inventory) Pool(name string) *Pool { return inv.pools[name] }

// Device returns a device by its name, nil when there is none.
func (inv *Inventory) Device(name string) *Device { return inv.devices[name] }

// Resolve turns a request into what the store is to grant. The error is CodeInvalid when the request breaks a rule,
// CodeQuota when the pool never grants so much at once, and CodeNoMatch when its devices can never satisfy the request; each
// says what is allowed.
func (inv *Inventory) Resolve(id ID, r Request) (Grant, error) {
	pool := inv.Pool(r.Pool)
	if pool == nil {
		return Grant{}, noMatch("pool", "no pool is named "+r.Pool+"; the pools are "+strings.Join(inv.Pools(), ", "))
	}
	if r.Priority < 0 || r.Priority > MaxPriority {
		return Grant{}, Invalid("priority", "a priority is 0 to %d, the highest first in line", MaxPriority)
	}
	ttl, maxHold, err := pool.durations(r)
	if err != nil {
		return Grant{}, err
	}
	g := Grant{ID: id, Request: r, TTL: ttl, MaxHold: maxHold, Queueing: pool.Queueing, Limits: pool.Limits}
	if g.Request.Demands, err = normalize(r.Demands); err != nil {
		return Grant{}, err
	}
	if err := pool.Limits.check(g.Request); err != nil {
		return Grant{}, err
	}
	if g.Wants, g.Matching, err = pool.Match(g.Request.Demands); err != nil {
		return Grant{}, err
	}
	return g, nil
}
