package main

import (
	"strings"
	"testing"
	"time"
)

func TestBuiltInScenarios(t *testing.T) {
	t.Parallel()
	for _, name := range builtInNames() {
		s, err := findScenario(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if s.name != name || s.about == "" || s.devices < s.needs() {
			t.Errorf("%+v", s)
		}
	}
	for _, name := range []string{"floor", "morning", "nightly", "crash", "ramp"} {
		if _, err := findScenario(name); err != nil {
			t.Error(err)
		}
	}
}

func TestParseScenario(t *testing.T) {
	t.Parallel()
	s := parsed(t, `
# comments are fine
about: "all of it"
devices: 20
ttl: 30s
duration: 2m
keepalives: {leases: 10}
cycles:
  count: 7
  over: 1500ms
  wait: 1m
  hold: 2.5s
  crash: 0.25
floor:
  keepalives_per_second: 1
  errors: 0
  p99: {handoff: 100ms}
`)
	if s.name != "test" || s.about != "all of it" || s.devices != 20 || s.ttl != 30*time.Second || s.duration != 2*time.Minute {
		t.Errorf("%+v", s)
	}
	if *s.keepalives != (keepalives{leases: 10, rate: 1}) { // each every third of its TTL
		t.Errorf("%+v", *s.keepalives)
	}
	if *s.cycles != (cycles{count: 7, over: 1500 * time.Millisecond, wait: time.Minute, hold: 2500 * time.Millisecond, crash: 0.25}) {
		t.Errorf("%+v", *s.cycles)
	}
	if s.ramp != nil || s.closed != nil || s.floor.keepaliveRate != 1 || *s.floor.errors != 0 || s.floor.p99[opHandoff] != 100*time.Millisecond || len(s.floor.p99) != 1 {
		t.Errorf("%+v", s)
	}
	if plain := parsed(t, "devices: 2\nduration: 1s\ncycles: {rate: 1}\n"); plain.floor.errors != nil || plain.ttl != time.Minute {
		t.Errorf("what is not said: %+v", plain)
	}
}

func TestScenarioMistakes(t *testing.T) {
	t.Parallel()
	const good = "devices: 9\nduration: 9s\n"
	for text, want := range map[string]string{
		"":                 "test.yaml: the file is empty; -h says what a scenario is",
		"# nothing\n":      "test.yaml: the file is empty; -h says what a scenario is",
		"floor":            "test.yaml:1: a scenario is a mapping, such as duration: 60s",
		"a: b\n---\nc: d":  "test.yaml:3: a second document begins; a scenario is one",
		"cycles: {rate: 1": "test.yaml:1: not YAML: ",
		good + "cycles: {rate: 1}\ncycles: {rate: 2}": "test.yaml:4: not YAML: mapping key \"cycles\" already defined",
		good: "test.yaml: keepalives or cycles are needed, or both",

		"cycles: {rate: 1}": "test.yaml: devices: it is missing: how many devices it needs, a whole number from 1 to 100000\n" +
			"test.yaml: duration: it is missing: how long to measure, a duration from 1s to 24h, such as 2s, in whole seconds",
		good + "cycle: {rate: 1}":              "test.yaml:3: cycle: there is no such field; allowed are about, devices, ttl, duration, keepalives, cycles, ramp, closed, floor",
		good + "cycles:\n  rat: 1":             "test.yaml:4: cycles.rat: there is no such field; allowed are rate, count, over, wait, hold, crash",
		good + "cycles: 5":                     "test.yaml:3: cycles: it is a mapping, of rate, count, over, wait, hold, crash",
		good + "cycles: [rate]":                "test.yaml:3: cycles: it is a mapping, of rate, count, over, wait, hold, crash",
		good + "cycles:\n  rate: soon":         "test.yaml:4: cycles.rate: \"soon\" is not a number from 0.1 to 100000",
		good + "cycles: {rate: .nan}":          "test.yaml:3: cycles.rate: \".nan\" is not a number from 0.1 to 100000",
		good + "cycles: {rate: [1]}":           "test.yaml:3: cycles.rate: \"[1]\" is not a number from 0.1 to 100000",
		good + "cycles: {count: 1, hold: 2}":   "test.yaml:3: cycles.hold: \"2\" is not a duration from 0s to 1h, such as 2s",
		good + "cycles: {count: 1.5}":          "test.yaml:3: cycles.count: \"1.5\" is not a whole number from 1 to 100000",
		good + "ttl: 1s\ncycles: {rate: 1}":    "test.yaml:3: ttl: \"1s\" is not a duration from 3s to 1h, such as 3s, in whole seconds",
		good + "cycles: {crash: 1.5}":          "test.yaml:3: cycles.crash: \"1.5\" is not a number from 0 to 1",
		good + "cycles: {rate: 1, count: 1}":   "test.yaml:3: cycles: one of rate and count is needed: how many begin in a second, or in all",
		good + "cycles: {}":                    "test.yaml:3: cycles: one of rate and count is needed: how many begin in a second, or in all",
		good + "cycles: {rate: 1, over: 2s}":   "test.yaml:3: cycles.over: is for count: rate says when they begin",
		good + "cycles: {rate: 1, crash: 0.5}": "test.yaml:3: cycles.crash: needs hold: a holder dies while it holds",
		good + "keepalives: {rate: 3}":         "test.yaml:3: keepalives: leases is missing: how many leases to keep alive",
		good + "keepalives: {leases: 10}":      "test.yaml:1: devices: 9 are too few: its leases take 10",
		good + "keepalives: {leases: 9, rate: 0.2}": "test.yaml:3: keepalives.rate: 0.2 a second keep each of 9 leases alive every 45 s, " +
			"which is too seldom for a TTL of 1m",
		good + "cycles: {rate: 1}\nfloor: {errors: -1}":                        "test.yaml:4: floor.errors: \"-1\" is not a whole number from 0",
		good + "cycles: {rate: 1}\nfloor: {p99: {alocate: 1s}}":                "test.yaml:4: floor.p99.alocate: there is no such field; allowed are allocate, keepalive, release, wait, handoff, recovery",
		good + "cycles: {rate: 1}\nclosed:\n":                                  "test.yaml:4: closed.connections: it is missing: each sends as soon as it has its answer, a whole number from 1 to 10000",
		good + "cycles: {rate: 1}\nclosed: {connections: 2}":                   "test.yaml:3: cycles: in a closed loop they have no rate, count, wait and hold: each begins when the one before is over",
		good + "keepalives: {leases: 1, rate: 5}\nclosed: {connections: 2}":    "test.yaml:3: keepalives.rate: a closed loop has no rate: it is as fast as it can be",
		good + "cycles: {}\nkeepalives: {leases: 1}\nclosed: {connections: 2}": "test.yaml:5: closed: goes with one of keepalives and cycles, and without ramp",
		good + "cycles: {count: 1}\nramp: {every: 1s, factor: 2, p99: 1s}":     "test.yaml:3: cycles: in a ramp they have a rate, and no count, wait and hold",
		good + "cycles: {rate: 1}\nramp: {every: 1s, factor: 2, p99: 1s}\nfloor: {errors: 0}": "test.yaml:5: floor: of a ramp, which goes on until there are " +
			"errors or slow answers, it can ask for rates only",
	} {
		_, err := parseScenario("test.yaml", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\ngives %v\nwant  %s", text, err, want)
		}
	}
}

func FuzzParseScenario(f *testing.F) {
	for _, name := range builtInNames() {
		text, err := builtIn.ReadFile("scenarios/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseScenario("fuzz.yaml", text)
		if err != nil {
			return
		}
		if s.duration < shortestRun || s.ttl < 3*time.Second || s.devices < s.needs() || s.keepalives == nil && s.cycles == nil {
			t.Errorf("%+v", s)
		}
	})
}
