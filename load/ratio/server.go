package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// startTimeout is how long a server may take until it serves: an allocator reads 100,000 devices.
const startTimeout = 3 * time.Minute

// server is a child process that serves until the context it was started under ends.
type server struct {
	name    string
	addr    string // host:port
	process *os.Process
	output  string        // file of what it prints
	ended   chan struct{} // closed when it has
}

// start starts a program whose environment is PATH and env alone, so that it runs with its default configuration.
func (b *bench) start(ctx context.Context, name string, env []string, program string, args ...string) (*server, error) {
	s := &server{name: name, output: filepath.Join(b.dir, fmt.Sprintf("%s-%d.log", name, len(b.servers))), ended: make(chan struct{})}
	output, err := os.OpenFile(s.output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = output.Close() }()             // the child has its own
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // what it is for
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = append([]string{"PATH=" + os.Getenv("PATH")}, env...), b.dir, output, output
	cmd.SysProcAttr = withParent()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.process = cmd.Process
	b.servers = append(b.servers, s)
	go func() {
		_ = cmd.Wait() // it is killed at the end
		close(s.ended)
	}()
	return s, nil
}

// startService starts a program of ours and waits until it serves.
func (b *bench) startService(ctx context.Context, name string, env []string, program string, args ...string) (*server, error) {
	s, err := b.start(ctx, name, env, program, args...)
	if err != nil {
		return nil, err
	}
	return s, s.await(ctx, "serves", s.findAddr)
}

// findAddr notes the address that the server has said in its log; false when it has not yet.
func (s *server) findAddr() bool {
	text, err := os.ReadFile(s.output)
	if err != nil {
		return false
	}
	for line := range bytes.Lines(text) {
		var entry struct{ Msg, Addr string }
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "serving" {
			s.addr = entry.Addr
			return true
		}
	}
	return false
}

// printed reports whether the server has printed a text.
func (s *server) printed(text string) bool {
	all, err := os.ReadFile(s.output) //nolint:gosec // start made it
	return err == nil && bytes.Contains(all, []byte(text))
}

// await waits until done says so. The error is that the server ended before, or took too long.
func (s *server) await(ctx context.Context, what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-s.ended:
			return s.alive()
		case <-ctx.Done():
			return fmt.Errorf("wait until %s %s: %w", s.name, what, ctx.Err())
		case <-again.C:
		}
	}
	return nil
}

// alive is an error, with what the server complained about last, when it has ended.
func (s *server) alive() error {
	select {
	case <-s.ended:
		return fmt.Errorf("%s has ended; it said: %s", s.name, s.complaint())
	default:
		return nil
	}
}

// complains is a log line about an error, or a request that was answered with one.
var complains = regexp.MustCompile(`"level":"ERROR"|"status":[45]`)

// complaint is the last line about an error that the server has printed, or else the last line.
func (s *server) complaint() string {
	text, err := os.ReadFile(s.output) //nolint:gosec // start made it
	if err != nil {
		return err.Error()
	}
	var last, lastError []byte
	for line := range bytes.Lines(text) {
		last = line
		if complains.Match(line) {
			lastError = line
		}
	}
	if lastError != nil {
		last = lastError
	}
	return string(bytes.TrimSpace(last))
}

func (s *server) url(path string) string { return "http://" + s.addr + path }

// forgetOutput empties the file of what the server printed: an access line a request is more than is worth keeping.
func (s *server) forgetOutput() error { return os.Truncate(s.output, 0) }
