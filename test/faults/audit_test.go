package faults_test

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// audit counts what went wrong in a history, without regard to what the model makes of it. Of a legal history all is zero.
type audit struct {
	doubles     []string // grants of a device that another lease certainly had
	lost        []string // leases that were gone while they were certain
	regressions []string // fences that did not rise
}

// tenure is what is known of one lease.
type tenure struct {
	grant    step
	until    []step        // the grant and the renewals, which each make it certain for a while
	released time.Duration // when its holder stopped, by release or because it was taken away
}

// certainUntil is until when the lease was certain, by what was asked before a time.
func (t *tenure) certainUntil(before time.Duration) time.Duration {
	var until time.Duration
	for _, s := range t.until {
		if s.ret <= before {
			until = max(until, s.until)
		}
	}
	return min(until, t.released)
}

func examine(steps []step) audit {
	steps = slices.Clone(steps)
	slices.SortStableFunc(steps, func(a, b step) int {
		return cmp.Or(cmp.Compare(a.call, b.call), cmp.Compare(b.act, a.act)) // what ends a claim comes before what shows that it ended
	})
	leases := map[int]*tenure{}
	var a audit
	for _, s := range steps {
		switch known := leases[s.lease]; {
		case s.act == grant && (known == nil || s.fence != known.grant.fence):
			leases[s.lease] = &tenure{grant: s, until: []step{s}, released: forever}
		case known == nil:
		case s.act == renew || s.act == grant:
			known.until = append(known.until, s)
		case s.act == giveBack || s.act == relinquish:
			known.released = min(known.released, s.call)
		case s.act == vanish && !s.forgetful && s.ret < known.certainUntil(s.call) && !takenAway(steps, known, s):
			a.lost = append(a.lost, fmt.Sprintf("%s: %s, after %s", s.device, s, known.grant))
			known.released = s.call
		}
	}
	tenures := make([]*tenure, 0, len(leases))
	for _, t := range leases {
		tenures = append(tenures, t)
	}
	a.doubles = doubles(tenures, steps)
	a.regressions = regressions(tenures)
	return a
}

// takenAway reports whether somebody removed the lease's lock by hand before a step.
func takenAway(steps []step, t *tenure, by step) bool {
	return slices.ContainsFunc(steps, func(s step) bool {
		return s.act == takeAway && s.device == t.grant.device && s.ret >= t.grant.call && s.call <= by.ret
	})
}

// doubles are the grants of devices that the lease granted before, by its fence, certainly had.
func doubles(tenures []*tenure, steps []step) []string {
	slices.SortFunc(tenures, func(a, b *tenure) int {
		return cmp.Or(cmp.Compare(a.grant.device, b.grant.device), cmp.Compare(a.grant.ret, b.grant.ret))
	})
	var found []string
	for i, later := range tenures {
		for _, earlier := range tenures[max(0, i-8):i] {
			if earlier.grant.device == later.grant.device && later.grant.ret < earlier.certainUntil(later.grant.call) &&
				!takenAway(steps, earlier, later.grant) {
				found = append(found, fmt.Sprintf("%s: %s, during %s", later.grant.device, later.grant, earlier.grant))
				break
			}
		}
	}
	return found
}

// regressions are the fences that are not above those of all grants that were known before.
func regressions(tenures []*tenure) []string {
	byCall := slices.SortedFunc(slices.Values(tenures), func(a, b *tenure) int { return cmp.Compare(a.grant.call, b.grant.call) })
	byReturn := slices.SortedFunc(slices.Values(tenures), func(a, b *tenure) int { return cmp.Compare(a.grant.ret, b.grant.ret) })
	var highest *tenure
	var found []string
	for _, t := range byCall {
		for len(byReturn) > 0 && byReturn[0].grant.ret < t.grant.call {
			if highest == nil || byReturn[0].grant.fence > highest.grant.fence {
				highest = byReturn[0]
			}
			byReturn = byReturn[1:]
		}
		if highest != nil && t.grant.fence <= highest.grant.fence {
			found = append(found, fmt.Sprintf("%s: %s, after %s of %s", t.grant.device, t.grant, highest.grant, highest.grant.device))
		}
	}
	return found
}
