package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// hold is a lease that the driver has, may have, or stands in line for.
type hold struct {
	token     lease.Token
	body      string // of the request for it
	id        string
	keepalive string    // URL
	since     time.Time // when the grant was received
	tenure    *tenure   // nil until the grant was received
}

// take gets a lease, for which it was due to ask at a moment, and may stand in line. The answer says by its code why there is
// none. When the shift is over while it stands in line, that is codeCancelled, which counts nowhere.
func (d *driver) take(shift context.Context, due time.Time, wait time.Duration) (*hold, reply) {
	h := d.newHold()
	d.held.add(h)
	op, queued := opAllocate, time.Time{}
	var r reply
	if wait > 0 {
		op, queued = opWait, time.Now()
		r = d.queue(shift, h, wait)
	} else {
		r = d.ask(context.WithoutCancel(shift), h, "")
	}
	if r.code == "" && (r.body.State != lease.StateActive || len(r.body.Devices) == 0) {
		r.code = codeUnclear
	}
	if r.code == codeCancelled { // giveBack does the rest
		return nil, r
	}
	d.recorder.done(op, due, r.received, r.code)
	switch {
	case r.code == "":
		d.enter(h, queued, r)
		return h, r
	case r.refused():
		d.held.remove(h)
	default: // there may be a lease, or a place in line
		d.forsake(context.WithoutCancel(shift), h)
	}
	return nil, r
}

// enter enters a grant in the books.
func (d *driver) enter(h *hold, queued time.Time, r reply) {
	h.since, h.keepalive = r.received, r.body.KeepaliveURL
	if d.lab.keepalive != "" {
		h.keepalive = d.lab.keepalive + "/v1/leases/" + h.id + "/keepalive"
	}
	t := &tenure{id: h.id, fence: r.body.Fence, queued: queued, renewed: r.sent, until: r.sent.Add(r.remaining())}
	for _, device := range r.body.Devices {
		t.devices = append(t.devices, device.Name)
	}
	d.held.granted(h, t)
	for _, s := range d.ledger.granted(t, r.received) {
		d.recorder.done(s.op, s.from, r.received, "")
	}
}

// ask asks for a lease, for which the same request can be repeated; query is "" for not standing in line.
func (d *driver) ask(ctx context.Context, h *hold, query string) reply {
	return d.call(ctx, request{http.MethodPost, d.lab.allocator + "/v1/leases" + query, h.token, h.body, answerWithin + d.patience()})
}

// forsake gives up what may have come of a request, as a good client does. It counts nowhere.
func (d *driver) forsake(ctx context.Context, h *hold) {
	r := d.call(ctx, request{method: http.MethodDelete, url: d.url(h), token: h.token, within: answerWithin})
	if !r.unknown() {
		d.held.remove(h)
	}
}

// patience is how long one request stands in line: so short that a lease which was granted meanwhile is kept alive in time, and that it is
// known how long it certainly lives.
func (d *driver) patience() time.Duration { return lease.KeepaliveInterval(d.scenario.ttl) }

// queue stands in line for a lease, for a time, in as many requests as that takes. Like any good client it asks again when it got no
// answer, or that of a service in trouble, which counts as an error.
func (d *driver) queue(shift context.Context, h *hold, wait time.Duration) reply {
	d.waiting.Add(1)
	defer d.waiting.Add(-1)
	until, failures := time.Now().Add(wait), 0
	for left := wait; ; {
		r := d.ask(shift, h, waitQuery(min(left, d.patience())))
		switch {
		case r.unknown():
			d.recorder.failed(opWait, r.code)
			failures++
		case r.code != "" || r.body.State != lease.StatePending:
			return r
		default:
			failures = 0
		}
		if left = time.Until(until); left <= 0 {
			r.code = codeNoDevice
			return r
		}
		if next := r.sent.Add(min(left, backoff(failures))); !byTimer(shift, next) {
			r.code = codeCancelled
			return r
		}
	}
}

// pause is how long after a request that came to nothing the same holder asks again at the earliest.
const pause = time.Second

// backoff is how long after a request the same holder asks again, when so many in a row have failed: longer each time, but not everyone
// equally long.
func backoff(failures int) time.Duration {
	const longest = 5 * pause
	d := min(pause<<min(failures, 3), longest)
	return max(pause, d-rand.N(d/2)) //nolint:gosec // no secret
}

// waitQuery is how a request says how long it stands in line.
func waitQuery(d time.Duration) string {
	return "?wait=" + url.QueryEscape(max(d, 0).Round(time.Millisecond).String())
}

// keepAlive keeps a lease alive, which was due at a moment; false when it is over.
func (d *driver) keepAlive(ctx context.Context, due time.Time, h *hold) bool {
	r := d.call(ctx, request{method: http.MethodPost, url: h.keepalive, token: h.token, within: answerWithin})
	if r.code == "" && r.body.RemainingSeconds <= 0 {
		r.code = codeUnclear
	}
	d.recorder.done(opKeepalive, due, r.received, r.code)
	switch {
	case r.code == "":
		d.ledger.renewed(h.tenure, r.sent, r.remaining())
	case r.over():
		d.ledger.ended(h.tenure, opKeepalive, r.code, r.received)
		d.held.remove(h)
		return false
	}
	return true
}

// release gives a lease back, which was due at a moment.
func (d *driver) release(ctx context.Context, due time.Time, h *hold) reply {
	d.ledger.leaving(h.tenure, time.Now())
	r := d.call(ctx, request{method: http.MethodDelete, url: d.url(h), token: h.token, within: answerWithin})
	d.recorder.done(opRelease, due, r.received, r.code)
	switch {
	case r.code == "":
		d.ledger.released()
	case r.over():
		d.ledger.ended(h.tenure, opRelease, r.code, r.received)
	}
	if !r.unknown() {
		d.held.remove(h)
	}
	return r
}

// giveBack releases what is still held, or may be, for some time; what is left then ends by itself.
func (d *driver) giveBack(ctx context.Context) {
	const longest = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	give := func(h *hold) bool {
		if h.tenure != nil {
			d.release(ctx, time.Now(), h)
		} else {
			d.forsake(ctx, h)
		}
		return !d.held.has(h)
	}
	for {
		failed := eachOf(d.held.all(), atOnce, give)
		if failed == 0 {
			return
		}
		if !byTimer(ctx, time.Now().Add(pause)) {
			d.note(fmt.Sprintf("leases that could not be given back at the end, and end by themselves: %s", count(failed)))
			return
		}
	}
}

// atOnce is how many requests there are at a time before and after the measurement.
const atOnce = 8

// eachOf does something to all things, so many at a time, and returns how often that failed.
func eachOf[T any](things []T, workersAtMost int, do func(T) bool) (failed int) {
	var failures atomic.Int64
	var workers sync.WaitGroup
	next := make(chan T)
	for range min(workersAtMost, len(things)) {
		workers.Go(func() {
			for thing := range next {
				if !do(thing) {
					failures.Add(1)
				}
			}
		})
	}
	for _, thing := range things {
		next <- thing
	}
	close(next)
	workers.Wait()
	return int(failures.Load())
}
