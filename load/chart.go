package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The size of a chart and of its plot, in units of its own; the page scales it.
const (
	chartWidth, chartHeight = 440.0, 200.0
	plotLeft, plotRight     = 58.0, 428.0
	plotTop, plotBottom     = 10.0, 172.0
)

// chart is a picture with two axes.
type chart struct {
	Title, Desc string
	X, Y        []tick
	Lines       []line
	Bars        []bar
}

// tick is a mark on an axis.
type tick struct {
	At    float64
	Label string
}

// line is a line, or several pieces of one.
type line struct {
	Class, Path string
}

// bar is a bar, with a text about it.
type bar struct {
	Class               string
	X, Y, Width, Height float64
	About               string
}

// point is a point of a line, in values.
type point struct{ x, y float64 }

// scale takes values to places.
type scale struct {
	from, to float64 // values
	low, top float64 // their places
	log      bool
}

func (s scale) at(v float64) float64 {
	from, to := s.from, s.to
	if s.log {
		v, from, to = math.Log(max(v, s.from)), math.Log(from), math.Log(to)
	}
	if to == from {
		return s.low
	}
	return s.low + (v-from)/(to-from)*(s.top-s.low)
}

// onX and onY are scales along the axes of a chart.
func onX(from, to float64) scale { return scale{from: from, to: to, low: plotLeft, top: plotRight} }
func onY(from, to float64) scale { return scale{from: from, to: to, low: plotBottom, top: plotTop} }

// logarithmic is the scale with its ends at round numbers, a power of ten times 1, 2 or 5, and a logarithmic way between them.
func (s scale) logarithmic() scale {
	s.log, s.from, s.to = true, roundNumber(s.from, false), roundNumber(s.to, true)
	if s.to <= s.from {
		s.to = s.from * 10
	}
	return s
}

// exact is what rounding may have done.
const exact = 1e-9

// roundNumber is the next power of ten times 1, 2 or 5 that is not above a value, or not below it.
func roundNumber(v float64, up bool) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)+exact))
	candidates := []float64{10, 5, 2, 1}
	if up {
		slices.Reverse(candidates)
	}
	for _, c := range candidates {
		if up && power*c >= v*(1-exact) || !up && power*c <= v*(1+exact) {
			return power * c
		}
	}
	return power
}

// ticks are the round numbers along a scale, not more than there is room for.
func (s scale) ticks(most int, label func(float64) string) []tick {
	var all []tick
	step := roundNumber((s.to-s.from)/float64(most), true)
	for n := math.Ceil(s.from / step); n*step <= s.to*(1+exact); n++ {
		all = append(all, tick{s.at(n * step), label(n * step)})
	}
	return all
}

// logTicks are the powers of ten along a logarithmic scale, with their doubles and fives where there are not too many.
func (s scale) logTicks(most int, label func(float64) string) []tick {
	all := s.powers(label, 1, 2, 5)
	if len(all) > most {
		all = s.powers(label, 1)
	}
	return all
}

// powers are the powers of ten along a scale, times each of some factors.
func (s scale) powers(label func(float64) string, factors ...float64) []tick {
	var all []tick
	for power := math.Pow(10, math.Floor(math.Log10(s.from)+exact)); power <= s.to*(1+exact); power *= 10 {
		for _, f := range factors {
			if v := power * f; v >= s.from*(1-exact) && v <= s.to*(1+exact) {
				all = append(all, tick{s.at(v), label(v)})
			}
		}
	}
	return all
}

// pathOf is a line through points, in pieces where they are further apart than a gap; points alone are dots.
func pathOf(points []point, gap float64, x, y scale) string {
	var b strings.Builder
	for i, p := range points {
		begins := i == 0 || p.x-points[max(0, i-1)].x > gap
		command := "L"
		if begins {
			command = "M"
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", command, x.at(p.x), y.at(p.y))
		if begins && (i == len(points)-1 || points[i+1].x-p.x > gap) {
			b.WriteString("h0.1") // with round ends, a dot
		}
	}
	return b.String()
}

// briefly writes microseconds for an axis: 50 µs, 2 ms, 10 s.
func briefly(micros float64) string {
	number, unit, _ := strings.Cut(latency(micros*float64(time.Microsecond)).String(), " ")
	if strings.Contains(number, ".") {
		number = strings.TrimRight(strings.TrimRight(number, "0"), ".")
	}
	return strings.TrimSpace(number + " " + unit)
}

// clock writes seconds for the time axis.
func clock(seconds float64) string {
	if seconds < 120 {
		return fmt.Sprintf("%g s", seconds)
	}
	return short(time.Duration(seconds) * time.Second)
}

// micros is a latency in microseconds, the unit of the axes.
func micros(l latency) float64 { return max(1, float64(l)/float64(time.Microsecond)) }

// extent is the least and the greatest of values; 1 and 10 when there are none.
func extent(values []float64) (least, most float64) {
	if len(values) == 0 {
		return 1, 10
	}
	return slices.Min(values), cmp.Or(slices.Max(values), 1)
}
