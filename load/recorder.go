package main

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// tardy is from when on a request that leaves after its moment is late.
const tardy = 10 * time.Millisecond

// recorder writes down how the requests went. Before its begin and after its end it writes nothing.
type recorder struct {
	mu      sync.Mutex
	start   time.Time // zero before the begin
	until   time.Time // successes later than this do not count for the rate; zero for none yet
	ended   bool
	total   *tallies
	step    *tallies // since the last step began
	seconds series
	cycles  int // whole ones, on time
	inStep  int // whole ones of the step, on time
	late    lateness
}

// lateness is how late the driver was.
type lateness struct {
	delay *hdrhistogram.Histogram // of what had a moment to leave at, in microseconds
	tardy int
	full  int // how often all places for requests under way were taken
}

func newRecorder() *recorder {
	return &recorder{
		total: newTallies(fine), step: newTallies(fine),
		late: lateness{delay: hdrhistogram.New(1, longestLatency, fine)},
	}
}

// begin begins the record.
func (r *recorder) begin(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start = at
}

// beginStep begins a step, which has its own tallies, and whose successes count for the rate until a moment.
func (r *recorder) beginStep(until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step, r.inStep, r.until = newTallies(fine), 0, until
}

// end ends the record.
func (r *recorder) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

// writing reports whether the record is on; the caller has the lock.
func (r *recorder) writing() bool { return !r.start.IsZero() && !r.ended }

// done counts what was due at a moment and answered at another; code is "" for a success.
func (r *recorder) done(op operation, due, answered time.Time, code string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.writing() {
		return
	}
	took, onTime := answered.Sub(due), r.onTime(answered)
	r.total.at(op).add(took, code, onTime)
	r.step.at(op).add(took, code, onTime)
	if !op.request() {
		due = answered // a wait is long, and of interest when it ends
	}
	r.seconds.add(op, due.Sub(r.start), took, code)
}

// failed counts an error of something that could not be sent, or that goes on.
func (r *recorder) failed(op operation, code string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writing() {
		r.total.at(op).fail(code)
		r.step.at(op).fail(code)
	}
}

// cycled counts a whole cycle.
func (r *recorder) cycled(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writing() && r.onTime(at) {
		r.cycles++
		r.inStep++
	}
}

func (r *recorder) onTime(at time.Time) bool { return r.until.IsZero() || !at.After(r.until) }

// left counts a request that left so long after its moment.
func (r *recorder) left(delay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.late.delay.RecordValue(min(max(delay.Microseconds(), 1), longestLatency)) // within the bounds
	if delay > tardy {
		r.late.tardy++
	}
}

// full counts that there was no place for a request.
func (r *recorder) full() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.late.full++
}

// tardies is how many requests have been late, and how many had a moment to leave at.
func (r *recorder) tardies() (late, all int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.late.tardy, int(r.late.delay.TotalCount())
}

// stepped is how the step went, which took so long.
func (r *recorder) stepped(took time.Duration) step {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := step{Errors: r.step.failures(), Cycles: float64(r.inStep) / took.Seconds()}
	s.Slowest, s.P99 = r.step.slowest()
	if t := r.step.of[opKeepalive]; t != nil {
		s.Keepalives = float64(t.onTime) / took.Seconds()
	}
	return s
}

// glance is how it goes.
type glance struct {
	elapsed              time.Duration // 0 before the begin
	keepalives, releases int           // successes in the last second
	p99                  latency       // of that second, of the slowest kind of request
	errors               int           // in all
}

// look is how it goes now.
func (r *recorder) look(now time.Time) glance {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.start.IsZero() {
		return glance{}
	}
	g := glance{elapsed: now.Sub(r.start), errors: r.total.failures()}
	last := r.seconds.latest(int(g.elapsed / time.Second))
	_, g.p99 = last.slowest()
	g.keepalives, g.releases = last.successes(opKeepalive), last.successes(opRelease)
	return g
}

// begun reports whether anything was measured.
func (r *recorder) begun() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.start.IsZero()
}
