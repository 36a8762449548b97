package main

import (
	"testing"
	"time"
)

func TestParseCPUTime(t *testing.T) {
	t.Parallel()
	const recorded = "4711 (a ) b) S 1 4711 4711 0 -1 4194560 2210 0 3 0 806 339 0 0 20 0 8 0 5120 1274736640 3011 18446744073709551615\n"
	if got, err := parseCPUTime(recorded); err != nil || got != 11450*time.Millisecond {
		t.Errorf("got %v, %v", got, err)
	}
	for _, broken := range []string{"", "4711 (a) S 1 2", "4711 (a) S 1 1 1 0 -1 1 2 0 3 0 x 339 0"} {
		if got, err := parseCPUTime(broken); err == nil {
			t.Errorf("%q: %v", broken, got)
		}
	}
}

func TestParseMachineTime(t *testing.T) {
	t.Parallel()
	const recorded = "cpu  100 20 30 99999 7 8 9 40 0 0\ncpu0 50 10 15 5000 3 4 5 20 0 0\n"
	if got, err := parseMachineTime(recorded); err != nil || got != 1900*time.Millisecond {
		t.Errorf("got %v, %v", got, err)
	}
	for _, broken := range []string{"", "intr 1 2 3 4 5 6 7 8 9", "cpu  100 20"} {
		if got, err := parseMachineTime(broken); err == nil {
			t.Errorf("%q: %v", broken, got)
		}
	}
}

func TestParseResident(t *testing.T) {
	t.Parallel()
	if got, err := parseResident("Name:\tkeepalive\nVmRSS:\t   22400 kB\nThreads:\t8\n"); err != nil || got != 22400<<10 {
		t.Errorf("got %v, %v", got, err)
	}
	for _, broken := range []string{"", "VmRSS:\tmuch\n"} {
		if got, err := parseResident(broken); err == nil {
			t.Errorf("%q: %v", broken, got)
		}
	}
}
