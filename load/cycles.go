package main

import (
	"context"
	"math/rand/v2"
	"time"
)

// cycle is the way of one holder, who was due at a moment: it gets a lease, keeps it alive while it holds it, and gives it back or
// dies. When the shift is over it goes home, and giveBack releases what it has.
func (d *driver) cycle(shift context.Context, due time.Time) {
	c := d.scenario.cycles
	h, r := d.take(shift, due, c.wait)
	if r.code != "" {
		return
	}
	end, dies := h.since.Add(c.hold), rand.Float64() < c.crash //nolint:gosec // no secret
	if dies {
		end = h.since.Add(rand.N(c.hold)) //nolint:gosec // no secret
	}
	if !d.keep(shift, h, end) {
		return
	}
	if dies {
		d.ledger.crash(h.tenure)
		d.held.remove(h) // it ends by itself, which is the point
		return
	}
	d.leave(shift, h)
}

// leave gives a lease back, and tries again when the service is in trouble.
func (d *driver) leave(shift context.Context, h *hold) {
	for failures := 1; ; failures++ {
		r := d.release(context.WithoutCancel(shift), time.Now(), h)
		if r.code == "" {
			d.recorder.cycled(r.received)
		}
		if !r.unknown() || !byTimer(shift, r.sent.Add(backoff(failures))) {
			return
		}
	}
}

// keep holds a lease until a moment, and keeps it alive; false when it is over, or the shift is.
func (d *driver) keep(shift context.Context, h *hold, end time.Time) bool {
	interval := d.patience()
	for next := h.since.Add(interval); next.Before(end); next = next.Add(interval) {
		if !byTimer(shift, next) || !d.keepAlive(context.WithoutCancel(shift), time.Now(), h) {
			return false
		}
	}
	return !time.Now().Before(end) || byTimer(shift, end)
}
