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

// Resolve turns a request into what the store is to grant. The error is CodeInvalid when the request breaks a rule, and
// CodeNoMatch when no device can ever satisfy it; both say what is allowed.
func (inv *Inventory) Resolve(id ID, r Request) (Grant, error) {
	pool := inv.Pool(r.Pool)
	if pool == nil {
		return Grant{}, noMatch("pool", "no pool is named "+r.Pool+"; the pools are "+strings.Join(inv.Pools(), ", "))
	}
	ttl, maxHold, err := pool.durations(r)
	if err != nil {
		return Grant{}, err
	}
	selector, err := ParseSelector(r.Selector)
	if err != nil {
		return Grant{}, err
	}
	g := Grant{ID: id, Request: r, TTL: ttl, MaxHold: maxHold}
	g.Request.Selector = selector.String()
	if r.Name == "" {
		g.Demand, err = pool.matchAny(selector)
		return g, err
	}
	device := inv.Device(r.Name)
	if device == nil || device.Pool != pool.Name {
		return Grant{}, noMatch("name", "no device of pool "+pool.Name+" is named "+r.Name)
	}
	g.Demand, err = pool.matchOne(selector, device)
	return g, err
}
