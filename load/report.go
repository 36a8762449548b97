package main

import (
	"fmt"
	"math"
	"time"
)

// report is what came of a run: all numbers, for the record.
type report struct {
	Scenario        string        `json:"scenario"`
	About           string        `json:"about"`
	Lab             string        `json:"lab"`
	Loop            string        `json:"loop"` // open or closed
	Start           time.Time     `json:"start_time"`
	Seconds         float64       `json:"measured_seconds"` // the time of which the rates are
	OK              bool          `json:"ok"`               // whether the floor held
	Floor           []requirement `json:"floor"`
	Operations      []row         `json:"operations"`
	Errors          int           `json:"errors"`
	Cycles          int           `json:"cycles"` // whole ones, on time
	CyclesPerSecond float64       `json:"cycles_per_second"`
	Leases          accounts      `json:"leases"`
	Driver          punctuality   `json:"driver"`
	Ramp            []step        `json:"ramp,omitempty"`
	Knee            *step         `json:"knee,omitempty"` // the last good step of the ramp
	Notes           []string      `json:"notes"`
	Series          []second      `json:"series"`
}

// row is how an operation went.
type row struct {
	Operation operation      `json:"operation"`
	About     string         `json:"about"`
	Requests  int            `json:"requests"`
	PerSecond float64        `json:"per_second"` // successes
	P50       latency        `json:"p50_ms"`
	P90       latency        `json:"p90_ms"`
	P99       latency        `json:"p99_ms"`
	P999      latency        `json:"p99_9_ms"`
	Max       latency        `json:"max_ms"`
	Errors    map[string]int `json:"errors"` // by code
	Curve     []mark         `json:"percentiles"`
	Histogram []bin          `json:"histogram"`
}

// mark is a point of the percentile curve: so many of 100 requests took at most so long.
type mark struct {
	Percentile float64 `json:"percentile"`
	Latency    latency `json:"latency_ms"`
}

// bin is how many requests took from one latency up to another.
type bin struct {
	From     latency `json:"from_ms"`
	To       latency `json:"to_ms"`
	Requests int     `json:"requests"`
}

// punctuality is how late the driver sent what had a moment to leave at.
type punctuality struct {
	Requests int     `json:"requests"`
	Late     int     `json:"late"` // by more than 10 ms
	P99      latency `json:"p99_ms"`
	Max      latency `json:"max_ms"`
	Full     int     `json:"full"` // requests that had to wait since too many were under way
}

// report reports what was measured.
func (d *driver) report() *report {
	s := d.scenario
	r := &report{
		Scenario: s.name, About: s.about, Lab: d.lab.about, Loop: "open", Seconds: d.measured.Seconds(),
		Leases: d.ledger.sum(), Ramp: d.steps, Knee: knee(d.steps), Notes: []string{},
	}
	if s.closed != nil {
		r.Loop = "closed"
	}
	d.recorder.report(r)
	d.annotate(r)
	r.Floor = d.requirements(r)
	r.OK = true
	for _, q := range r.Floor {
		r.OK = r.OK && q.OK
	}
	return r
}

// report writes what was recorded into a report. The record is over then.
func (rec *recorder) report(r *report) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	r.Start = rec.start.UTC().Truncate(time.Second)
	for _, op := range operations {
		if t := rec.total.of[op]; t != nil {
			r.Operations = append(r.Operations, t.row(op, r.Seconds))
		}
	}
	r.Errors, r.Cycles, r.Series = rec.total.failures(), rec.cycles, rec.seconds.all()
	if r.Seconds > 0 {
		r.CyclesPerSecond = float64(r.Cycles) / r.Seconds
	}
	delay := tally{histogram: rec.late.delay}
	r.Driver = punctuality{int(rec.late.delay.TotalCount()), rec.late.tardy, delay.quantile(99), delay.slowest(), rec.late.full}
}

func (t *tally) row(op operation, seconds float64) row {
	r := row{
		Operation: op, About: op.about(), Requests: t.requests, Errors: t.errors,
		P50: t.quantile(50), P90: t.quantile(90), P99: t.quantile(99), P999: t.quantile(99.9), Max: t.slowest(),
	}
	if seconds > 0 {
		r.PerSecond = float64(t.onTime) / seconds
	}
	for _, b := range t.histogram.CumulativeDistribution() {
		r.Curve = append(r.Curve, mark{b.Quantile, latency(time.Duration(b.ValueAt) * time.Microsecond)})
	}
	r.Histogram = t.bins()
	return r
}

// binsPerDecade is how many bins of a histogram there are for each power of ten.
const binsPerDecade = 10

// bins are the histogram in a form to be drawn, from the first bin that has any to the last.
func (t *tally) bins() []bin {
	var all []bin
	first := 0
	for _, bar := range t.histogram.Distribution() {
		if bar.Count == 0 {
			continue
		}
		at := int(math.Floor(binsPerDecade * math.Log10(float64(max(bar.From, 1)))))
		if all == nil {
			first = at
		}
		for n := first + len(all); n <= at; n++ {
			all = append(all, bin{From: edge(n), To: edge(n + 1)})
		}
		all[at-first].Requests += int(bar.Count)
	}
	return all
}

// edge is where a bin begins.
func edge(n int) latency {
	return latency(math.Pow(10, float64(n)/binsPerDecade) * float64(time.Microsecond))
}

// annotate adds what the reader has to know to judge the numbers.
func (d *driver) annotate(r *report) {
	r.Notes = append(r.Notes, d.notes...)
	if late := r.Driver; float64(late.Late) > tardyPart*float64(late.Requests) {
		r.Notes = append(r.Notes, fmt.Sprintf("the driver was late itself: %s of %s requests left more than %s after their moment, at most %s; "+
			"the machine it runs on was too busy, or the rate too high for it", count(late.Late), count(late.Requests), latency(tardy), late.Max))
	}
	if r.Driver.Full > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("the driver had no place for %s holders or requests when they were due, since %s were under way",
			count(r.Driver.Full), count(maxUnderWay)))
	}
	if n := r.Leases.Unjudged; n > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("of %s leases the grant arrived so late that nothing is certain of them", count(n)))
	}
	if d.scenario.ramp != nil {
		r.Notes = append(r.Notes, "the latencies and errors are those of all steps together, also of the bad ones")
	}
}

// row is how an operation went; nil when there was none.
func (r *report) row(op operation) *row {
	for i := range r.Operations {
		if r.Operations[i].Operation == op {
			return &r.Operations[i]
		}
	}
	return nil
}

// rate is the successes a second of an operation.
func (r *report) rate(op operation) float64 {
	if row := r.row(op); row != nil {
		return row.PerSecond
	}
	return 0
}

// missed are the requirements that the run did not meet.
func (r *report) missed() int {
	n := 0
	for _, q := range r.Floor {
		if !q.OK {
			n++
		}
	}
	return n
}

// verdict is errMissed unless the floor held.
func (r *report) verdict() error {
	if n := r.missed(); n > 0 {
		return fmt.Errorf("%w in %d of %d points", errMissed, n, len(r.Floor))
	}
	return nil
}
