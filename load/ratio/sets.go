package main

import (
	"context"
	"fmt"
)

// set is what is measured together, with ratios between its contenders.
type set struct {
	name, about string
	run         func(context.Context, *bench) error
}

// allSets are the sets in the order in which they are measured: labs get more leases from one to the next, never less.
func allSets() []set {
	return []set{
		{"http", "keepalives, allocate + release, Gin and redis-benchmark, on 64 connections", http64},
		{"one", "a keepalive after the other, on one connection", oneByOne},
		{"paced", "10,000 leases kept alive every 20 s: latency, and memory of the service", pacedKeepalives},
		{"devices", "allocate + release with 1,000 and 100,000 devices, of which 0, 50, 99 and 100 % are leased", byDevices},
		{"leases", "keepalives with 1,000, 10,000 and 100,000 leases", byLeases},
	}
}

// middleLab is the lab of the sets that do not ask how size matters: 2,000 devices of which 1,000 are leased.
func middleLab(ctx context.Context, b *bench) (*lab, error) {
	l, err := b.lab(ctx, 2_000)
	if err != nil {
		return nil, err
	}
	return l, l.keep(ctx, 1_000)
}

func http64(ctx context.Context, b *bench) error {
	l, err := middleLab(ctx, b)
	if err != nil {
		return err
	}
	script, err := l.script(ctx, connections)
	if err != nil {
		return err
	}
	const gin, keepalive, cycle, redis = 0, 1, 2, 3
	rounds, err := b.takeTurns(ctx, "http", b.ginFixed(l, connections), l.keepalives(connections), l.cycles(connections), script)
	if err != nil {
		return err
	}
	b.report.find("http", "keepalives/s ÷ Gin's requests/s", target{atLeast: 0.60, aim: 0.70},
		ratios(rounds, func(r round) float64 { return r[keepalive].PerSecond / r[gin].PerSecond }))
	b.report.find("http", "service CPU of a keepalive ÷ of a Gin request", target{atMost: 1.60},
		ratios(rounds, func(r round) float64 { return r[keepalive].ServiceCPUUs / r[gin].ServiceCPUUs }))
	b.report.find("http", "allocate + release cycles/s ÷ Gin's requests/s", target{atLeast: 0.25},
		ratios(rounds, func(r round) float64 { return r[cycle].PerSecond / r[gin].PerSecond }))
	b.report.find("http", "keepalives/s ÷ redis-benchmark's calls/s", target{},
		ratios(rounds, func(r round) float64 { return r[keepalive].PerSecond / r[redis].PerSecond }))
	return nil
}

func oneByOne(ctx context.Context, b *bench) error {
	l, err := middleLab(ctx, b)
	if err != nil {
		return err
	}
	script, err := l.script(ctx, 1)
	if err != nil {
		return err
	}
	const gin, keepalive, redis = 0, 1, 2
	rounds, err := b.takeTurns(ctx, "one", b.ginFixed(l, 1), l.keepalives(1), script)
	if err != nil {
		return err
	}
	b.report.find("one", "p50 of a keepalive ÷ (Gin's + the script's in redis-benchmark -c 1)", target{atMost: 1.50},
		ratios(rounds, func(r round) float64 { return r[keepalive].P50Ms / (r[gin].P50Ms + r[redis].P50Ms) }))
	return nil
}

// few and many are the numbers of devices and leases between which nothing is to become slower.
const (
	few  = 1_000
	many = 100_000
)

func byDevices(ctx context.Context, b *bench) error {
	for _, percent := range []int{0, 50, 99, 100} {
		var both []contender
		for _, devices := range []int{few, many} {
			l, err := b.lab(ctx, devices)
			if err != nil {
				return err
			}
			if err := l.keep(ctx, devices*percent/100); err != nil {
				return err
			}
			both = append(both, l.allocations(percent))
		}
		rounds, err := b.takeTurns(ctx, "devices", both...)
		if err != nil {
			return err
		}
		what := "allocate + release"
		if percent == 100 {
			what = "refused allocation"
		}
		b.report.find("devices", fmt.Sprintf("%s, %d %% leased: 1,000 devices ÷ 100,000", what, percent), target{atMost: 1.50},
			ratios(rounds, func(r round) float64 { return r[0].PerSecond / r[1].PerSecond }))
	}
	return nil
}

// allocations are cycles in a lab of which so much is leased, refusals when all is. With 99 % it is on fewer connections, for each
// to have a device even in the smaller lab.
func (l *lab) allocations(percent int) contender {
	switch percent {
	case 100:
		return l.refusals(connections)
	case 99:
		return l.cycles(few / 100 * 4 / 5)
	}
	return l.cycles(connections)
}

func byLeases(ctx context.Context, b *bench) error {
	var all []contender
	for _, n := range []int{few, 10_000, many} {
		l, err := b.lab(ctx, n)
		if err != nil {
			return err
		}
		if err := l.keep(ctx, n); err != nil {
			return err
		}
		all = append(all, l.keepalives(connections))
	}
	rounds, err := b.takeTurns(ctx, "leases", all...)
	if err != nil {
		return err
	}
	for k, n := range []string{"10,000", "100,000"} {
		b.report.find("leases", "keepalives/s with 1,000 leases ÷ with "+n, target{atMost: 1.20},
			ratios(rounds, func(r round) float64 { return r[0].PerSecond / r[k+1].PerSecond }))
	}
	return nil
}
