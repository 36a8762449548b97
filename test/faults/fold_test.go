package faults_test

import (
	"math"
	"slices"
	"time"
)

const forever = time.Duration(math.MaxInt64)

// doubt is when a lease may have a device though no client knows.
type doubt struct {
	device   string
	lease    int
	from, to time.Duration
}

// fold makes the steps that the model is told of a history. What is unknown is put together with what became known later:
//
//   - allocations with the same token are one grant, between the first call whose outcome is unknown and the first answer;
//   - as long as there is no answer, the lease may have the device, which excuses refusals of other leases;
//   - releases are one, between the first call and the answer; without an answer the holder relinquished the lease at the call;
//   - a keepalive of unknown outcome promises nothing: it is left out.
//
// When a failover may lose releases, which no replica has to confirm, each only relinquishes its lease; and no refusal proves
// anything, since a master that was replaced refuses for the sake of leases that are over.
func fold(operations []operation, lossy bool) []step {
	leases := map[int][]operation{}
	var steps []step
	var doubts []doubt
	for _, o := range operations {
		if o.request == revoke {
			steps = append(steps, step{act: takeAway, device: o.device, call: o.call, ret: o.ret})
			continue
		}
		leases[o.lease] = append(leases[o.lease], o)
	}
	for _, own := range leases {
		one := folding{lossy: lossy, doubtful: -1, released: -1}
		for _, o := range own {
			one.add(o)
		}
		one.end()
		steps, doubts = append(steps, one.steps...), append(doubts, one.doubts...)
	}
	for i := range steps {
		steps[i].excused = steps[i].act == refuse && (lossy || slices.ContainsFunc(doubts, steps[i].mayMeet))
	}
	return steps
}

// mayMeet reports whether the lease in doubt may have been what a step met.
func (s step) mayMeet(d doubt) bool {
	return d.device == s.device && d.lease != s.lease && d.from <= s.ret && d.to >= s.call
}

// folding is the operations of one lease, which its client sends one after the other.
type folding struct {
	lossy    bool
	last     operation
	doubtful time.Duration // the first call that may have got the device, as long as nobody knows; negative for none
	released time.Duration // the first call that may have returned it; negative for none
	granted  bool
	returned bool
	steps    []step
	doubts   []doubt
}

func (f *folding) add(o operation) {
	f.last = o
	s := step{device: o.device, lease: o.lease, fence: o.fence, until: o.until, call: o.call, ret: o.ret}
	switch o.request {
	case allocate:
		f.allocate(o, s)
	case keepalive:
		if o.outcome == done || o.outcome == gone {
			s.act = map[outcome]act{done: renew, gone: vanish}[o.outcome]
			f.steps = append(f.steps, s)
		}
	case release:
		f.release(o, s)
	}
}

func (f *folding) allocate(o operation, s step) {
	switch o.outcome {
	case unknown:
		if f.doubtful < 0 && !f.granted {
			f.doubtful = o.call
		}
	case done:
		s.act = grant
		if f.doubtful >= 0 {
			s.call = f.doubtful
		}
		f.granted = true
		f.steps = append(f.steps, s)
		f.settle(o.ret)
	case refused:
		s.act = refuse
		f.steps = append(f.steps, s)
	case gone:
		if f.granted {
			s.act = vanish
			f.steps = append(f.steps, s)
		}
		f.settle(o.ret)
	}
}

func (f *folding) release(o operation, s step) {
	if o.outcome == unsent {
		return
	}
	if f.released < 0 {
		f.released = o.call
	}
	switch {
	case o.outcome == done && f.granted && !f.lossy && !f.returned:
		s.act, s.call = giveBack, f.released
		f.steps, f.returned = append(f.steps, s), true
	case o.outcome == gone && f.granted:
		s.act = vanish
		f.steps = append(f.steps, s)
	}
	if o.outcome == done {
		f.settle(o.ret)
	}
}

// settle ends the doubt.
func (f *folding) settle(at time.Duration) {
	if f.doubtful >= 0 {
		f.doubts = append(f.doubts, doubt{f.last.device, f.last.lease, f.doubtful, at})
	}
	f.doubtful = -1
}

// end is when no more is known of the lease.
func (f *folding) end() {
	f.settle(forever)
	if f.granted && f.released >= 0 && !f.returned {
		f.steps = append(f.steps, step{act: relinquish, device: f.last.device, lease: f.last.lease, call: f.released, ret: f.released})
	}
}
