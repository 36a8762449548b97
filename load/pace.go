package main

import (
	"context"
	"time"
)

// alarm waits until a moment; false when the context was over before.
type alarm func(ctx context.Context, at time.Time) bool

// byTimer is an alarm that is late by up to a millisecond or so, as Go's timers are.
func byTimer(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}

// precisely is an alarm that is late by some 0.1 ms: the end of the time is the system's to wait for.
func precisely(ctx context.Context, at time.Time) bool {
	const timers = 2 * time.Millisecond // what timers are good for
	if time.Until(at) > timers && !byTimer(ctx, at.Add(-timers)) {
		return false
	}
	for left := time.Until(at); left > 0; left = time.Until(at) {
		nap(left)
	}
	return ctx.Err() == nil
}

// schedule is when the flows of a stream begin: at even distances, from begin on, before end.
type schedule struct {
	begin, end time.Time
	gap        float64 // nanoseconds
	count      int     // how many; 0 for as many as there is time for
}

func gapOf(rate float64) float64 { return float64(time.Second) / rate }

// due is the moment of the nth flow, counted from 0; false when there is none.
func (s *schedule) due(n int) (time.Time, bool) {
	if s.count > 0 && n >= s.count {
		return time.Time{}, false
	}
	at := s.begin.Add(time.Duration(float64(n) * s.gap))
	return at, at.Before(s.end)
}

// pace begins the flows of a stream, each at its moment and in a goroutine of its own, whatever became of those before.
func (d *driver) pace(shift context.Context, s schedule, flow func(shift context.Context, due time.Time)) {
	for n := 0; ; n++ {
		due, is := s.due(n)
		if !is || !d.alarm(shift, due) || !d.place(shift) {
			return
		}
		d.flows.Go(func() {
			defer func() { <-d.places }()
			d.recorder.left(time.Since(due))
			flow(shift, due)
		})
	}
}

// place takes a place for a flow, for which it may have to wait; false when the shift was over before.
func (d *driver) place(shift context.Context) bool {
	select {
	case d.places <- struct{}{}:
		return true
	default:
		d.recorder.full()
	}
	select {
	case d.places <- struct{}{}:
		return true
	case <-shift.Done():
		return false
	}
}
