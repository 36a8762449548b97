package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// field is something that a scenario file may say.
type field struct {
	path    string
	about   string
	allowed string                 // in words
	set     func(text string) bool // false when it is not allowed
}

// sections are the mappings of a scenario file.
var sections = []string{"keepalives", "cycles", "ramp", "closed", "floor", "floor.p99"}

// fields are all that a scenario file may say, to be read into a scenario with all its sections.
func (s *scenario) fields() []field {
	k, c, r := s.keepalives, s.cycles, s.ramp
	all := []field{
		text("about", "what it is, in one line", &s.about),
		whole("devices", "how many devices it needs", &s.devices, maxLeases),
		span("ttl", "TTL of its leases (60s)", &s.ttl, bounds{lease.MinTTL, time.Hour, time.Second}),
		span("duration", "how long to measure", &s.duration, bounds{shortestRun, longestRun, time.Second}),

		whole("keepalives.leases", "leases that are held all the time", &k.leases, maxLeases),
		number("keepalives.rate", "keepalives a second (each lease every third of its TTL)", &k.rate, 0.1, maxRate),

		number("cycles.rate", "holders that come in a second; or", &c.rate, 0.1, maxRate),
		whole("cycles.count", "holders that come in all", &c.count, maxLeases),
		span("cycles.over", "the time in which these come (0s: all at once)", &c.over, bounds{0, longestRun, time.Millisecond}),
		span("cycles.wait", "how long each stands in line (0s: not at all)", &c.wait, bounds{0, time.Hour, time.Millisecond}),
		span("cycles.hold", "how long each has its lease, and keeps it alive", &c.hold, bounds{0, time.Hour, time.Millisecond}),
		number("cycles.crash", "the part of them that die while they have it", &c.crash, 0, 1),

		span("ramp.every", "how long each step of the rates is", &r.every, bounds{time.Second, 10 * time.Minute, time.Millisecond}),
		number("ramp.factor", "from each step to the next", &r.factor, 1.01, 10),
		span("ramp.p99", "where a step is too slow", &r.p99, bounds{time.Millisecond, time.Minute, time.Microsecond}),

		whole("closed.connections", "each sends as soon as it has its answer", &s.closed.connections, maxConnections),
	}
	return append(all, s.floor.fields()...)
}

// fields are what the floor of a scenario file may say.
func (f *floor) fields() []field {
	all := []field{
		number("floor.keepalives_per_second", "successful keepalives", &f.keepaliveRate, 0.1, maxRate),
		number("floor.cycles_per_second", "whole cycles", &f.cycleRate, 0.1, maxRate),
		whole("floor.cycles", "whole cycles in all", &f.cycles, maxLeases),
		{"floor.errors", "how many errors there may be", "a whole number from 0", func(text string) bool {
			n, err := strconv.Atoi(text)
			f.errors = &n
			return err == nil && n >= 0
		}},
	}
	for _, op := range operations {
		within := bounds{100 * time.Microsecond, time.Hour, time.Microsecond}
		at := new(time.Duration)
		limit := span("floor.p99."+string(op), "99 of 100 are done in this time: "+op.about(), at, within)
		set := limit.set
		limit.set = func(text string) bool {
			ok := set(text)
			f.p99[op] = *at
			return ok
		}
		all = append(all, limit)
	}
	return all
}

func text(path, about string, into *string) field {
	return field{path, about, "a text", func(text string) bool {
		*into = text
		return true
	}}
}

func whole(path, about string, into *int, most int) field {
	return field{path, about, fmt.Sprintf("a whole number from 1 to %d", most), func(text string) bool {
		var err error
		*into, err = strconv.Atoi(text)
		return err == nil && *into >= 1 && *into <= most
	}}
}

func number(path, about string, into *float64, least, most float64) field {
	return field{path, about, fmt.Sprintf("a number from %g to %.0f", least, most), func(text string) bool {
		var err error
		*into, err = strconv.ParseFloat(text, 64)
		return err == nil && !math.IsNaN(*into) && *into >= least && *into <= most
	}}
}

// bounds are the durations that are allowed: multiples of a unit.
type bounds struct{ least, most, unit time.Duration }

func span(path, about string, into *time.Duration, b bounds) field {
	allowed := fmt.Sprintf("a duration from %s to %s, such as %s", short(b.least), short(b.most), short(max(b.least, min(2*time.Second, b.most))))
	if b.unit == time.Second {
		allowed += ", in whole seconds"
	}
	return field{path, about, allowed, func(text string) bool {
		var err error
		*into, err = time.ParseDuration(text)
		return err == nil && *into >= b.least && *into <= b.most && *into%b.unit == 0
	}}
}

// describeFields lists what a scenario file may say.
func describeFields() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, f := range allFields() {
		_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\n", f.path, f.about, f.allowed) // a strings.Builder takes everything
	}
	_ = w.Flush()
	return b.String()
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
