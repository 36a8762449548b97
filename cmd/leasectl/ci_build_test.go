//go:build unix

package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// nasty is the end of a branch's name that must not be run.
const nasty = "1.0$(touch${IFS}injected)"

// ciTTL and ciGrace are how long leases live without keepalive, and their locks thereafter.
const (
	ciTTL   = 3 * time.Second
	ciGrace = 2 * time.Second
)

const ciInventory = `pools:
  default:
    ttl: 3s
    ask_within: 5s
    devices:
      - {name: rpi4-01, labels: {model: rpi4}, connection: {host: 192.0.2.11, user: pi}}
      - {name: nuc-01, labels: {model: nuc}, connection: {host: 192.0.2.31, user: lab}}
`

// openCILab starts the service for the jobs that work in dir.
func openCILab(dir string) (*lab, error) {
	if err := os.WriteFile(filepath.Join(dir, "inventory.yaml"), []byte(ciInventory), 0o600); err != nil {
		return nil, err
	}
	l, err := openLab(dir)
	if err == nil {
		err = l.start()
	}
	return l, err
}

func ciDocument(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/ci.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ciBlock is the first fenced block of the document in a language, after a text.
func ciBlock(t *testing.T, language, after string) string {
	t.Helper()
	_, rest, found := strings.Cut(ciDocument(t), after+"\n")
	_, rest, fenced := strings.Cut(rest, "```"+language+"\n")
	block, _, closed := strings.Cut(rest, "```")
	if !found || !fenced || !closed {
		t.Fatalf("the document has no %s after %q", language, after)
	}
	return block
}

// decodeCI reads YAML that has no keys but those that are known here.
func decodeCI(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := yaml.UnmarshalWithOptions(text, into, yaml.Strict()); err != nil {
		t.Fatal(yaml.FormatError(err, false, true))
	}
}

func getenv(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set", name)
	}
	return value
}

// ciBuild is a job that runs.
type ciBuild struct {
	*ciSystem
	done chan struct{}
	code int // of the first step that failed

	mu      sync.Mutex
	current *exec.Cmd
}

