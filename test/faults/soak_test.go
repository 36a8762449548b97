package faults_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
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
		if !f.setting.ha && !f.setting.crashing && !f.setting.forgetful && !strings.HasPrefix(f.name, "services") {
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
	if _, err := fetch(ctx, s.profiles+"/debug/pprof/heap"); err != nil { // which has the garbage collected
		t.Fatal(err)
	}
	metrics, err := fetch(ctx, s.url+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for lines := bufio.NewScanner(bytes.NewReader(metrics)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		found[name], _ = strconv.ParseFloat(value, 64)
	}
	return burden{found["go_goroutines"], found["go_memstats_heap_alloc_bytes"]}
}

// How much more may be kept in the last third of a soak than in the first: what is always in motion.
const (
	someGoroutines  = 40
	someBytes       = 8 << 20
	roundsToCompare = 9 // of each third one may be odd
)

// demandFlat fails the test if a service keeps more and more. It takes some rounds to tell.
func (b *burdens) demandFlat(t *testing.T) {
	t.Helper()
	for name, samples := range map[string][]burden{"allocator": b.allocator, "keepalive": b.keepalive} {
		if len(samples) < roundsToCompare {
			fmt.Printf("%d rounds are too few to tell whether the %s keeps more and more, want %d\n", len(samples), name, roundsToCompare)
			continue
		}
		if grows(samples) {
			first, last := thirds(samples)
			t.Errorf("the %s keeps more and more: %s, then %s", name, first, last)
		}
	}
}

func grows(samples []burden) bool {
	first, last := thirds(samples)
	return last.goroutines > first.goroutines+someGoroutines || last.heap > first.heap+someBytes
}

// TestGrows sees that a soak of the fewest rounds tells a burden that grows from one that only moves.
func TestGrows(t *testing.T) {
	t.Parallel()
	usual := burden{goroutines: 40, heap: 10 << 20}
	for name, c := range map[string]struct {
		each burden // what each round adds
		odd  burden // what one of them has in addition, in the middle or at the end
		want bool
	}{
		"nothing is added":            {},
		"one round is odd":            {odd: burden{goroutines: 5000, heap: 1 << 30}},
		"goroutines, 12 each round":   {each: burden{goroutines: 12}, want: true},
		"memory, 4 MiB each round":    {each: burden{heap: 4 << 20}, want: true},
		"a little, as caches do":      {each: burden{goroutines: 1, heap: 1 << 18}},
		"goroutines, and a round odd": {each: burden{goroutines: 12}, odd: burden{goroutines: -20}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for odd := range roundsToCompare {
				samples := make([]burden, 0, roundsToCompare)
				for n := range roundsToCompare {
					samples = append(samples, burden{usual.goroutines + float64(n)*c.each.goroutines, usual.heap + float64(n)*c.each.heap})
				}
				samples[odd].goroutines += c.odd.goroutines
				samples[odd].heap += c.odd.heap
				if got := grows(samples); got != c.want {
					t.Errorf("round %d odd: grows %v, want %v: %v", odd, got, c.want, samples)
				}
			}
		})
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
