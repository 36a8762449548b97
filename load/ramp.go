package main

import (
	"context"
	"fmt"
	"time"
)

// step is one step of a ramp.
type step struct {
	Factor     float64   `json:"factor"`                // of the scenario's rates
	Keepalives float64   `json:"keepalives_per_second"` // successes
	Cycles     float64   `json:"cycles_per_second"`     // whole ones
	Slowest    operation `json:"slowest"`               // the operation with the highest p99
	P99        latency   `json:"p99_ms"`                // of that
	Errors     int       `json:"errors"`
	Late       float64   `json:"late"` // the part of the requests that the driver sent late
	Why        string    `json:"why"`  // it was not good; "" for a good one
}

// tardyPart is the part of requests that the driver may send late without being at fault.
const tardyPart = 0.01

// tries is how often a step may be bad before that is the end: once may be an accident of the machine.
const tries = 3

// climb raises the rates step by step, until a step stays bad, or the time is over. After each step all answers are awaited, so that
// none is charged with what the one before left behind.
func (d *driver) climb(ctx context.Context) {
	r := d.scenario.ramp
	begin := time.Now()
	factor, bad := 1.0, 0
	for ctx.Err() == nil && time.Since(begin) < d.scenario.duration {
		s := d.climbStep(ctx, factor)
		if ctx.Err() != nil {
			break // it is not whole
		}
		d.steps = append(d.steps, s)
		if s.Why == "" {
			factor, bad = factor*r.factor, 0
		} else if bad++; bad == tries {
			return
		}
	}
	d.note("the ramp ended before a step stayed bad: the knee may be further up")
}

func (d *driver) climbStep(ctx context.Context, factor float64) step {
	r := d.scenario.ramp
	late, all := d.recorder.tardies()
	took := d.phase(ctx, factor, r.every)
	d.measured += took
	s := d.recorder.stepped(took)
	s.Factor = factor
	lateNow, allNow := d.recorder.tardies()
	s.Late = float64(lateNow-late) / float64(max(1, allNow-all))
	s.Why = s.bad(r.p99)
	return s
}

// bad says why a step is not good; "" when it is.
func (s *step) bad(limit time.Duration) string {
	why := ""
	switch {
	case s.Errors > 0:
		why = count(s.Errors) + " errors"
	case time.Duration(s.P99) > limit:
		why = fmt.Sprintf("p99 of %s above %s", s.Slowest, latency(limit))
	}
	if why != "" && s.Late > tardyPart {
		why += fmt.Sprintf(", and the driver late with %.0f %% of its requests", 100*s.Late)
	}
	return why
}

// knee is the last good step before the bad ones; nil when there is none.
func knee(steps []step) *step {
	var last *step
	for i := range steps {
		if steps[i].Why == "" {
			last = &steps[i]
		}
	}
	return last
}
