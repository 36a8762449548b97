package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// ran runs the program, and returns what it wrote to stdout and what it would exit with.
func ran(ctx context.Context, args ...string) (stdout string, err error) {
	var out, progress bytes.Buffer
	err = run(ctx, args, &out, &progress)
	return out.String(), err
}

// file makes a file of a test.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// served is a lab over the network.
func served(t *testing.T, devices int) (services *realLab, url string) {
	t.Helper()
	m := miniredis.RunT(t)
	m.ClockTTL(true)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	services = newLabOver(t, rdb, devices)
	server := httptest.NewServer(services)
	t.Cleanup(server.Close)
	return services, server.URL
}

func TestRunAgainstALab(t *testing.T) {
	t.Parallel()
	services, url := served(t, 3)
	brief := file(t, "brief.yaml", "about: a brief one\ndevices: 3\nduration: 5m\ncycles: {count: 6, wait: 5m}\nfloor: {cycles: 6}\n")
	page := filepath.Join(t.TempDir(), "report.html")
	out, err := ran(t.Context(), "-scenario", brief, "-allocator", url+"/", "-keepalive", url, "-l", "model=load", "-out", page)
	wantCode(t, err, 0)
	for _, want := range []string{"brief: a brief one\n" + url + "; open loop", "6 granted, 6 released", "The floor held."} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	text, err := os.ReadFile(strings.TrimSuffix(page, "html") + "json")
	if err != nil {
		t.Fatal(err)
	}
	var record struct {
		OK         bool
		Cycles     int
		Operations []struct{ Operation string }
	}
	if err := json.Unmarshal(text, &record); err != nil || !record.OK || record.Cycles != 6 || len(record.Operations) == 0 {
		t.Errorf("%v: %+v", err, record)
	}
	if html, err := os.ReadFile(page); err != nil || !bytes.Contains(html, []byte("<h1>Load report: brief</h1>")) {
		t.Errorf("%v: %s", err, html)
	}
	if left := services.left(t); left != 0 {
		t.Errorf("%d leases left behind", left)
	}
}

func TestRunTellsADoubleGrant(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&fakeLab{devices: 3, allocate: func(n int) fakeGrant { return fakeGrant{"d0", n + 1} }})
	t.Cleanup(server.Close)
	brief := file(t, "brief.yaml", "devices: 3\nduration: 5m\ncycles: {count: 3, hold: 200ms}\n")
	out, err := ran(t.Context(), "-scenario", brief, "-allocator", server.URL)
	wantCode(t, err, 1)
	if !strings.Contains(out, "BROKEN PROMISE: d0: granted to lease default-") || !strings.Contains(out, "The floor was missed.") {
		t.Error(out)
	}
}

func TestRunStartsStandalone(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../cmd/standalone")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	brief := file(t, "brief.yaml", "devices: 3\nduration: 5m\ncycles: {count: 6, wait: 5m}\nfloor: {cycles: 6}\n")
	out, err := ran(t.Context(), "-scenario", brief, "-bin", bin)
	wantCode(t, err, 0)
	if !strings.Contains(out, "standalone with 3 devices") {
		t.Error(out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = ran(ctx, "-scenario", brief, "-bin", bin)
	wantCode(t, err, 130)
}

func TestRunTellsWhyStandaloneEnded(t *testing.T) {
	t.Parallel()
	program := file(t, "standalone", "#!/bin/sh\necho the port is taken >&2\nexit 3\n")
	brief := file(t, "brief.yaml", "devices: 3\nduration: 5m\ncycles: {count: 6}\n")
	_, err := ran(t.Context(), "-scenario", brief, "-bin", filepath.Dir(program))
	wantCode(t, err, 1)
	if err == nil || !strings.Contains(err.Error(), "standalone ended by itself; it said: the port is taken (exit status 3)") {
		t.Error(err)
	}
}

func TestHelpAndList(t *testing.T) {
	t.Parallel()
	help, err := ran(t.Context(), "-h")
	wantCode(t, err, 0)
	for _, want := range []string{"-scenario name", "-out file", "morning", "cycles.hold", "floor.p99.handoff", "130 interrupted"} {
		if !strings.Contains(help, want) {
			t.Errorf("%q is not in the help:\n%s", want, help)
		}
	}
	list, err := ran(t.Context(), "-list")
	wantCode(t, err, 0)
	if got := strings.Count(list, "\n"); got != len(builtInNames()) {
		t.Errorf("%d lines:\n%s", got, list)
	}
}

func TestUsageMistakes(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	for args, want := range map[string]string{
		"-nope":                                   "flag provided but not defined: -nope",
		"floor":                                   `"floor": there are only options; -h lists them`,
		"-scenario flor":                          `no scenario is named "flor"; built in are crash, floor, max-cycles, max-keepalives, morning, nightly, ramp, and a file of yours ends in .yaml`,
		"-scenario ./none.yaml":                   "scenario: open ./none.yaml: no such file",
		"-keepalive http://x":                     "-keepalive, -pool and -l say more about the lab of -allocator, which is missing",
		"-pool phones":                            "-keepalive, -pool and -l say more",
		"-allocator localhost:8080":               `-allocator "localhost:8080" is not an http or https URL, such as http://localhost:8080`,
		"-allocator http://x -keepalive x":        `-keepalive "x" is not an http or https URL`,
		"-allocator http://x -l a=b=c":            "-l: invalid:",
		"-allocator http://x -pool A":             `-pool: "A" is not a name`,
		"-allocator http://x -redis y":            "-redis is for a lab that is started",
		"-out report.pdf":                         "-out report.pdf: the name has to end in .html",
		"-duration 1ms":                           "-duration 1ms: allowed is 1s to 24h",
		"-connections 5":                          "-connections is for closed scenarios, which floor is not",
		"-scenario max-cycles -connections 10001": "-connections 10001: allowed is 1 to 10000",
		"-bin " + empty:                           "make build makes it, -bin says where it is, and -allocator names a lab that runs",
	} {
		_, err := ran(t.Context(), strings.Fields(args)...)
		wantCode(t, err, 2)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %s", args, err, want)
		}
	}
}
