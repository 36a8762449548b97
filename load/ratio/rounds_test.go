package main

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		before := slices.Clone(c.values)
		if got := median(c.values); got != c.want || !slices.Equal(before, c.values) {
			t.Errorf("of %v: %v, want %v", before, got, c.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		sorted  []time.Duration
		percent int
		want    time.Duration
	}{{nil, 50, 0}, {hundred[:1], 99, 1}, {hundred, 50, 50}, {hundred, 99, 99}, {hundred, 100, 100}, {hundred[:3], 50, 2}} {
		if got := percentile(c.sorted, c.percent); got != c.want {
			t.Errorf("%d %% of %d: %d, want %d", c.percent, len(c.sorted), got, c.want)
		}
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	least, most := target{atLeast: 0.6, aim: 0.7}, target{atMost: 1.5}
	for _, c := range []struct {
		target  target
		ratio   float64
		text    string
		verdict string
	}{
		{least, 0.6, "≥ 0.60, aim 0.70", "ok"}, {least, 0.59, "≥ 0.60, aim 0.70", missed}, {least, 5, "≥ 0.60, aim 0.70", "ok"},
		{most, 1.5, "≤ 1.50", "ok"}, {most, 1.51, "≤ 1.50", missed}, {most, 0.1, "≤ 1.50", "ok"}, {target{}, 7, "", ""},
	} {
		if text, verdict := c.target.String(), c.target.verdict(c.ratio); text != c.text || verdict != c.verdict {
			t.Errorf("%v of %+v: %q %q, want %q %q", c.ratio, c.target, text, verdict, c.text, c.verdict)
		}
	}
}

// quietBench is a bench without children.
func quietBench(t *testing.T, rounds int) *bench {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED without Linux: what CPU time is taken is in /proc")
	}
	return &bench{options: options{rounds: rounds, seconds: 2}, report: &report{}, progress: io.Discard}
}

// TestTakeTurns holds who is measured when, and that ratios are of measurements of the same round.
func TestTakeTurns(t *testing.T) {
	t.Parallel()
	b := quietBench(t, 3)
	var turns []string
	contender := func(name string, requests ...int) contender {
		return contender{name: name, perUnit: 1, run: func(_ context.Context, seconds int) (traffic, error) {
			turns = append(turns, name)
			if seconds == warmUp {
				return traffic{requests: 1, took: time.Second}, nil
			}
			n := requests[0]
			requests = requests[1:]
			return traffic{requests: n, took: time.Second}, nil
		}}
	}
	rounds, err := b.takeTurns(t.Context(), "test", contender("a", 10, 20, 90), contender("b", 100, 100, 100))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(turns, " "); got != "a b a b b a a b" {
		t.Errorf("turns: %s", got)
	}
	got := ratios(rounds, func(r round) float64 { return r[0].PerSecond / r[1].PerSecond })
	if !slices.Equal(got, []float64{0.1, 0.2, 0.9}) {
		t.Errorf("ratios: %v", got)
	}
	if m := b.report.Measurements; len(m) != 2 || m[0].Name != "a" || m[0].median(func(s sample) float64 { return s.PerSecond }) != 20 {
		t.Errorf("measurements: %+v", m)
	}
}

func TestTakeTurnsInvalid(t *testing.T) {
	t.Parallel()
	b := quietBench(t, 3)
	invalid := errors.New("invalid")
	fails := contender{name: "the one", perUnit: 1, run: func(context.Context, int) (traffic, error) { return traffic{}, invalid }}
	if _, err := b.takeTurns(t.Context(), "test", fails); !errors.Is(err, invalid) || !strings.Contains(err.Error(), "the one") {
		t.Errorf("got %v", err)
	}
	untidy := contender{
		name: "the other", perUnit: 1,
		run:  func(context.Context, int) (traffic, error) { return traffic{requests: 1, took: 1}, nil },
		tidy: func(context.Context, traffic) error { return invalid },
	}
	if _, err := b.takeTurns(t.Context(), "test", untidy); !errors.Is(err, invalid) || !strings.Contains(err.Error(), "the other") {
		t.Errorf("got %v", err)
	}
	if len(b.report.Measurements) > 0 {
		t.Errorf("reported: %+v", b.report.Measurements)
	}
}

func TestNewSample(t *testing.T) {
	t.Parallel()
	got := newSample(
		traffic{requests: 2000, took: 2 * time.Second, p50: time.Millisecond, p99: 2500 * time.Microsecond, cpu: 100 * time.Millisecond},
		usage{service: 300 * time.Millisecond, redis: 200 * time.Millisecond, ours: 550 * time.Millisecond, machine: 1650 * time.Millisecond},
		2, 2*time.Second)
	want := sample{PerSecond: 500, P50Ms: 1, P99Ms: 2.5, ServiceCPUUs: 300, RedisCPUUs: 200, ClientCPUUs: 100, OtherCores: 0.5}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
