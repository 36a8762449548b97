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
	Name    string
	TTL     time.Duration // of a lease that asks for none
	MaxHold time.Duration // the longest a lease may be held, and the default
	Devices []Device      // in an Inventory: sorted by name

	classes []Class
}

// Class is the devices of a pool that have the same labels.
type Class struct {
	Name   string // as Device.Class gives it
	Labels map[string]string
	Size   int // how many devices
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
		classes[at].Size++
	}
	slices.SortFunc(classes, func(a, b Class) int { return cmp.Compare(a.Name, b.Name) })
	return classes
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

// matchAny finds the devices of the pool that the selector chooses.
func (p *Pool) matchAny(selector Selector) (Demand, error) {
	var d Demand
	for _, class := range p.classes {
		if selector.Matches(class.Labels) {
			d.Classes = append(d.Classes, class.Name)
			d.Matching += class.Size
		}
	}
	if d.Matching == 0 {
		return Demand{}, noMatch("selector", "in pool "+p.Name+" "+selector.whyNone(p.classes))
	}
	return d, nil
}

// matchOne checks that the selector chooses a device of the pool.
func (p *Pool) matchOne(selector Selector, device *Device) (Demand, error) {
	class := Class{Name: device.Class(), Labels: device.Labels, Size: 1}
	if !selector.Matches(class.Labels) {
		return Demand{}, noMatch("selector", "for device "+device.Name+" "+selector.whyNone([]Class{class}))
	}
	return Demand{Device: device.Name, Classes: []string{class.Name}, Matching: 1}, nil
}

func noMatch(field, message string) *Error {
	return &Error{Code: CodeNoMatch, Field: field, Message: message}
}
