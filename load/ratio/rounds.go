package main

import (
	"context"
	"fmt"
	"slices"
)

// warmUp is how long, in seconds, each contender runs before it is measured.
const warmUp = 1

// round is one measurement of each contender, in the contenders' order.
type round []sample

// takeTurns measures contenders as often as there are rounds, and puts the measurements into the report. They follow each other
// forwards in one round and backwards in the next, so that whatever slowly changes in the machine falls on all.
func (b *bench) takeTurns(ctx context.Context, set string, contenders ...contender) ([]round, error) {
	for _, c := range contenders {
		if _, err := b.measure(ctx, c, warmUp); err != nil {
			return nil, err
		}
	}
	rounds := make([]round, b.rounds)
	for i := range rounds {
		rounds[i] = make(round, len(contenders))
		for _, k := range order(i, len(contenders)) {
			s, err := b.measure(ctx, contenders[k], b.seconds)
			if err != nil {
				return nil, err
			}
			b.say("%s %d/%d: %s: %.0f/s, p50 %.3f ms", set, i+1, b.rounds, contenders[k].name, s.PerSecond, s.P50Ms)
			rounds[i][k] = s
		}
	}
	for k, c := range contenders {
		b.report.add(measurement{Set: set, Name: c.name, Samples: column(rounds, k)})
	}
	return rounds, nil
}

// order is which of n contenders come after each other in a round.
func order(round, n int) []int {
	turns := make([]int, n)
	for i := range turns {
		turns[i] = i
	}
	if round%2 == 1 {
		slices.Reverse(turns)
	}
	return turns
}

// column is the measurements of one contender.
func column(rounds []round, k int) []sample {
	var samples []sample
	for _, r := range rounds {
		samples = append(samples, r[k])
	}
	return samples
}

// ratios applies a ratio to each round: the contenders of a round had the same machine, those of different rounds maybe not.
func ratios(rounds []round, of func(round) float64) []float64 {
	var all []float64
	for _, r := range rounds {
		all = append(all, of(r))
	}
	return all
}

// median is the middle one of values, the mean of the middle two when they are even.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// target is what a ratio is to be: at the least or at the most a limit, and better an aim. The zero target is none.
type target struct {
	atLeast, atMost, aim float64
}

func (t target) String() string {
	switch {
	case t.aim != 0:
		return fmt.Sprintf("≥ %.2f, aim %.2f", t.atLeast, t.aim)
	case t.atLeast != 0:
		return fmt.Sprintf("≥ %.2f", t.atLeast)
	case t.atMost != 0:
		return fmt.Sprintf("≤ %.2f", t.atMost)
	}
	return ""
}

// verdict is "ok" or "MISSED", and "" without a target.
func (t target) verdict(ratio float64) string {
	switch {
	case t == target{}:
		return ""
	case t.atLeast != 0 && ratio < t.atLeast, t.atMost != 0 && ratio > t.atMost:
		return missed
	}
	return "ok"
}

const missed = "MISSED"
