package faults_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program that a test starts, breaks, and starts again.
type process struct {
	path string
	args []string
	env  []string // beside PATH
	log  string   // the file of its output

	mu     sync.Mutex
	pid    *os.Process // nil while it does not run
	exited chan struct{}
}

// newProcess returns a program that does not run yet, and is killed when the test ends.
func newProcess(t *testing.T, dir, path string, env []string, args ...string) *process {
	p := &process{path: path, args: args, env: env, log: filepath.Join(dir, "log")}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s ended with:\n%s", filepath.Base(path), p.lastWords())
		}
	})
	return p
}

func (p *process) start(t *testing.T) {
	t.Helper()
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, p.env...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", p.path, err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // tests end it in every way
		close(exited)
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pid, p.exited = cmd.Process, exited
}

// signal sends a signal, if it runs.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pid != nil {
		_ = p.pid.Signal(s) // it may have ended by itself
	}
}

// end sends a signal that ends it, and waits until it has.
func (p *process) end(s syscall.Signal) {
	p.signal(s)
	p.mu.Lock()
	exited := p.exited
	p.mu.Unlock()
	if exited != nil {
		<-exited
	}
}

func (p *process) kill() { p.end(syscall.SIGKILL) }

// lastWords are the last lines of its output.
func (p *process) lastWords() string {
	text, _ := os.ReadFile(p.log)
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-12):], "\n")
}

// serves waits until the program is ready; false when it has ended instead, such as for want of its port.
func (p *process) serves(t *testing.T, ready func(ctx context.Context) bool) bool {
	t.Helper()
	ended := false
	until(t, filepath.Base(p.path)+" serves", func(ctx context.Context) bool {
		select {
		case <-p.exited:
			ended = true
		default:
		}
		return ended || ready(ctx)
	})
	return !ended
}

// attempts is how often a program is started whose port somebody else took before it did.
const attempts = 5

// until waits until something holds.
func until(t *testing.T, what string, holds func(ctx context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for !holds(ctx) {
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// lasts is how long a fault lasts: it can't be waited for, since nothing happens.
func lasts(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
