package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
)

// sample is a driver that has measured something: keepalives of 1 to 100 ms for three seconds, with a failed one in the last.
func sample() *driver {
	d := newDriver(scenario{name: "sample", about: "a <sample>", cycles: &cycles{}, floor: floor{keepaliveRate: 30}}, lab{about: "a lab"}, nil, byTimer)
	begin := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	d.recorder.begin(begin)
	for n := range 100 {
		due := begin.Add(time.Duration(n) * 30 * time.Millisecond)
		code := ""
		if n == 99 {
			code = codeTimeout
		}
		d.recorder.done(opKeepalive, due, due.Add(time.Duration(n+1)*time.Millisecond), code)
		d.recorder.left(time.Duration(n) * 200 * time.Microsecond)
	}
	d.measured = 3 * time.Second
	d.notes = []string{"a note"}
	d.ledger.accounts = accounts{Granted: 1234567, Lost: 1, Findings: []string{"rpi4-01: <lost>"}}
	return d
}

func TestReportAsText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := sample().report().write(&out); err != nil {
		t.Fatal(err)
	}
	const want = `sample: a <sample>
a lab; open loop, measured for 3.0 s from 2026-11-23 12:00:00 UTC

operation  requests  per second      p50      p90      p99   p99.9     max   errors
keepalive       100        33.0  50.0 ms  90.0 ms  99.0 ms  100 ms  100 ms   timeout 1

leases: 1,234,567 granted, 0 released, 0 left by dead holders, 0 lapsed, 1 lost, 0 double-granted, 0 fence regressions; 0 whole cycles
driver: 49 of 100 requests left more than 10.0 ms after their moment; p99 19.6 ms, at most 19.8 ms
BROKEN PROMISE: rpi4-01: <lost>
note: a note
note: the driver was late itself: 49 of 100 requests left more than 10.0 ms after their moment, at most 19.8 ms; the machine it runs on was too busy, or the rate too high for it

floor                measured       wanted   verdict
keepalives a second      33.0  at least 30   ok
double grants               0    at most 0   ok
leases lost                 1    at most 0   MISSED
fence regressions           0    at most 0   ok

The floor was missed.
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestReportAsRecord(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := sample().report().writeJSON(&out); err != nil {
		t.Fatal(err)
	}
	var record struct {
		Operations []struct {
			P99    float64        `json:"p99_ms"`
			Errors map[string]int `json:"errors"`
			Bins   []struct {
				From     float64 `json:"from_ms"`
				Requests int     `json:"requests"`
			} `json:"histogram"`
		} `json:"operations"`
		Series []struct {
			Operations map[string]struct {
				Requests, Errors int
				Max              float64 `json:"max_ms"`
			}
		} `json:"series"`
		Leases map[string]any `json:"leases"`
	}
	if err := json.Unmarshal(out.Bytes(), &record); err != nil {
		t.Fatal(err)
	}
	keepalive, sum := record.Operations[0], 0
	for _, b := range keepalive.Bins {
		sum += b.Requests
	}
	if keepalive.P99 < 98.9 || keepalive.P99 > 99.1 || keepalive.Errors[codeTimeout] != 1 || sum != 100 {
		t.Errorf("%+v", keepalive)
	}
	if n := len(record.Series); n != 3 || record.Series[2].Operations["keepalive"].Errors != 1 || record.Series[0].Operations["keepalive"].Requests != 34 {
		t.Errorf("%+v", record.Series)
	}
	if record.Leases["double_granted"] != 0.0 || record.Leases["lost"] != 1.0 {
		t.Errorf("%+v", record.Leases)
	}
}

// foreign is what would make a browser ask the network.
var foreign = regexp.MustCompile(`(?i)(src|href|action)=|url\(|@import|<script|<link`)

func TestPage(t *testing.T) {
	t.Parallel()
	d := sample()
	d.scenario.ramp = &ramp{}
	d.steps = []step{{Factor: 1, Keepalives: 200, P99: latency(time.Millisecond)}, {Factor: 2, P99: latency(time.Second), Why: "p99"}}
	var out bytes.Buffer
	if err := d.report().writePage(&out); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	if at := foreign.FindString(page); at != "" {
		t.Errorf("it needs more than itself: %q", at)
	}
	for _, want := range []string{"a &lt;sample&gt;", "rpi4-01: &lt;lost&gt;", "✗ The floor was missed.", "a note", "p99 by rate", "Latency by percentile", "timeout 1"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing", want)
		}
	}
	pictures := 0
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1) {
		if strings.Contains(svg, "<title>") {
			pictures++
		}
		wellFormed(t, svg)
	}
	if pictures != 5 { // the ramp; over time, rate and histogram of the keepalives; percentiles
		t.Errorf("%d pictures", pictures)
	}
	if strings.Contains(page, "NaN") || strings.Contains(page, "Inf") || strings.Contains(page, "ZgotmplZ") {
		t.Error("a number is none")
	}
}

// wellFormed checks that a picture is XML.
func wellFormed(t *testing.T, svg string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v: %s", err, svg)
		}
	}
}

func TestPageOfNothing(t *testing.T) {
	t.Parallel()
	d := newDriver(scenario{name: "nothing", cycles: &cycles{}}, lab{}, nil, byTimer)
	d.recorder.begin(time.Now())
	d.recorder.failed(opWait, codeTimeout)
	var out bytes.Buffer
	if err := errors.Join(d.report().writePage(&out), d.report().writeJSON(&out), d.report().write(&out)); err != nil {
		t.Error(err)
	}
}

func TestLatencyForPeople(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0", time.Microsecond: "1.00 µs", 950 * time.Microsecond: "950 µs", 1234 * time.Microsecond: "1.23 ms", 45600 * time.Microsecond: "45.6 ms",
		789 * time.Millisecond: "789 ms", 7890 * time.Millisecond: "7.89 s", 75 * time.Second: "75.0 s", 20 * time.Minute: "20m",
	} {
		if got := latency(d).String(); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	if text, err := json.Marshal(latency(1234567 * time.Nanosecond)); string(text) != "1.235" {
		t.Errorf("%s %v", text, err)
	}
}

func TestAxes(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64][2]float64{1: {1, 1}, 3: {2, 5}, 7: {5, 10}, 0.03: {0.02, 0.05}, 1000: {1000, 1000}, 1001: {1000, 2000}} {
		if down, up := roundNumber(v, false), roundNumber(v, true); !near(down, want[0]) || !near(up, want[1]) {
			t.Errorf("%g: %g and %g, want %v", v, down, up, want)
		}
	}
	var labels []string
	for _, tick := range onY(300, 45_000).logarithmic().logTicks(8, briefly) {
		labels = append(labels, tick.Label)
	}
	if got := strings.Join(labels, ", "); got != "200 µs, 500 µs, 1 ms, 2 ms, 5 ms, 10 ms, 20 ms, 50 ms" {
		t.Error(got)
	}
	labels = nil
	for _, tick := range onX(0, 60).ticks(6, clock) {
		labels = append(labels, tick.Label)
	}
	if got := strings.Join(labels, ", "); got != "0 s, 10 s, 20 s, 30 s, 40 s, 50 s, 60 s" {
		t.Error(got)
	}
	gap := pathOf([]point{{0, 1}, {1, 1}, {5, 1}}, 1.5, scale{to: 5, top: 5}, scale{to: 1, top: 1})
	if gap != "M0.0 1.0L1.0 1.0M5.0 1.0h0.1" {
		t.Error(gap)
	}
}

func near(a, b float64) bool { return a/b > 1-exact && a/b < 1+exact }

func TestSeriesOfALongRunIsBounded(t *testing.T) {
	t.Parallel()
	var s series
	const seconds = 5000
	for at := range seconds {
		s.add(opKeepalive, time.Duration(at)*time.Second, time.Millisecond, "")
		if len(s.open) > int(settled/time.Second)+1 {
			t.Fatalf("%d seconds have histograms", len(s.open))
		}
	}
	s.add(opKeepalive, 0, time.Hour, "") // an answer that comes very late is not lost
	all := s.all()
	sum := 0
	for i, one := range all {
		sum += one.Operations[opKeepalive].Requests
		if i > 0 && one.Second <= all[i-1].Second {
			t.Fatalf("second %d after %d", one.Second, all[i-1].Second)
		}
	}
	if sum != seconds+1 {
		t.Errorf("%d requests, want %d", sum, seconds+1)
	}
	r := &report{Series: all}
	if moments, each := r.moments(opKeepalive); len(moments) > mostPoints || each != 1+(seconds-1)/mostPoints {
		t.Errorf("%d points of %d s", len(moments), each)
	}
}

func TestScheduleIsEven(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	s := schedule{begin: begin, end: begin.Add(60 * time.Second), gap: gapOf(200)}
	if last, is := s.due(11_999); !is || last.Sub(begin) != 59*time.Second+995*time.Millisecond {
		t.Errorf("the 12,000th is due after %s, %v", last.Sub(begin), is)
	}
	if _, is := s.due(12_000); is {
		t.Error("200 a second for 60 s are 12,000")
	}
	s.count = 3
	if _, is := s.due(3); is {
		t.Error("3 are 3")
	}
}
