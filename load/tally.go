package main

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histograms hold microseconds, up to an hour.
const (
	longestLatency = int64(time.Hour / time.Microsecond)
	fine, coarse   = 3, 2 // significant digits: of a whole run, and of each of its seconds
)

// tally is how one operation went.
type tally struct {
	histogram *hdrhistogram.Histogram
	requests  int
	onTime    int            // successes before the end of the time of which the rate is
	errors    map[string]int // by code
}

func newTally(precision int) *tally {
	return &tally{histogram: hdrhistogram.New(1, longestLatency, precision), errors: map[string]int{}}
}

// add counts a request; code is "" for a success.
func (t *tally) add(took time.Duration, code string, onTime bool) {
	t.requests++
	// A value within the bounds is always recorded.
	_ = t.histogram.RecordValue(min(max(took.Microseconds(), 1), longestLatency))
	switch {
	case code != "":
		t.fail(code)
	case onTime:
		t.onTime++
	}
}

// fail counts an error. There are not more kinds of them than a table shows.
func (t *tally) fail(code string) {
	const most = 20
	if t.errors[code] == 0 && len(t.errors) >= most {
		code = "other"
	}
	t.errors[code]++
}

func (t *tally) failures() int {
	n := 0
	for _, count := range t.errors {
		n += count
	}
	return n
}

// quantile is the latency that so many of 100 requests stay within.
func (t *tally) quantile(of100 float64) latency {
	return latency(time.Duration(t.histogram.ValueAtQuantile(of100)) * time.Microsecond)
}

func (t *tally) slowest() latency {
	return latency(time.Duration(t.histogram.Max()) * time.Microsecond)
}

// tallies are how all operations went.
type tallies struct {
	precision int
	of        map[operation]*tally
}

func newTallies(precision int) *tallies {
	return &tallies{precision: precision, of: map[operation]*tally{}}
}

// at returns the tally of an operation, which begins with its first request.
func (t *tallies) at(op operation) *tally {
	if t.of[op] == nil {
		t.of[op] = newTally(t.precision)
	}
	return t.of[op]
}

// successes is how often an operation succeeded.
func (t *tallies) successes(op operation) int {
	if t.of[op] == nil {
		return 0
	}
	return t.of[op].requests - t.of[op].failures()
}

func (t *tallies) failures() int {
	n := 0
	for _, one := range t.of {
		n += one.failures()
	}
	return n
}

// slowest is the operation of a request with the worst p99, and that.
func (t *tallies) slowest() (worst operation, p99 latency) {
	for _, op := range operations {
		if one := t.of[op]; one != nil && op.request() && one.quantile(99) > p99 {
			worst, p99 = op, one.quantile(99)
		}
	}
	return worst, p99
}
