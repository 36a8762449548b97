// Package cmd_test runs the programs as their users do: built, started, asked over HTTP, stopped by signals.
package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/automation-infra/automation-infra/store/storetest"
)

// patience is how long anything may take that happens by itself; a machine under load is slow.
const patience = time.Minute

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "programs")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./...").CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
})

// TestMain proves that no goroutine is left behind, and removes what was built.
func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

type tests struct{ m *testing.M }

func (t tests) Run() int {
	code := t.m.Run()
	http.DefaultClient.CloseIdleConnections()
	if dir, _ := build(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	return code
}

// program is one that runs.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	exited chan struct{}
	stderr bytes.Buffer
	lines  *lines // of stdout
}

// start starts a program with this environment and nothing else of ours.
func start(t *testing.T, name string, env ...string) *program {
	t.Helper()
	return startAs(t, exec.Command(path(t, name)), env...)
}

// path is where a program is.
func path(t *testing.T, name string) string {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// startAs starts a program by a command.
func startAs(t *testing.T, cmd *exec.Cmd, env ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: cmd, exited: make(chan struct{}), lines: &lines{changed: make(chan struct{})}}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines.add(s.Text())
		}
		_ = p.cmd.Wait() // its exit code is in ProcessState
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.exited
		if t.Failed() {
			t.Logf("%s said:\n%s%s", cmd, p.lines, &p.stderr)
		}
	})
	return p
}

// wait waits until the program has ended, and returns its exit code.
func (p *program) wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Fatal("the program does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *program) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// said waits for a line of the log with this message, and returns it.
func (p *program) said(message string) map[string]any {
	p.t.Helper()
	return p.saidTimes(message, 1)
}

// saidTimes waits for the nth line of the log with this message, and returns it.
func (p *program) saidTimes(message string, n int) map[string]any {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	for next := 0; ; {
		all, changed := p.lines.since()
		for ; next < len(all); next++ {
			var entry map[string]any
			if err := json.Unmarshal([]byte(all[next]), &entry); err != nil {
				p.t.Fatalf("log line %q is no JSON: %v", all[next], err)
			}
			if entry["msg"] != message {
				continue
			}
			if n--; n == 0 {
				return entry
			}
		}
		select {
		case <-changed:
		case <-p.exited:
			p.t.Fatalf("the program ended and never said %q", message)
		case <-ctx.Done():
			p.t.Fatalf("the program never said %q", message)
		}
	}
}

// lines is what a program has written so far.
type lines struct {
	mu      sync.Mutex
	all     []string
	changed chan struct{} // closed at the next line
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *lines) since() ([]string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all, l.changed
}

func (l *lines) String() string {
	all, _ := l.since()
	return strings.Join(all, "\n") + "\n"
}

// get asks for a URL until it answers with this status, and returns the body.
func get(t *testing.T, url string, status int) string {
	t.Helper()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		got, body, err := request(ctx, http.MethodGet, url, "")
		if err == nil && got == status {
			return body
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("GET %s: %d %s %v, want %d", url, got, body, err, status)
		}
	}
}

// post sends a body once.
func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	status, answer, err := request(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return status, answer
}

func request(ctx context.Context, method, url, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

func TestBadConfigurationIsRefusedWithEveryMistake(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"allocator", "keepalive", "standalone"} {
		p := start(t, name, "LOG_LEVEL=loud", "SHUTDOWN_GRACE=soon")
		if code := p.wait(); code != 1 {
			t.Errorf("%s: exit code %d", name, code)
		}
		said := p.stderr.String()
		for _, mistake := range []string{`LOG_LEVEL="loud": one of debug, info, warn, error`, `SHUTDOWN_GRACE="soon": a duration`} {
			if !strings.Contains(said, mistake) {
				t.Errorf("%s did not say %s: %s", name, mistake, said)
			}
		}
	}
}

func TestBadInventoryStopsTheStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "inventory.yaml")
	writeFile(t, path, "pools:\n  default:\n    devices:\n      - name: A\n        lables: {}\n")
	p := start(t, "allocator", "INVENTORY="+path, "ALLOCATOR_ADDR=127.0.0.1:0")
	if code := p.wait(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, mistake := range []string{"inventory.yaml:4: pools.default.devices[0].name", "inventory.yaml:5: pools.default.devices[0].lables"} {
		if !strings.Contains(p.stderr.String(), mistake) {
			t.Errorf("did not say %s: %s", mistake, &p.stderr)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// standalone starts the standalone program, and returns the base URL of its allocator.
func standalone(t *testing.T, env ...string) (*program, string) {
	t.Helper()
	addr, keepalive := storetest.FreeAddr(t), storetest.FreeAddr(t)
	p := start(t, "standalone", append([]string{
		"ALLOCATOR_ADDR=" + addr, "KEEPALIVE_ADDR=" + keepalive, "KEEPALIVE_URL=http://" + keepalive, "EMBEDDED_REDIS_ADDR=127.0.0.1:0",
	}, env...)...)
	get(t, "http://"+addr+"/readyz", http.StatusOK)
	get(t, "http://"+keepalive+"/readyz", http.StatusOK)
	return p, "http://" + addr
}

func TestStandaloneStartsAndStops(t *testing.T) {
	t.Parallel()
	p, base := standalone(t)
	if status, body := post(t, base+"/v1/leases", ""); status != http.StatusCreated {
		t.Errorf("allocate: %d %s", status, body)
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, say := range []string{base, "curl -s -X POST", "Leases do not survive a restart"} {
		if !strings.Contains(p.stderr.String(), say) {
			t.Errorf("did not say %q: %s", say, &p.stderr)
		}
	}
}

// TestStopAnswersWhoWaits: who waits in line is told at once, and the program ends well before the grace is over.
func TestStopAnswersWhoWaits(t *testing.T) {
	t.Parallel()
	p, base := standalone(t, "SHUTDOWN_GRACE=5m")
	get(t, base+"/v1/devices/rpi4-01", http.StatusOK)
	if status, body := post(t, base+"/v1/leases", `{"name":"rpi4-01"}`); status != http.StatusCreated {
		t.Fatalf("allocate: %d %s", status, body)
	}
	answered := make(chan string, 1)
	go func() {
		status, body, err := request(t.Context(), http.MethodPost, base+"/v1/leases?wait=10m", `{"name":"rpi4-01"}`)
		answered <- fmt.Sprintf("%d %s %v", status, body, err)
	}()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !strings.Contains(get(t, base+"/metrics", http.StatusOK), "lease_waiting_requests 1\n") {
		<-poll.C
	}
	p.signal(syscall.SIGTERM)
	if answer := <-answered; !strings.HasPrefix(answer, "202 ") {
		t.Errorf("who waits is told %s", answer)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestProfilesAreServed(t *testing.T) {
	t.Parallel()
	addr := storetest.FreeAddr(t)
	p, _ := standalone(t, "PPROF_ADDR="+addr)
	for path, status := range map[string]int{"goroutine": http.StatusOK, "profile?seconds=1": http.StatusOK, "cmdline": http.StatusNotFound} {
		if body := get(t, "http://"+addr+"/debug/pprof/"+path, status); body == "" {
			t.Errorf("%s is empty", path)
		}
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestInventoryIsReloaded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "inventory.yaml")
	device := "      - name: %s\n        connection: {host: 192.0.2.1}\n"
	inventory := "pools:\n  default:\n    devices:\n" + fmt.Sprintf(device, "a")
	writeFile(t, path, inventory)
	p, base := standalone(t, "INVENTORY="+path)
	if status, body := post(t, base+"/v1/leases", `{"name":"a"}`); status != http.StatusCreated {
		t.Fatalf("allocate: %d %s", status, body)
	}

	writeFile(t, path, inventory+"      - nmae: b\n")
	refused := p.said("inventory refused; the one before stays in force")
	if why, _ := refused["error"].(string); !strings.Contains(why, "inventory.yaml:6") || !strings.Contains(why, "nmae") {
		t.Errorf("refused without saying why: %v", refused)
	}
	get(t, base+"/v1/devices/a", http.StatusOK)

	writeFile(t, path, "pools:\n  default:\n    devices:\n"+fmt.Sprintf(device, "b"))
	get(t, base+"/v1/devices/b", http.StatusOK)
	get(t, base+"/v1/devices/a", http.StatusNotFound)
	if body := get(t, base+"/v1/leases", http.StatusOK); !strings.Contains(body, `"name":"a"`) {
		t.Errorf("the lease of a device that left the inventory has ended: %s", body)
	}
	p.saidTimes("inventory loaded", 1)
	p.signal(syscall.SIGHUP)
	p.saidTimes("inventory loaded", 2)
}
