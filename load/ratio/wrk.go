package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// How wrk is run, unless a set says otherwise.
const (
	wrkThreads  = 2
	connections = 64
)

//go:embed wrk/*.lua
var luaScripts embed.FS

// writeScripts writes wrk's scripts into a folder, each with report.lua in front.
func writeScripts(dir string) error {
	report, err := luaScripts.ReadFile("wrk/report.lua")
	if err != nil {
		return err
	}
	for _, name := range []string{"keepalive.lua", "cycles.lua", "refusals.lua"} {
		text, err := luaScripts.ReadFile("wrk/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(bytes.Clone(report), text...), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// traffic is what a load generator says of a run.
type traffic struct {
	requests int
	took     time.Duration
	p50, p99 time.Duration
	cpu      time.Duration // what the generator itself took
}

// wrk runs a script against a server. Any other answer than the script wants, and any broken connection, is an error.
func (b *bench) wrk(ctx context.Context, s *server, connections, seconds int, script string, args ...string) (traffic, error) {
	args = append([]string{
		"--threads", strconv.Itoa(min(wrkThreads, connections)), "--connections", strconv.Itoa(connections),
		"--duration", fmt.Sprintf("%ds", seconds), "--latency", "--timeout", "10s", "--script", filepath.Join(b.dir, script), s.url("/"), "--",
	}, args...)
	output, cpu, err := b.generate(ctx, b.tools.wrk, args...)
	if err != nil {
		return traffic{}, err
	}
	t, err := parseWrk(output)
	t.cpu = cpu
	return t, err
}

// generate runs a load generator, and returns what it printed and what CPU time it took.
func (b *bench) generate(ctx context.Context, program string, args ...string) ([]byte, time.Duration, error) {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // found on the path
	cmd.SysProcAttr = withParent()
	output, err := cmd.Output()
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		return nil, 0, fmt.Errorf("%s: %w: %s", filepath.Base(program), err, bytes.TrimSpace(failed.Stderr))
	case err != nil:
		return nil, 0, err
	}
	return output, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// parseWrk reads the line that report.lua has wrk print. The run is invalid, an error, unless every answer is as wanted.
func parseWrk(output []byte) (traffic, error) {
	_, line, found := bytes.Cut(output, []byte("\nmeasured "))
	if !found {
		return traffic{}, fmt.Errorf("wrk does not say what it measured: %s", bytes.TrimSpace(output))
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	var m struct {
		Requests, Us, Unexpected, Broken int
		P50                              int `json:"p50_us"`
		P99                              int `json:"p99_us"`
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return traffic{}, fmt.Errorf("wrk: %q: %w", line, err)
	}
	switch {
	case m.Requests == 0 || m.Us == 0:
		return traffic{}, errors.New("wrk: no request was answered")
	case m.Unexpected > 0:
		return traffic{}, fmt.Errorf("wrk: %d of %d answers have another status than they must", m.Unexpected, m.Requests)
	case m.Broken > 0:
		return traffic{}, fmt.Errorf("wrk: %d connections failed or requests timed out", m.Broken)
	}
	return traffic{requests: m.Requests, took: microseconds(m.Us), p50: microseconds(m.P50), p99: microseconds(m.P99)}, nil
}

func microseconds(n int) time.Duration { return time.Duration(n) * time.Microsecond }
