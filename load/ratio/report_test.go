package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	t.Parallel()
	r := &report{Command: "ratio", Time: time.Unix(0, 0), Machine: "2 × some processor", Versions: []string{"go1"}, Rounds: 3, Seconds: 2}
	r.find("http", "this ÷ that", target{atLeast: 0.6}, []float64{0.7, 0.5, 0.4})
	r.find("http", "that ÷ this", target{}, []float64{2})
	r.add(measurement{Set: "http", Name: "this", Samples: []sample{{PerSecond: 1234.4, P50Ms: 0.125, OtherCores: 0.05}}, ResidentBytes: 3 << 19})
	var text strings.Builder
	if err := r.write(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| http | this ÷ that | 0.50 (0.40 to 0.70) | ≥ 0.60 | MISSED |",
		"| http | that ÷ this | 2.00 (2.00 to 2.00) |        |        |",
		"| http | this | 1234     | 0.12   |", "| 1.5        |", "0.05 of its cores busy meanwhile (median; at most 0.05).",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	if r.missed() != 1 {
		t.Errorf("%d missed", r.missed())
	}
	path := filepath.Join(t.TempDir(), "record.json")
	if err := r.writeJSON(path); err != nil {
		t.Fatal(err)
	}
	record, err := os.ReadFile(path)
	var again report
	if err != nil || json.Unmarshal(record, &again) != nil || len(again.Findings) != 2 || again.Findings[0].Ratios[2] != 0.4 {
		t.Errorf("%v: %s", err, record)
	}
}

func TestBusyMachine(t *testing.T) {
	t.Parallel()
	r := &report{}
	r.add(measurement{Samples: []sample{{OtherCores: 0.7}, {OtherCores: 0.01}, {OtherCores: 0.3}}})
	if got := r.others(); !strings.Contains(got, "0.30") || !strings.Contains(got, "measure again") {
		t.Errorf("got %q", got)
	}
}

func TestProcessor(t *testing.T) {
	t.Parallel()
	if got := processor("processor\t: 0\nmodel name\t: Some Processor\nprocessor\t: 1\n"); got != "Some Processor" {
		t.Errorf("got %q", got)
	}
	if got := processor("Features: fp\n"); got != "unknown processor" {
		t.Errorf("got %q", got)
	}
}
