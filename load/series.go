package main

import (
	"slices"
	"time"
)

// second is how one second of the run went.
type second struct {
	Second     int                    `json:"second"` // counted from the start
	Operations map[operation]instance `json:"operations"`
}

// instance is how one operation went in one second.
type instance struct {
	Requests int     `json:"requests"`
	Errors   int     `json:"errors"`
	P50      latency `json:"p50_ms"`
	P99      latency `json:"p99_ms"`
	Max      latency `json:"max_ms"`
}

// series is how the run went, second by second. The seconds for which answers may still come have histograms, older ones only what
// is shown of them, so that a long run takes little memory.
type series struct {
	open map[int]*tallies
	done []second // in order
}

// settled is the age from which a second gets no more answers. Should there be some, since the driver is very late, they count in the
// oldest second that is not settled.
const settled = 2 * answerWithin

// add counts a request in the second that it was due in, that long after the start.
func (s *series) add(op operation, due, took time.Duration, code string) {
	at := int(due / time.Second)
	if n := len(s.done); n > 0 {
		at = max(at, s.done[n-1].Second+1)
	}
	if s.open == nil {
		s.open = map[int]*tallies{}
	}
	if s.open[at] == nil {
		s.settle(at - int(settled/time.Second))
		s.open[at] = newTallies(coarse)
	}
	s.open[at].at(op).add(took, code, true)
}

// settle puts the seconds before one into their final form.
func (s *series) settle(before int) {
	var due []int
	for at := range s.open {
		if at < before {
			due = append(due, at)
		}
	}
	slices.Sort(due)
	for _, at := range due {
		s.done = append(s.done, second{at, s.open[at].instances()})
		delete(s.open, at)
	}
}

// all returns every second in which there was something, in order. The series is over then.
func (s *series) all() []second {
	s.settle(int(2 * longestRun / time.Second))
	return s.done
}

// latest is the last second before one, as far as it is known now.
func (s *series) latest(before int) *tallies {
	if t := s.open[before-1]; t != nil {
		return t
	}
	return newTallies(coarse)
}

func (t *tallies) instances() map[operation]instance {
	all := make(map[operation]instance, len(t.of))
	for op, one := range t.of {
		all[op] = instance{one.requests, one.failures(), one.quantile(50), one.quantile(99), one.slowest()}
	}
	return all
}
