package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// write writes the report for people.
func (r *report) write(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n%s; %s loop, measured for %.1f s from %s\n\n",
		r.Scenario, r.About, r.Lab, r.Loop, r.Seconds, r.Start.Format("2006-01-02 15:04:05 MST"))
	b.WriteString(align(r.operationTable(), 1))
	if len(r.Ramp) > 0 {
		b.WriteString("\n" + align(r.rampTable(), 0) + "\n" + r.KneeText() + "\n")
	}
	b.WriteString("\nleases: " + r.leasesText() + "\ndriver: " + r.Driver.Text() + "\n")
	for _, text := range r.Leases.Findings {
		b.WriteString("BROKEN PROMISE: " + text + "\n")
	}
	for _, text := range r.Notes {
		b.WriteString("note: " + text + "\n")
	}
	b.WriteString("\n" + align(r.floorTable(), 1) + "\n" + r.VerdictText() + "\n")
	_, err := io.WriteString(out, b.String())
	return err
}

// operationTable is the table of the operations, with its header.
func (r *report) operationTable() [][]string {
	rows := [][]string{{"operation", "requests", "per second", "p50", "p90", "p99", "p99.9", "max", " errors"}}
	for _, o := range r.Operations {
		rows = append(rows, []string{
			string(o.Operation), count(o.Requests), fmt.Sprintf("%.1f", o.PerSecond), o.P50.String(), o.P90.String(), o.P99.String(),
			o.P999.String(), o.Max.String(), " " + o.ErrorText(),
		})
	}
	return rows
}

// ErrorText lists the errors by code.
func (o *row) ErrorText() string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(o.Errors)) {
		parts = append(parts, code+" "+count(o.Errors[code]))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func (r *report) rampTable() [][]string {
	rows := [][]string{{"rates times", "keepalives/s", "cycles/s", "p99", "errors", " verdict"}}
	for _, s := range r.Ramp {
		rows = append(rows, []string{
			fmt.Sprintf("%.2f", s.Factor), fmt.Sprintf("%.0f", s.Keepalives), fmt.Sprintf("%.0f", s.Cycles), s.P99.String(),
			count(s.Errors), " " + s.Verdict(),
		})
	}
	return rows
}

// Verdict says whether the step is good, or why not.
func (s *step) Verdict() string {
	if s.Why == "" {
		return "good"
	}
	return s.Why
}

// KneeText says where the knee is.
func (r *report) KneeText() string {
	if r.Knee == nil {
		return "no step was good: the knee is below the scenario's rates"
	}
	return fmt.Sprintf("the knee: %.0f keepalives and %.0f cycles a second together, with a p99 of %s",
		r.Knee.Keepalives, r.Knee.Cycles, r.Knee.P99)
}

func (r *report) leasesText() string {
	l := r.Leases
	return fmt.Sprintf("%s granted, %s released, %s left by dead holders, %s lapsed, %s lost, %s double-granted, %s fence regressions; "+
		"%s whole cycles", count(l.Granted), count(l.Released), count(l.Crashed), count(l.Lapsed), count(l.Lost), count(l.DoubleGranted),
		count(l.FenceRegressions), count(r.Cycles))
}

// Text says how late the driver was.
func (p *punctuality) Text() string {
	if p.Requests == 0 {
		return "nothing had a moment to leave at"
	}
	return fmt.Sprintf("%s of %s requests left more than %s after their moment; p99 %s, at most %s",
		count(p.Late), count(p.Requests), latency(tardy), p.P99, p.Max)
}

func (r *report) floorTable() [][]string {
	rows := [][]string{{"floor", "measured", "wanted", " verdict"}}
	for _, q := range r.Floor {
		rows = append(rows, []string{q.What, q.Got, q.Wanted, " " + q.Verdict()})
	}
	return rows
}

// Verdict says whether it was met.
func (q *requirement) Verdict() string {
	if q.OK {
		return "ok"
	}
	return "MISSED"
}

// VerdictText says whether the floor held.
func (r *report) VerdictText() string {
	if r.OK {
		return "The floor held."
	}
	return "The floor was missed."
}

// align lays out rows of equal length in columns: the first ones and the last to the left, the others to the right.
func align(rows [][]string, left int) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			blanks := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			switch {
			case i == len(row)-1:
				b.WriteString(cell + "\n")
			case i < left:
				b.WriteString(cell + blanks + "  ")
			default:
				b.WriteString(blanks + cell + "  ")
			}
		}
	}
	return b.String()
}

// count writes a number with its thousands apart: 12,000.
func count(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
