package faults_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSoak runs faults at random in one lab for as long as TEST_SOAK says, and watches what the services keep. `make soak` runs it.
func TestSoak(t *testing.T) {
	text := os.Getenv("TEST_SOAK")
	if text == "" {
		t.Skip("run by make soak")
	}
	long, err := time.ParseDuration(text)
	if err != nil || long <= 0 {
		t.Fatalf("TEST_SOAK is %q, want a duration such as 30m", text)
	}
	w := newWorkshop(t)
	l := newLab(t, w.original, setting{fsync: "always", wired: true, recovers: recovers})
	kept, table, faults := &burdens{}, &table{}, soaking()
	for end := time.Now().Add(long); time.Now().Before(end) && !t.Failed(); {
		f := faults[rand.IntN(len(faults))]
		l.history = newHistory()
		got := f.round(t, l)
		got.demand(t)
		table.add(f.name, got)
		kept.weigh(t, l)
	}
	fmt.Printf("%s%s", table, kept)
	kept.demandFlat(t)
}

// soaking are the faults of a soak. They leave the second replica of each service alone, whose burden is watched.
func soaking() []fault {
	list := []fault{
		{name: "services restart", strike: restartFirst(syscall.SIGTERM)},
		{name: "services are killed", strike: restartFirst(syscall.SIGKILL)},
	}
	for _, f := range faults() {
		if !f.setting.ha && !f.setting.crashing && !strings.HasPrefix(f.name, "services") {
			list = append(list, f)
		}
	}
	return list
}

// burden is what a service keeps while nobody uses it.
type burden struct{ goroutines, heap float64 }

// burdens are those of one allocator and one keepalive service, after each round.
type burdens struct{ allocator, keepalive []burden }

// weigh takes a sample, when the goroutines of the connections that the clients had are gone.
func (b *burdens) weigh(t *testing.T, l *lab) {
	t.Helper()
	b.allocator = append(b.allocator, l.allocators[1].burden(t))
	b.keepalive = append(b.keepalive, l.keepalives[1].burden(t))
}

func (s *service) burden(t *testing.T) burden {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	found := map[string]float64{}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		found[name], _ = strconv.ParseFloat(value, 64)
	}
	return burden{found["go_goroutines"], found["go_memstats_heap_inuse_bytes"]}
}

// flat is by how much the burden may grow from the first third of a soak to the last, beside what is always in motion.
const (
	flat            = 1.5
	someGoroutines  = 20
	someBytes       = 8 << 20
	roundsToCompare = 9
)

// demandFlat fails the test if a service keeps more and more. It takes some rounds to tell.
func (b *burdens) demandFlat(t *testing.T) {
	t.Helper()
	for name, samples := range map[string][]burden{"allocator": b.allocator, "keepalive": b.keepalive} {
		if len(samples) < roundsToCompare {
			t.Logf("%d rounds are too few to tell whether the %s keeps more and more", len(samples), name)
			continue
		}
		first, last := thirds(samples)
		if last.goroutines > flat*first.goroutines+someGoroutines || last.heap > flat*first.heap+someBytes {
			t.Errorf("the %s keeps more and more: %s, then %s", name, first, last)
		}
	}
}

func (b burden) String() string {
	return fmt.Sprintf("%.0f goroutines and %.1f MiB of heap", b.goroutines, b.heap/(1<<20))
}

// String is how the burdens were at first and at last.
func (b *burdens) String() string {
	var s strings.Builder
	for name, samples := range map[string][]burden{"allocator": b.allocator, "keepalive": b.keepalive} {
		if len(samples) > 0 {
			first, last := thirds(samples)
			fmt.Fprintf(&s, "%s, %d rounds: at first %s, at last %s (medians)\n", name, len(samples), first, last)
		}
	}
	return s.String()
}

// thirds are the medians of the first third of some samples and of the last.
func thirds(samples []burden) (first, last burden) {
	third := (len(samples) + 2) / 3
	return median(samples[:third]), median(samples[len(samples)-third:])
}

func median(samples []burden) burden {
	var goroutines, heap []float64
	for _, s := range samples {
		goroutines, heap = append(goroutines, s.goroutines), append(heap, s.heap)
	}
	slices.Sort(goroutines)
	slices.Sort(heap)
	return burden{goroutines[len(goroutines)/2], heap[len(heap)/2]}
}
