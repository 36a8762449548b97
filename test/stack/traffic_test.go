package stack_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// rate is how many requests a second traffic makes.
const rate = 150

// traffic is requests at a fixed rate, however long each takes.
type traffic struct {
	stop     func()
	requests sync.WaitGroup

	mu      sync.Mutex
	took    []time.Duration // of those that were answered well
	failed  []error
	settled chan struct{} // closed when the next one has been answered
}

// begin makes requests until the traffic is ended.
func begin(t *testing.T, request func(ctx context.Context, n int) error) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	tr := &traffic{settled: make(chan struct{})}
	t.Cleanup(cancel)
	running := make(chan struct{})
	tr.stop = func() {
		cancel()
		<-running
		tr.requests.Wait()
	}
	go func() {
		defer close(running)
		tick := time.NewTicker(time.Second / rate)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			tr.requests.Go(func() { tr.one(n, request) })
		}
	}()
	return tr
}

func (tr *traffic) one(n int, request func(ctx context.Context, n int) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	start := time.Now()
	err := request(ctx, n)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if err != nil {
		tr.failed = append(tr.failed, err)
	} else {
		tr.took = append(tr.took, time.Since(start))
	}
	close(tr.settled)
	tr.settled = make(chan struct{})
}

// flow waits until so many more requests have been answered well.
func (tr *traffic) flow(t *testing.T, more int) {
	t.Helper()
	over := time.After(patience)
	for begun := -1; ; {
		tr.mu.Lock()
		done, settled := len(tr.took), tr.settled
		tr.mu.Unlock()
		if begun < 0 {
			begun = done
		}
		if done >= begun+more {
			return
		}
		select {
		case <-settled:
		case <-over:
			t.Fatalf("%d of %d requests were answered in %s; %v", done-begun, more, patience, errors.Join(tr.first(3)...))
		}
	}
}

// end ends the traffic, waits for what is under way, tells what it was, and returns the errors.
func (tr *traffic) end(t *testing.T) []error {
	t.Helper()
	tr.stop()
	slices.Sort(tr.took)
	at := func(share float64) time.Duration {
		return tr.took[int(share*float64(len(tr.took)-1))].Round(100 * time.Microsecond)
	}
	t.Logf("%d requests at %d/s, %d failed; p50 %s, p99 %s, slowest %s", len(tr.took)+len(tr.failed), rate, len(tr.failed), at(.5), at(.99), at(1))
	return tr.failed
}

// endWithout ends the traffic, of which no request must have failed.
func (tr *traffic) endWithout(t *testing.T) {
	t.Helper()
	if failed := tr.end(t); len(failed) > 0 {
		t.Errorf("%d requests failed, such as: %v", len(failed), errors.Join(tr.first(5)...))
	}
}

// first returns the first errors.
func (tr *traffic) first(n int) []error {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.failed[:min(n, len(tr.failed))])
}
