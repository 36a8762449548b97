package faults_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// patience is how long a check may take: a history that it can't decide in that time is a failure.
const patience = 60 * time.Second

// finding is what the checker found of a history.
type finding struct {
	audit
	result  porcupine.CheckResult
	why     string // where the longest legal beginning ends, if the history is not legal
	checked int    // operations
	took    time.Duration
}

// check checks a history; lossy says that a failover may have lost releases, forgetful that Redis may have lost all leases.
func check(operations []operation, lossy, forgetful bool) finding {
	steps := fold(operations, lossy)
	for i := range steps {
		steps[i].forgetful = forgetful
	}
	began := time.Now()
	f := finding{audit: examine(steps), checked: len(operations)}
	f.result = porcupine.CheckOperationsTimeout(fencedMutex(), events(steps), patience)
	if f.result == porcupine.Illegal {
		f.why = explain(steps)
	}
	f.took = time.Since(began)
	return f
}

// events are the steps as porcupine takes them.
func events(steps []step) []porcupine.Operation {
	all := make([]porcupine.Operation, len(steps))
	for i, s := range steps {
		all[i] = porcupine.Operation{ClientId: s.lease, Input: s, Call: int64(s.call), Return: int64(s.ret)}
	}
	return all
}

// explain shows the end of the longest legal beginning of the first device whose history is not legal, and what did not fit.
func explain(steps []step) string {
	for _, part := range fencedMutex().Partition(events(steps)) {
		result, info := porcupine.CheckOperationsVerbose(fencedMutex(), part, patience/4)
		if result != porcupine.Illegal {
			continue
		}
		var longest []porcupine.Operation
		for _, some := range info.PartialLinearizationsOperations()[0] {
			if len(some) > len(longest) {
				longest = some
			}
		}
		return part[0].Input.(step).device + ":\n" + ending(longest) + "  and then one of\n" + rest(part, longest)
	}
	return "no device by itself"
}

// shown is how many steps are shown of either side.
const shown = 6

func ending(legal []porcupine.Operation) string {
	return lines(legal[max(0, len(legal)-shown):])
}

// rest is the first of a device's steps that a legal beginning does not have.
func rest(part, legal []porcupine.Operation) string {
	left := slices.DeleteFunc(slices.Clone(part), func(o porcupine.Operation) bool {
		return slices.ContainsFunc(legal, func(l porcupine.Operation) bool { return l.Input == o.Input })
	})
	slices.SortStableFunc(left, func(a, b porcupine.Operation) int { return int(a.Return - b.Return) })
	return lines(left[:min(len(left), shown)])
}

func lines(some []porcupine.Operation) string {
	var b strings.Builder
	for _, o := range some {
		fmt.Fprintf(&b, "    %s\n", o.Input)
	}
	return b.String()
}
