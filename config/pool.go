package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// What a pool may say of its leases and its line, and what holds when it does not.
const (
	defaultTTL        = time.Minute
	defaultMaxHold    = 12 * time.Hour
	longestMaxHold    = 30 * 24 * time.Hour
	shortestAgeing    = time.Second
	longestAgeing     = 24 * time.Hour
	shortestAskWithin = 5 * time.Second
	longestAskWithin  = time.Hour
	highestLimit      = 128
)

func (r *reader) pool(e entry) lease.Pool {
	if err := lease.ValidateName(e.key); err != nil {
		r.problem(e.value, "%v", err)
	}
	fields, _ := r.fields(e.value, "ttl", "max_hold", "ageing", "ask_within", "limits", "devices")
	maxHold := r.duration(fields["max_hold"], span{lease.MinTTL, longestMaxHold, defaultMaxHold})
	return lease.Pool{
		Name:    e.key,
		TTL:     r.duration(fields["ttl"], span{lease.MinTTL, maxHold, min(defaultTTL, maxHold)}),
		MaxHold: maxHold,
		Queueing: lease.Queueing{
			Ageing:    r.duration(fields["ageing"], span{shortestAgeing, longestAgeing, lease.DefaultAgeing}),
			AskWithin: r.duration(fields["ask_within"], span{shortestAskWithin, longestAskWithin, lease.DefaultAskWithin}),
		},
		Limits:  r.limits(fields["limits"]),
		Devices: r.poolDevices(e.value, fields["devices"]),
	}
}

// poolDevices returns the devices of a pool, which have at most lease.MaxClasses different sets of labels.
func (r *reader) poolDevices(pool, at place) []lease.Device {
	var devices []lease.Device
	classes := map[string]bool{}
	for _, item := range r.list(at) {
		device := r.device(item)
		classes[device.Class()] = true
		devices = append(devices, device)
	}
	if len(classes) > lease.MaxClasses {
		r.problem(pool, "its devices have %d different sets of labels, at most %d are allowed; "+
			"a label that is unique to one device belongs in attributes", len(classes), lease.MaxClasses)
	}
	return devices
}

// limits returns how much of a pool one may have, without the limits that are not there.
func (r *reader) limits(at place) lease.Limits {
	fields, _ := r.fields(at, "devices_per_lease", "leases_per_holder", "devices_per_holder")
	return lease.Limits{
		DevicesPerLease:  r.limit(fields["devices_per_lease"], lease.MaxDevices),
		LeasesPerHolder:  r.limit(fields["leases_per_holder"], highestLimit),
		DevicesPerHolder: r.limit(fields["devices_per_holder"], highestLimit),
	}
}

// limit returns a number from 1 to most; 0 when there is none or it is wrong.
func (r *reader) limit(at place, most int) int {
	if at.node == nil {
		return 0
	}
	text, ok := r.text(at)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most || strconv.Itoa(n) != text {
		r.problem(at, "%q is not a number from 1 to %d; leave it out for no limit", text, most)
		return 0
	}
	return n
}

// span is the durations that a field may have, and the one that holds when it does not say.
type span struct{ least, most, fallback time.Duration }

// duration returns a duration in whole seconds within a span; its fallback when there is none or it is wrong.
func (r *reader) duration(at place, s span) time.Duration {
	if at.node == nil {
		return s.fallback
	}
	text, ok := r.text(at)
	if !ok {
		return s.fallback
	}
	d, err := time.ParseDuration(text)
	if err != nil || !within(d, s.least, s.most) || d%time.Second != 0 {
		r.problem(at, "%q is not a duration from %s to %s, in whole seconds, such as %s",
			text, short(s.least), short(s.most), short(s.fallback))
		return s.fallback
	}
	return d
}

// short writes a duration without the units that are zero at its end: 12h, not 12h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
