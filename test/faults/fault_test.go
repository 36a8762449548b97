package faults_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// fault is something that goes wrong while clients are busy.
type fault struct {
	name    string
	setting setting
	strike  func(t *testing.T, l *lab) // breaks things, and mends them
	mutants []mutant
}

// mutant is the services, or what they stand on, without a mechanism.
type mutant struct {
	lacks   string
	edits   []edit
	setting func(*setting)             // the lab that lacks it; nil for the fault's own
	strike  func(t *testing.T, l *lab) // what is done to it; nil for the fault's own
	caught  func(figures) bool         // nil when the checker is to say that the history is illegal
}

// test runs the fault, and then against its mutants.
func (f fault) test(t *testing.T, w *workshop, table *table) {
	t.Run("as it is", func(t *testing.T) {
		s := f.setting
		s.least = leastEach
		got := f.run(t, w.original, s)
		table.add(f.name, got)
		got.demand(t)
	})
	for _, m := range f.mutants {
		t.Run("without "+m.lacks, func(t *testing.T) { f.testMutant(t, w, m) })
	}
}

// chances is how often a mutant is run before it counts as not caught: what it lacks shows only if a client is just then in need of it.
const chances = 3

func (f fault) testMutant(t *testing.T, w *workshop, m mutant) {
	s := f.setting
	s.recovers = mutantRecovers
	if m.setting != nil {
		m.setting(&s)
	}
	programs := w.original
	if len(m.edits) > 0 {
		programs = w.build(t, m.lacks, m.edits...)
	}
	if m.strike != nil {
		f.strike = m.strike
	}
	if m.caught == nil {
		m.caught = func(got figures) bool { return got.result == porcupine.Illegal }
	}
	for range chances {
		got := f.run(t, programs, s)
		t.Logf("%s: %d double grants, %d leases lost, %d orphans, %d fences that did not rise, of %d operations\n%s",
			got.result, len(got.doubles), len(got.lost), got.orphans, len(got.regressions), got.checked, got.why)
		if m.caught(got) {
			return
		}
	}
	t.Error("not caught: this test shows nothing")
}

// run runs the fault in a lab of its own, and checks what its clients saw.
func (f fault) run(t *testing.T, programs string, s setting) figures {
	t.Helper()
	s.recovers = orUsual(s.recovers, recovers)
	l := newLab(t, programs, s)
	if s.crashing {
		return l.crash(t)
	}
	return f.round(t, l)
}

// round lets clients begin, runs the fault, and lets them end, in a lab that nobody uses.
func (f fault) round(t *testing.T, l *lab) figures {
	t.Helper()
	c := l.begin(t.Context())
	until(t, "clients are busy", func(context.Context) bool { return l.history.count(0, good) >= busy })
	struck := l.history.now()
	f.strike(t, l)
	l.recover(t)
	lasts(t, l.ttl+2*grace) // so that what only time can end has ended
	until(t, "there are enough operations", func(context.Context) bool { return l.history.count(0, every) >= l.least })
	c.end()
	got := l.figures(t, c.caller)
	got.again = longestGap(l.history.all(), struck)
	return got
}

// recovers and mutantRecovers are how long a lab may take to serve again after a fault.
const (
	recovers       = 30 * time.Second
	mutantRecovers = 3 * time.Second
)

// busy is how many good answers there are before something is broken.
const busy = 500

func good(o operation) bool { return o.outcome == done }

func every(operation) bool { return true }

// recover waits until leases are granted and kept alive again, unless that takes too long.
func (l *lab) recover(t *testing.T) {
	t.Helper()
	mended := l.history.now()
	ctx, cancel := context.WithTimeout(t.Context(), l.recovers)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for _, asked := range []request{allocate, keepalive} {
		for l.history.count(mended, func(o operation) bool { return good(o) && o.request == asked }) == 0 {
			select {
			case <-poll.C:
			case <-ctx.Done():
				t.Logf("no %s went well in %s", asked, l.recovers)
				return
			}
		}
	}
}

// figures ends the history of a lab, whose clients have stopped, and checks it.
func (l *lab) figures(t *testing.T, c *caller) figures {
	t.Helper()
	return figures{finding: check(l.history.all(), l.lossy, l.forgetful), orphans: l.orphans(t), unexpected: c.unexpected}
}

// orphans is how many devices are still leased when all leases must be over, since nobody keeps any.
func (l *lab) orphans(t *testing.T) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), l.ttl+grace+l.recovers)
	defer cancel()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		leased, known := l.leased(ctx)
		if known && leased == 0 {
			return 0
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			leased, known = l.leased(t.Context())
			if !known {
				t.Error("nobody tells which devices are leased")
			}
			return leased
		}
	}
}

// leased is how many devices are leased, and whether that is known.
func (l *lab) leased(ctx context.Context) (n int, known bool) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.allocators[1].url+"/v1/devices?state=leased&page_size=500", nil)
	if err != nil {
		return 0, false
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, false
	}
	defer func() { _ = answer.Body.Close() }()
	var page struct {
		Devices []json.RawMessage `json:"devices"`
	}
	err = json.NewDecoder(answer.Body).Decode(&page)
	return len(page.Devices), err == nil && answer.StatusCode == http.StatusOK
}

// longestGap is the longest time after a fault without a good answer, of allocations or of keepalives.
func longestGap(operations []operation, struck time.Duration) time.Duration {
	var longest time.Duration
	for _, asked := range []request{allocate, keepalive} {
		last := struck
		for _, o := range operations {
			if o.request == asked && good(o) && o.ret > last {
				longest = max(longest, o.ret-last)
				last = o.ret
			}
		}
	}
	return longest
}
