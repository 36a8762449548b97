package main

import (
	"fmt"
	"time"
)

// requirement is something that the floor asks for, and whether it was so.
type requirement struct {
	What   string `json:"what"`
	Wanted string `json:"wanted"`
	Got    string `json:"got"`
	OK     bool   `json:"ok"`
}

// closeEnough is the part of a rate that has to be reached: the moments of a schedule don't divide its time evenly.
const closeEnough = 0.995

func atLeast(what string, wanted, got float64) requirement {
	return requirement{what, fmt.Sprintf("at least %g", wanted), fmt.Sprintf("%.1f", got), got >= wanted*closeEnough}
}

func atMost(what string, wanted, got int) requirement {
	return requirement{what, fmt.Sprintf("at most %d", wanted), fmt.Sprint(got), got <= wanted}
}

// requirements are what the floor of the scenario asks for, and what every floor does: no broken promise.
func (d *driver) requirements(r *report) []requirement {
	f := d.scenario.floor
	keepalives, whole := r.rate(opKeepalive), r.CyclesPerSecond
	at := ""
	if k := r.Knee; d.scenario.ramp != nil {
		at, keepalives, whole = ", at the knee", 0, 0
		if k != nil {
			keepalives, whole = k.Keepalives, k.Cycles
		}
	}
	var all []requirement
	if f.keepaliveRate > 0 {
		all = append(all, atLeast("keepalives a second"+at, f.keepaliveRate, keepalives))
	}
	if f.cycleRate > 0 {
		all = append(all, atLeast("cycles a second"+at, f.cycleRate, whole))
	}
	if f.cycles > 0 {
		all = append(all, requirement{"cycles", fmt.Sprint(f.cycles), fmt.Sprint(r.Cycles), r.Cycles >= f.cycles})
	}
	for _, op := range operations {
		if limit := f.p99[op]; limit > 0 {
			all = append(all, r.within(op, limit))
		}
	}
	if f.errors != nil {
		all = append(all, atMost("errors", *f.errors, r.Errors))
	}
	l := r.Leases
	return append(all,
		atMost("double grants", 0, l.DoubleGranted), atMost("leases lost", 0, l.Lost), atMost("fence regressions", 0, l.FenceRegressions))
}

// within is the requirement that 99 of 100 requests are answered in a time.
func (r *report) within(op operation, limit time.Duration) requirement {
	q := requirement{What: "p99 of " + string(op), Wanted: "at most " + latency(limit).String(), Got: "none"}
	if row := r.row(op); row != nil && row.Requests > 0 {
		q.Got, q.OK = row.P99.String(), time.Duration(row.P99) <= limit
	}
	return q
}
