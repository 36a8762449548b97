package faults_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/anishathalye/porcupine"
)

// figures are what came of one fault.
type figures struct {
	finding
	orphans    int           // devices still leased though their leases must be over
	unexpected []string      // answers that no fault excuses
	again      time.Duration // the longest time without service
	handOvers  []time.Duration
}

// demand fails the test if anything is wrong.
func (f figures) demand(t *testing.T) {
	t.Helper()
	for what, found := range map[string][]string{
		"double grants": f.doubles, "leases lost": f.lost, "fences that did not rise": f.regressions, "answers that no fault excuses": f.unexpected,
	} {
		if len(found) > 0 {
			t.Errorf("%d %s, such as\n%s", len(found), what, strings.Join(found[:min(3, len(found))], "\n"))
		}
	}
	if f.result != porcupine.Ok {
		t.Errorf("the history of %d operations is %s; Unknown is undecided\n%s", f.checked, f.result, f.why)
	}
	if f.orphans > 0 {
		t.Errorf("%d devices are leased by nobody", f.orphans)
	}
	if n := len(f.handOvers); n > 0 && f.handOver(n/2) > grossly {
		t.Errorf("half of the devices were handed over more than %s late", f.handOver(n/2))
	}
	if f.again > patience/2 {
		t.Errorf("no service for %s", f.again)
	}
}

// grossly is how late a device may be handed over on a machine that is busy with other things.
const grossly = time.Second

// handOver is the n-th quickest time in which a device was handed over.
func (f figures) handOver(n int) time.Duration { return slices.Sorted(slices.Values(f.handOvers))[n] }

// table is the figures of all faults. It is safe for concurrent use.
type table struct {
	mu   sync.Mutex
	rows []row
}

type row struct {
	name string
	figures
}

func (t *table) add(name string, f figures) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.rows {
		if t.rows[i].name == name {
			t.rows[i].merge(f)
			return
		}
	}
	t.rows = append(t.rows, row{name, f})
}

// merge adds the figures of another run.
func (f *figures) merge(other figures) {
	f.checked += other.checked
	f.doubles, f.lost = append(f.doubles, other.doubles...), append(f.lost, other.lost...)
	f.regressions = append(f.regressions, other.regressions...)
	f.orphans += other.orphans
	if f.result == porcupine.Ok {
		f.result = other.result
	}
	f.again, f.took = max(f.again, other.again), max(f.took, other.took)
}

// complete reports whether every fault was run.
func (t *table) complete() bool { return len(t.rows) == len(faults()) }

// sum is the totals of the table.
type sum struct{ operations, doubles, lost, orphans, regressions int }

func (t *table) total() sum {
	var s sum
	for _, r := range t.rows {
		s.operations += r.checked
		s.doubles += len(r.doubles)
		s.lost += len(r.lost)
		s.orphans += r.orphans
		s.regressions += len(r.regressions)
	}
	return s
}

// String is the table as people read it.
func (t *table) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "fault\toperations\thistory\tdouble grants\tleases lost\torphans\tfences not risen\tservice again\tchecked in")
	for _, r := range t.rows {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%d\t%d\t%d\t%.1f s\t%.1f s\n",
			r.name, r.checked, r.result, len(r.doubles), len(r.lost), r.orphans, len(r.regressions), r.again.Seconds(), r.took.Seconds())
	}
	s := t.total()
	_, _ = fmt.Fprintf(w, "all\t%d\t\t%d\t%d\t%d\t%d\n", s.operations, s.doubles, s.lost, s.orphans, s.regressions)
	_ = w.Flush()
	for _, r := range t.rows {
		if n := len(r.handOvers); n > 0 {
			fmt.Fprintf(&b, "%d devices handed over after their holders died: TTL + grace + %d ms (median), + %d ms (slowest)\n",
				n, r.handOver(n/2).Milliseconds(), r.handOver(n-1).Milliseconds())
		}
	}
	return b.String()
}
