package store_test

import (
	"cmp"
	"slices"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// spare is a device that is to be had.
type spare struct {
	name  string
	class string
	since time.Duration // when it became free
}

// places is what wants ask for, one entry for each device.
func places(wants []lease.Want) []lease.Want {
	var all []lease.Want
	for _, w := range wants {
		for range w.Count {
			all = append(all, w)
		}
	}
	return all
}

// mayTake reports whether a device is one that a place is for.
func mayTake(place lease.Want, device spare) bool {
	return place.Device == device.name || slices.Contains(place.Classes, device.class)
}

// basis goes through devices, the longest free first and by name where that is the same, and takes each that can have a
// place beside all that it took before.
func basis(wanted []lease.Want, devices []spare) []spare {
	slices.SortFunc(devices, func(a, b spare) int { return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.name, b.name)) })
	var taken []spare
	for _, device := range devices {
		if more := append(slices.Clone(taken), device); canSeat(wanted, more) {
			taken = more
		}
	}
	return taken
}

// canSeat reports whether devices can all have a place of their own, by trying every way.
func canSeat(wanted []lease.Want, devices []spare) bool {
	if len(devices) == 0 {
		return true
	}
	for i, place := range wanted {
		if mayTake(place, devices[0]) && canSeat(slices.Concat(wanted[:i], wanted[i+1:]), devices[1:]) {
			return true
		}
	}
	return false
}
