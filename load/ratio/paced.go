package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// What is kept alive at a pace: each of so many leases once in the time.
const (
	pacedLeases = 10_000
	pacedEvery  = 20 * time.Second
)

// pacedKeepalives keeps leases alive as their holders would, once, and reports how long that took them and what memory it took.
func pacedKeepalives(ctx context.Context, b *bench) error {
	l, err := b.lab(ctx, pacedLeases)
	if err != nil {
		return err
	}
	if err := l.keep(ctx, pacedLeases); err != nil {
		return err
	}
	b.say("paced: %d leases kept alive in %s", pacedLeases, pacedEvery)
	c := contender{
		name: "keepalive, 10,000 leases every 20 s", lab: l, service: l.keepalive, redis: l.redis, perUnit: 1,
		run: func(ctx context.Context, _ int) (traffic, error) { return l.renewPaced(ctx, pacedEvery/pacedLeases) },
	}
	taken, err := b.measure(ctx, c, 0)
	if err != nil {
		return err
	}
	resident, err := residentBytes(l.keepalive)
	if err != nil {
		return err
	}
	b.report.add(measurement{Set: "paced", Name: c.name, ResidentBytes: resident, Samples: []sample{taken}})
	return nil
}

// renewPaced keeps each lease alive once, one every so often whether or not those before are answered, and returns how long they
// took.
func (l *lab) renewPaced(ctx context.Context, every time.Duration) (traffic, error) {
	latencies := make([]time.Duration, len(l.kept))
	all, ctx := errgroup.WithContext(ctx)
	start, timer := time.Now(), time.NewTimer(0)
	defer timer.Stop()
	for i, h := range l.kept {
		timer.Reset(time.Until(start.Add(time.Duration(i) * every)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return traffic{}, errors.Join(all.Wait(), context.Cause(ctx))
		}
		all.Go(func() error {
			sent := time.Now()
			err := l.renew(ctx, h)
			latencies[i] = time.Since(sent)
			return err
		})
	}
	err := all.Wait()
	took := time.Since(start)
	slices.Sort(latencies)
	return traffic{requests: len(latencies), took: took, p50: percentile(latencies, 50), p99: percentile(latencies, 99)}, err
}

// percentile is the value that so many percent of the sorted values are not above.
func percentile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}
