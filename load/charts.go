package main

import (
	"fmt"
	"math"
)

// mostPoints is how many points a line has at the most; of a longer run each is of several seconds.
const mostPoints = 240

// moment is how an operation went in some seconds: the median of the middle one, and the worst of the others.
type moment struct {
	at int // the second in which it begins
	instance
}

// moments are how an operation went over time, each of so many seconds.
func (r *report) moments(op operation) (all []moment, seconds int) {
	seconds = 1
	if n := len(r.Series); n > 0 {
		seconds = 1 + r.Series[n-1].Second/mostPoints
	}
	for _, s := range r.Series {
		now, there := s.Operations[op]
		if !there {
			continue
		}
		at := s.Second / seconds * seconds
		if n := len(all); n == 0 || all[n-1].at != at {
			all = append(all, moment{at: at})
		}
		m := &all[len(all)-1]
		m.Requests, m.Errors = m.Requests+now.Requests, m.Errors+now.Errors
		m.P50, m.P99, m.Max = max(m.P50, now.P50), max(m.P99, now.P99), max(m.Max, now.Max)
	}
	return all, seconds
}

// overTime is the time axis.
func (r *report) overTime() scale {
	end := 1.0
	if n := len(r.Series); n > 0 {
		end = float64(r.Series[n-1].Second + 1)
	}
	return onX(0, end)
}

// latencyChart shows the latency of an operation over time.
func (r *report) latencyChart(op operation) chart {
	all, seconds := r.moments(op)
	var p50, p99, most []point
	var values []float64
	for _, m := range all {
		at := float64(m.at) + float64(seconds)/2
		p50, p99, most = append(p50, point{at, micros(m.P50)}), append(p99, point{at, micros(m.P99)}), append(most, point{at, micros(m.Max)})
		values = append(values, micros(m.P50), micros(m.Max))
	}
	x, y, gap := r.overTime(), onY(extent(values)).logarithmic(), 1.5*float64(seconds)
	row := r.row(op)
	return chart{
		Title: string(op),
		Desc: fmt.Sprintf("Latency of %s over time, on a logarithmic axis. In all: p50 %s, p99 %s, at most %s. A point is of %d s.",
			op.about(), row.P50, row.P99, row.Max, seconds),
		X: x.ticks(6, clock), Y: y.logTicks(8, briefly),
		Lines: []line{{"max", pathOf(most, gap, x, y)}, {"p99", pathOf(p99, gap, x, y)}, {"p50", pathOf(p50, gap, x, y)}},
	}
}

// rateChart shows how often an operation succeeded and failed in each second.
func (r *report) rateChart(op operation) chart {
	all, seconds := r.moments(op)
	most, failed := 1.0, 0
	for _, m := range all {
		most, failed = max(most, float64(m.Requests)/float64(seconds)), failed+m.Errors
	}
	x, y := r.overTime(), onY(0, roundNumber(most, true))
	c := chart{
		Title: string(op), X: x.ticks(6, clock), Y: y.ticks(4, func(v float64) string { return count(int(v)) }),
		Desc: fmt.Sprintf("Requests a second of %s over time, at most %.0f; %d of them failed. A bar is of %d s.", op.about(), most, failed, seconds),
	}
	for _, m := range all {
		left, right := x.at(float64(m.at)), x.at(float64(m.at+seconds))
		good, bad := float64(m.Requests-m.Errors)/float64(seconds), float64(m.Errors)/float64(seconds)
		about := fmt.Sprintf("%s: %.0f succeeded, %.0f failed", clock(float64(m.at)), good, bad)
		c.Bars = append(c.Bars, bar{"good", left, y.at(good), max(0.5, right-left-0.5), plotBottom - y.at(good), about})
		if bad > 0 {
			c.Bars = append(c.Bars, bar{"bad", left, y.at(good + bad), max(0.5, right-left-0.5), max(2, y.at(good)-y.at(good+bad)), about})
		}
	}
	return c
}

// histogramChart shows how the latencies of an operation are distributed.
func (r *report) histogramChart(row *row) chart {
	last := row.Histogram[len(row.Histogram)-1]
	x := onX(micros(row.Histogram[0].From), micros(last.To)).logarithmic()
	most := 1.0
	for _, b := range row.Histogram {
		most = max(most, float64(b.Requests))
	}
	y := onY(0, roundNumber(most, true))
	c := chart{
		Title: string(row.Operation), X: x.logTicks(6, briefly), Y: y.ticks(4, func(v float64) string { return count(int(v)) }),
		Desc: fmt.Sprintf("Histogram of the latencies of %s, on a logarithmic axis: %s requests, half of them within %s, 99 of 100 within %s.",
			row.Operation.about(), count(row.Requests), row.P50, row.P99),
	}
	for _, b := range row.Histogram {
		left, right := x.at(micros(b.From)), x.at(micros(b.To))
		about := fmt.Sprintf("%s to %s: %s", b.From, b.To, count(b.Requests))
		c.Bars = append(c.Bars, bar{"good", left, y.at(float64(b.Requests)), max(0.5, right-left-0.5), plotBottom - y.at(float64(b.Requests)), about})
	}
	return c
}

// percentileChart shows the latencies of all operations by the part of the requests that stay within them.
func (r *report) percentileChart() chart {
	place := func(percentile float64) float64 { return -math.Log10(1 - min(percentile, 99.999)/100) }
	var values []float64
	furthest := place(99)
	for _, row := range r.Operations {
		for _, m := range row.Curve {
			values = append(values, micros(m.Latency))
			if m.Percentile < 100 {
				furthest = max(furthest, min(place(m.Percentile), place(99.99)))
			}
		}
	}
	x, y := onX(0, furthest), onY(extent(values)).logarithmic()
	c := chart{
		Title: "all operations", Y: y.logTicks(8, briefly),
		Desc: "Latency by percentile, for each operation: the further to the right, the rarer. The table has the same numbers.",
	}
	for _, p := range []float64{0, 50, 90, 99, 99.9, 99.99} {
		if place(p) <= furthest+1e-9 {
			c.X = append(c.X, tick{x.at(place(p)), fmt.Sprintf("p%g", p)})
		}
	}
	for _, row := range r.Operations {
		var points []point
		for _, m := range row.Curve {
			points = append(points, point{min(place(m.Percentile), furthest), micros(m.Latency)})
		}
		c.Lines = append(c.Lines, line{"op-" + string(row.Operation), pathOf(points, furthest+1, x, y)})
	}
	return c
}

// rampChart shows the p99 of each step of a ramp by its rate.
func (r *report) rampChart() chart {
	var good, bad []point
	var rates, values []float64
	for _, s := range r.Ramp {
		p := point{s.Factor, micros(s.P99)}
		rates, values = append(rates, p.x), append(values, p.y)
		if s.Why == "" {
			good = append(good, p)
		} else {
			bad = append(bad, p)
		}
	}
	_, furthest := extent(rates)
	x, y := onX(1, max(2, furthest)), onY(extent(values)).logarithmic()
	return chart{
		Title: "p99 by rate", Desc: "The p99 of the slowest operation in each step of the ramp, by the factor of the rates. " + r.KneeText() + ".",
		X: x.ticks(6, func(v float64) string { return fmt.Sprintf("×%.4g", v) }), Y: y.logTicks(8, briefly),
		Lines: []line{{"p50", pathOf(good, math.Inf(1), x, y)}, {"dots", pathOf(bad, -1, x, y)}},
	}
}
