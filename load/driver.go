package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// maxUnderWay is how many holders there may be at once, and requests of other kinds: what comes then has to wait, and is late.
const maxUnderWay = 10_000

// grace is how late a success may be and still count for the rate: at the end of the time some are under way.
const grace = time.Second

// driver runs a scenario against a lab.
type driver struct {
	scenario scenario
	lab      lab
	http     *http.Client
	alarm    alarm // of what leaves at its moment
	ledger   *ledger
	recorder *recorder
	held     *holdings

	bodies []string     // of requests for a lease, one for each holder
	asked  atomic.Int64 // requests for a lease

	places   chan struct{} // has an element for each flow
	flows    sync.WaitGroup
	berths   []*berth
	tended   atomic.Int64 // turns of the berths
	waiting  atomic.Int64 // holders in line
	notes    []string
	steps    []step
	measured time.Duration // the time of which the rates are
}

// newDriver returns a driver that sends by a transport.
func newDriver(s scenario, at lab, transport http.RoundTripper, wake alarm) *driver {
	d := &driver{
		scenario: s, lab: at, alarm: wake, http: &http.Client{Transport: transport, CheckRedirect: noRedirect},
		ledger: newLedger(), recorder: newRecorder(), held: newHoldings(), places: make(chan struct{}, maxUnderWay),
	}
	const holders = 50 // as in a lab, they are several, but not as many as leases
	for n := range holders {
		d.bodies = append(d.bodies, d.body(fmt.Sprintf("load-%02d", n)))
	}
	return d
}

// noRedirect has redirections reported, as a gateway that sends requests elsewhere measures something else.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// body is what a holder asks for a lease with.
func (d *driver) body(holder string) string {
	text, err := json.Marshal(map[string]any{
		"pool": d.lab.pool, "selector": d.lab.selector, "ttl_seconds": int(d.scenario.ttl / time.Second),
		"holder": holder, "purpose": "load test, scenario " + d.scenario.name,
	})
	if err != nil {
		panic(err) // texts and a number always marshal
	}
	return string(text)
}

// drive runs the scenario, and gives back what it holds. The error is errInterrupted when the context was over before, else why nothing
// could be measured.
func (d *driver) drive(ctx context.Context) error {
	defer func() {
		if !errors.Is(context.Cause(ctx), errEnded) { // else there is nobody to give anything back to
			d.giveBack(context.WithoutCancel(ctx))
		}
	}()
	note, err := d.suffices(ctx)
	if err != nil {
		return interruptedOr(ctx, err)
	}
	d.note(note)
	if err := d.moveIn(ctx); err != nil {
		return interruptedOr(ctx, err)
	}
	d.recorder.begin(time.Now())
	if d.scenario.ramp != nil {
		d.climb(ctx)
	} else {
		d.measured = d.phase(ctx, 1, d.scenario.duration)
	}
	d.recorder.end()
	return interruptedOr(ctx, nil)
}

// interruptedOr is errInterrupted when the context is over, else the error.
func interruptedOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// note adds something that the reader of the report has to know.
func (d *driver) note(text string) {
	if text != "" {
		d.notes = append(d.notes, text)
	}
}

// phase runs the streams of the scenario for a time, at its rates times a factor, and returns how long that took. What is under way at the
// end is awaited, but who stands in line or holds a lease goes home.
func (d *driver) phase(ctx context.Context, factor float64, length time.Duration) time.Duration {
	begin := time.Now()
	end := begin.Add(length)
	d.recorder.beginStep(end.Add(grace))
	shift, over := context.WithDeadline(ctx, end)
	defer over()
	var streams sync.WaitGroup
	for _, stream := range d.streams(begin, end, factor) {
		streams.Go(func() { stream(shift) })
	}
	streams.Wait()
	if !d.scenario.finite() {
		<-shift.Done()
	}
	d.flows.Wait()
	if d.scenario.finite() || ctx.Err() != nil {
		return min(length, time.Since(begin))
	}
	return length
}

// streams are what goes on at once, from a moment to another.
func (d *driver) streams(begin, end time.Time, factor float64) []func(context.Context) {
	k, c := d.scenario.keepalives, d.scenario.cycles
	if d.scenario.closed != nil {
		return []func(context.Context){d.hammer}
	}
	var all []func(context.Context)
	if k != nil {
		schedule := schedule{begin: begin, end: end, gap: gapOf(k.rate * factor)}
		all = append(all, func(shift context.Context) { d.pace(shift, schedule, d.tend) })
	}
	if c != nil {
		schedule := schedule{begin: begin, end: end, gap: gapOf(c.rate * factor), count: c.count}
		if c.count > 0 {
			schedule.gap = float64(c.over) / float64(c.count)
		}
		all = append(all, func(shift context.Context) { d.pace(shift, schedule, d.cycle) })
	}
	return all
}

// url is where the allocator has something of a lease.
func (d *driver) url(h *hold) string { return d.lab.allocator + "/v1/leases/" + h.id }

// newHold is a lease that is about to be asked for.
func (d *driver) newHold() *hold {
	token := lease.NewToken()
	return &hold{token: token, id: token.ID(d.lab.pool).String(), body: d.bodies[int(d.asked.Add(1))%len(d.bodies)]}
}
