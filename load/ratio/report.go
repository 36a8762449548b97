package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// finding is a ratio, and what it is to be.
type finding struct {
	Set     string    `json:"set"`
	What    string    `json:"what"`
	Median  float64   `json:"median"`
	Target  string    `json:"target,omitempty"`
	Verdict string    `json:"verdict,omitempty"` // ok or MISSED
	Ratios  []float64 `json:"ratios"`            // of each round
}

// measurement is what was measured of one contender.
type measurement struct {
	Set           string   `json:"set"`
	Name          string   `json:"name"`
	Samples       []sample `json:"samples"` // of each round
	ResidentBytes int64    `json:"resident_bytes,omitempty"`
}

// median is the middle of a value of the samples.
func (m measurement) median(of func(sample) float64) float64 {
	var values []float64
	for _, s := range m.Samples {
		values = append(values, of(s))
	}
	return median(values)
}

// report is the record of a run.
type report struct {
	Command      string        `json:"command"`
	Time         time.Time     `json:"time"`
	Machine      string        `json:"machine"`
	Versions     []string      `json:"versions"`
	Rounds       int           `json:"rounds"`
	Seconds      int           `json:"seconds_each"`
	Findings     []finding     `json:"findings"`
	Measurements []measurement `json:"measurements"`
}

func newReport(ctx context.Context, o options, t tools) (*report, error) {
	model := "unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		model = processor(string(info))
	}
	redis, err := exec.CommandContext(ctx, t.redisServer, "--version").Output() //nolint:gosec // found on the path
	if err != nil {
		return nil, fmt.Errorf("redis-server --version: %w", err)
	}
	names := make([]string, len(o.sets))
	for i, s := range o.sets {
		names[i] = s.name
	}
	return &report{
		Command: fmt.Sprintf("ratio -rounds %d -seconds %d -sets %s", o.rounds, o.seconds, strings.Join(names, ",")),
		Time:    time.Now().UTC(), Machine: fmt.Sprintf("%d × %s", runtime.NumCPU(), model), Rounds: o.rounds, Seconds: o.seconds,
		Versions: []string{runtime.Version(), strings.TrimSpace(string(redis))},
	}, nil
}

// processor is the model that proc(5)'s /proc/cpuinfo names first.
func processor(info string) string {
	for line := range strings.Lines(info) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

func (r *report) add(m measurement) { r.Measurements = append(r.Measurements, m) }

// find adds a ratio, of which there is one a round.
func (r *report) find(set, what string, t target, ratios []float64) {
	m := median(ratios)
	r.Findings = append(r.Findings, finding{Set: set, What: what, Median: m, Target: t.String(), Verdict: t.verdict(m), Ratios: ratios})
}

// missed is how many targets were.
func (r *report) missed() int {
	n := 0
	for _, f := range r.Findings {
		if f.Verdict == missed {
			n++
		}
	}
	return n
}

// write writes the ratios, and what they come from, as Markdown.
func (r *report) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	_, _ = fmt.Fprintf(w, "`%s`: medians (least to most); rounds: %d, of %d s for each measurement.\n\n", r.Command, r.Rounds, r.Seconds)
	r.writeRatios(w)
	_, _ = fmt.Fprintf(w, "\nWhat they come from, medians on this machine (%s; %s), which mean nothing on another. Other work kept %s.\n\n",
		r.Machine, strings.Join(r.Versions, "; "), r.others())
	r.writeMeasurements(w)
	return w.Flush()
}

func (r *report) writeRatios(w io.Writer) {
	row(w, "set", "ratio", "measured", "target", "")
	row(w, "---", "---", "---", "---", "---")
	for _, f := range r.Findings {
		measured := fmt.Sprintf("%.2f (%.2f to %.2f)", f.Median, slices.Min(f.Ratios), slices.Max(f.Ratios))
		row(w, f.Set, f.What, measured, f.Target, f.Verdict)
	}
}

func (r *report) writeMeasurements(w io.Writer) {
	row(w, "set", "what", "a second", "p50 ms", "p99 ms", "service CPU µs", "Redis CPU µs", "client CPU µs", "memory MiB")
	row(w, "---", "---", "--:", "--:", "--:", "--:", "--:", "--:", "--:")
	for _, m := range r.Measurements {
		number := func(format string, of func(sample) float64) string { return unlessZero(format, m.median(of)) }
		row(w, m.Set, m.Name,
			number("%.0f", func(s sample) float64 { return s.PerSecond }),
			number("%.2f", func(s sample) float64 { return s.P50Ms }),
			number("%.2f", func(s sample) float64 { return s.P99Ms }),
			number("%.1f", func(s sample) float64 { return s.ServiceCPUUs }),
			number("%.1f", func(s sample) float64 { return s.RedisCPUUs }),
			number("%.1f", func(s sample) float64 { return s.ClientCPUUs }),
			unlessZero("%.1f", float64(m.ResidentBytes)/(1<<20)))
	}
}

func unlessZero(format string, value float64) string {
	if value == 0 {
		return ""
	}
	return fmt.Sprintf(format, value)
}

// quiet is how many cores other work may keep busy without that it shows.
const quiet = 0.1

// others says how much of the machine other work kept busy.
func (r *report) others() string {
	var cores []float64
	for _, m := range r.Measurements {
		for _, s := range m.Samples {
			cores = append(cores, s.OtherCores)
		}
	}
	if len(cores) == 0 {
		return "none of it busy"
	}
	busy := fmt.Sprintf("%.2f of its cores busy meanwhile (median; at most %.2f)", median(cores), slices.Max(cores))
	if median(cores) > quiet {
		busy += ": too much to trust these figures, measure again"
	}
	return busy
}

// row writes a row of a Markdown table, aligned by a tabwriter.
func row(w io.Writer, cells ...string) {
	_, _ = fmt.Fprintf(w, "| %s\t|\n", strings.Join(cells, "\t| "))
}

// writeJSON writes the record, with every measurement, into a file.
func (r *report) writeJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644) //nolint:gosec // anybody may read it
}
