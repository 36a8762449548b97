package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// answer is what one of many allocations at once was told.
type answer struct {
	lease   *lease.Lease
	granted bool
	err     error
}

// atOnce allocates every grant at the same time.
func (l *lab) atOnce(ctx context.Context, grants []lease.Grant) []answer {
	answers := make([]answer, len(grants))
	start := make(chan struct{})
	var all sync.WaitGroup
	for i, g := range grants {
		all.Go(func() {
			<-start
			a := &answers[i]
			a.lease, a.granted, a.err = l.Allocate(ctx, g)
		})
	}
	close(start)
	all.Wait()
	return answers
}

// Of 64 who want one device at once, exactly one gets it, and the others are told that none is free.
func TestRaceForOneDevice(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		grants := make([]lease.Grant, 64)
		for i := range grants {
			grants[i] = l.want(t, lease.Request{})
		}
		winners := 0
		for _, a := range l.atOnce(t.Context(), grants) {
			switch {
			case a.err == nil && a.granted:
				winners++
			case !errors.Is(a.err, lease.ErrNoneFree):
				t.Errorf("a loser is told %v, want none_free", a.err)
			}
		}
		if winners != 1 {
			t.Errorf("%d winners, want 1", winners)
		}
		checkLocks(t, l.dump(t))
	})
}

// Of 64 who want any of 40 devices at once, 40 get one each.
func TestRaceForManyDevices(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, plain(40)...)
		grants := make([]lease.Grant, 64)
		for i := range grants {
			grants[i] = l.want(t, lease.Request{})
		}
		held, fences := map[string]bool{}, map[int64]bool{}
		for _, a := range l.atOnce(t.Context(), grants) {
			if a.err == nil {
				held[a.lease.Devices[0]], fences[a.lease.Fence] = true, true
			} else if !errors.Is(a.err, lease.ErrNoneFree) {
				t.Errorf("a loser is told %v, want none_free", a.err)
			}
		}
		if len(held) != 40 || len(fences) != 40 {
			t.Errorf("%d devices and %d fences were granted, want 40", len(held), len(fences))
		}
	})
}

// One token used 64 times at once is one lease: all are told the same, and one that it is new.
func TestRaceOfOneToken(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, plain(64)...)
		grants := make([]lease.Grant, 64)
		g := l.want(t, lease.Request{})
		for i := range grants {
			grants[i] = g
		}
		granted, fences := 0, map[int64]bool{}
		for _, a := range l.atOnce(t.Context(), grants) {
			if a.err != nil {
				t.Fatal(a.err)
			}
			if fences[a.lease.Fence] = true; a.granted {
				granted++
			}
		}
		if granted != 1 || len(fences) != 1 || len(l.dump(t).locks()) != 1 {
			t.Errorf("granted %d times, with fences %v and locks %v; want one of each", granted, fences, l.dump(t).locks())
		}
	})
}
