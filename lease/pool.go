package lease

import (
	"cmp"
	"slices"
	"time"
)

// MaxClasses is how many classes a pool may have; each allocation looks at all that match. A lab that needs more has a
// label that is unique to a device, which is an attribute, or several pools.
const MaxClasses = 128

// Pool is a set of devices that are scheduled together, and the rules of their leases.
type Pool struct {
	Name     string
	TTL      time.Duration // of a lease that asks for none
	MaxHold  time.Duration // the longest a lease may be held, and the default
	Queueing Queueing
	Limits   Limits
	Devices  []Device // in an Inventory: sorted by name

	classes []Class
}

// Queueing is the rules of a pool's line.
type Queueing struct {
	Ageing    time.Duration // how much waiting counts as much as one step of priority; 0 for DefaultAgeing
	AskWithin time.Duration // how long after nobody asked for it a ticket is dropped; 0 for DefaultAskWithin
}

// What holds for a pool that does not say.
const (
	DefaultAgeing    = 5 * time.Minute
	DefaultAskWithin = 45 * time.Second
)

// Limits are how much of a pool one may have; 0 is no limit. What waits in line counts as if it were granted.
type Limits struct {
	DevicesPerLease  int
	LeasesPerHolder  int
	DevicesPerHolder int
}

// Class is the devices of a pool that have the same labels.
type Class struct {
	Name   string // as Device.Class gives it
	Labels map[string]string
	Size   int // how many devices

	first []string // some of the devices, as many as one lease can ask for
}

// Classes returns the classes of a pool of an Inventory, sorted by name.
func (p *Pool) Classes() []Class { return p.classes }

func classify(devices []Device) []Class {
	index := map[string]int{}
	var classes []Class
	for i := range devices {
		name := devices[i].Class()
		at, known := index[name]
		if !known {
			at = len(classes)
			index[name] = at
			classes = append(classes, Class{Name: name, Labels: devices[i].Labels})
		}
		if classes[at].Size++; classes[at].Size <= MaxDevices {
			classes[at].first = append(classes[at].first, devices[i].Name)
		}
	}
	slices.SortFunc(classes, func(a, b Class) int { return cmp.Compare(a.Name, b.Name) })
	return classes
}

// device returns a device of the pool by its name, nil when there is none.
func (p *Pool) device(name string) *Device {
	at, found := slices.BinarySearchFunc(p.Devices, name, func(d Device, name string) int { return cmp.Compare(d.Name, name) })
	if !found {
		return nil
	}
	return &p.Devices[at]
}

// durations returns the TTL and the longest hold of a lease, from what the request asks and the pool allows.
func (p *Pool) durations(r Request) (ttl, maxHold time.Duration, err error) {
	maxHold = cmp.Or(r.MaxHold, p.MaxHold)
	if maxHold < MinTTL || maxHold > p.MaxHold {
		return 0, 0, Invalid("max_hold_seconds", "in pool %s a lease is held %d to %d seconds", p.Name, seconds(MinTTL), seconds(p.MaxHold))
	}
	ttl = cmp.Or(r.TTL, min(p.TTL, maxHold))
	if ttl < MinTTL || ttl > maxHold {
		return 0, 0, Invalid("ttl_seconds", "the TTL of a lease held at most %d seconds is %d to %d seconds", seconds(maxHold), seconds(MinTTL), seconds(maxHold))
	}
	return ttl, maxHold, nil
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func noMatch(field, message string) *Error {
	return &Error{Code: CodeNoMatch, Field: field, Message: message}
}