// begin begins the job.
func (s *ciSystem) begin(t *testing.T) *ciBuild {
	t.Helper()
	b := &ciBuild{ciSystem: s, done: make(chan struct{})}
	if temp := s.env["RUNNER_TEMP"]; temp != "" {
		if err := os.MkdirAll(temp, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	go b.run()
	t.Cleanup(func() {
		for _, pid := range processes(t, s.marker) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
		b.ended(t)
		if t.Failed() {
			t.Logf("the job says:\n%s", b.read("log"))
		}
	})
	return b
}

// run runs the steps, one after the other, until one fails; those that are to run always, then as well.
func (b *ciBuild) run() {
	defer close(b.done)
	succeeded := map[string]bool{}
	for i, step := range b.steps {
		if b.code != 0 && !succeeded[step.always] {
			continue
		}
		code, err := b.runStep(i, step)
		if err != nil {
			code = 255
			b.say(err.Error())
		}
		succeeded[step.id] = step.id != "" && code == 0
		if b.code == 0 {
			b.code = code
		}
		b.takeFileCommands()
	}
}

func (b *ciBuild) runStep(i int, step ciStep) (int, error) {
	path := filepath.Join(b.dir, fmt.Sprintf("step-%d.sh", i))
	if err := os.WriteFile(path, []byte(step.script), 0o600); err != nil {
		return 0, err
	}
	log, err := os.OpenFile(filepath.Join(b.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close() //nolint:errcheck // the step has a descriptor of its own
	cmd := exec.Command(step.argv[0], append(step.argv[1:], path)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = b.dir, log, log, []string{}
	for _, variables := range []map[string]string{b.env, step.env} {
		for name, value := range variables {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.mu.Lock()
	err = cmd.Start()
	b.current = cmd
	b.mu.Unlock()
	if err != nil {
		return 0, err
	}
	_ = cmd.Wait() // its exit code is in ProcessState
	return code(cmd.ProcessState.Sys().(syscall.WaitStatus)), nil
}

// takeFileCommands does what a step of GitHub Actions wrote into the files for it.
func (b *ciBuild) takeFileCommands() {
	for line := range strings.Lines(b.read("github_path")) {
		b.env["PATH"] = strings.TrimSpace(line) + ":" + b.env["PATH"]
	}
	for line := range strings.Lines(b.read("github_env")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		b.env[name] = value
	}
	for _, file := range []string{"github_path", "github_env"} {
		_ = os.Remove(filepath.Join(b.dir, file)) // there may be none
	}
}

func (b *ciBuild) say(text string) {
	_ = os.WriteFile(filepath.Join(b.dir, "log"), []byte(text), 0o600) // there is nowhere else to say it
}

// step is the shell that runs.
func (b *ciBuild) step() *exec.Cmd {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.current
}

// read reads a file of the job; "" when there is none.
func (b *ciBuild) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(b.dir, name))
	return string(text)
}

func (b *ciBuild) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path+"~", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}

// until waits until a file of the job begins with this text.
func (b *ciBuild) until(t *testing.T, name, text string) {
	t.Helper()
	if err := eventually(name+" is not "+strconv.Quote(text), func() bool { return strings.HasPrefix(b.read(name), text) }); err != nil {
		t.Fatalf("%v, but %q", err, b.read(name))
	}
}

// ciLease is what the service says of a lease.
type ciLease struct {
	ID, State, Holder, Purpose, Link string
	Priority                         int
	Reason                           string    `json:"ended_reason"`
	Expire                           time.Time `json:"expire_time"`
}

func (b *ciBuild) lease(id string) (l ciLease) {
	if err := b.get("/v1/leases/"+id, &l); err != nil {
		l.State = err.Error()
	}
	return l
}

// leaseID is the lease that the tests have; "" before they run.
func (b *ciBuild) leaseID() string {
	_, rest, _ := strings.Cut(b.read("leased"), "LEASE_ID=")
	id, _, _ := strings.Cut(rest, "\n")
	return id
}

// tests waits until the tests run, and returns their lease.
func (b *ciBuild) tests(t *testing.T) ciLease {
	t.Helper()
	if err := eventually("the tests don't run", func() bool { return b.leaseID() != "" }); err != nil {
		t.Fatal(err)
	}
	return b.lease(b.leaseID())
}

// outlives waits until a lease is to live for a TTL longer than it was.
func (b *ciBuild) outlives(t *testing.T, l ciLease) {
	t.Helper()
	long := l.Expire.Add(ciTTL)
	if err := eventually("the lease is not kept alive", func() bool { return b.lease(l.ID).Expire.After(long) }); err != nil {
		t.Errorf("%v: %+v", err, b.lease(l.ID))
	}
}

// waits waits until the job stands in line.
func (b *ciBuild) waits(t *testing.T) {
	t.Helper()
	if err := eventually("it is not in line", func() bool { n, err := b.queue(); return err == nil && n == 1 }); err != nil {
		t.Fatal(err)
	}
}

// ended waits for the end of the job.
func (b *ciBuild) ended(t *testing.T) {
	t.Helper()
	select {
	case <-b.done:
	case <-time.After(patience):
		t.Error("the job does not end")
	}
}

func (b *ciBuild) ends(t *testing.T, code int) {
	t.Helper()
	b.ended(t)
	if b.code != code && (code != anyFailure || b.code == 0) {
		t.Errorf("the job ended with %d, want %d", b.code, code)
	}
}

// gaveBack waits until the lease was released and nothing is leased.
func (b *ciBuild) gaveBack(t *testing.T, l ciLease) {
	t.Helper()
	if err := eventually("it was not released", func() bool { return b.lease(l.ID).Reason == "released" }); err != nil {
		t.Errorf("%v: %+v", err, b.lease(l.ID))
	}
	for _, name := range []string{"rpi4-01", "nuc-01"} {
		if _, err := b.becomes(name, "free"); err != nil {
			t.Error(err)
		}
	}
}

func (b *ciBuild) signal(t *testing.T, pid int, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		t.Errorf("%s for %d: %v", signal, pid, err)
	}
}

// pid is the process whose number is in a file.
func (b *ciBuild) pid(t *testing.T, file string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(b.read(file)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// dead waits until the process whose number is in a file is gone.
func (b *ciBuild) dead(t *testing.T, file string) {
	t.Helper()
	pid := b.pid(t, file)
	if err := eventually(fmt.Sprintf("process %d lives", pid), func() bool { return gone(pid) }); err != nil {
		t.Error(err)
	}
}

// occupy has somebody else lease the device.
func (s *ciSystem) occupy(t *testing.T) {
	t.Helper()
	reply, err := http.Post(s.url+"/v1/leases", "application/json", strings.NewReader(`{"name": "rpi4-01", "ttl_seconds": 120}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
	if reply.StatusCode != http.StatusCreated {
		t.Fatal(reply.Status)
	}
}

// hurry has the job wait for a second only.
func (s *ciSystem) hurry(t *testing.T) {
	t.Helper()
	found := false
	for i := range s.steps {
		script := strings.ReplaceAll(s.steps[i].script, "--wait-timeout 20m", "--wait-timeout 1s")
		found = found || script != s.steps[i].script
		s.steps[i].script = script
	}
	if !found {
		t.Fatal("the job does not say how long it waits")
	}
}

// processes are those that have the marker in their environment, the youngest first.
func processes(t *testing.T, marker string) []int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, path := range paths {
		text, _ := os.ReadFile(path) // it may be gone, or somebody else's
		if slices.Contains(strings.Split(string(text), "\x00"), marker) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	slices.Reverse(pids)
	return pids
}

// gone reports whether a process has ended.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
