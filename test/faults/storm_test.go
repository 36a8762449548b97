package faults_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A storm is bad input from all sides, in rounds, each after a time without.
const (
	stormRounds = 5
	quietFor    = 2 * time.Second
	stormFor    = 3 * time.Second
	beat        = 5 * time.Millisecond // between keepalives: 200 a second
	keptLeases  = 20

	// stormSlower is how many times as long the slowest hundredth of the keepalives may take in a storm; a machine that does other
	// things at the same time gets some chances to show that.
	stormSlower  = 2
	stormChances = 3

	// fewGoroutines is more than both attacked services have without attackers, whose connections are over 2,000 and take a while to close.
	fewGoroutines = 500
)

// TestStorm keeps leases alive while clients send what nobody should: none of it is an error of the services, and the keepalives go on
// as before. The attackers run only when nothing else does (SCHED_IDLE), as if they had a machine of their own: what is measured is what
// they make the services do.
func TestStorm(t *testing.T) {
	w := newWorkshop(t)
	if _, err := exec.LookPath("chrt"); err != nil {
		t.Skip("SKIPPED without chrt, of util-linux: the storm of bad input")
	}
	l := newLab(t, w.original, setting{fsync: "everysec", ttl: time.Minute, devices: keptLeases})
	k := newKeeper(t, l)
	all := tally{}
	slower := stormSlower + 1.
	for chance := 0; chance < stormChances && slower > stormSlower; chance++ {
		slower = k.compare(t, all)
	}
	k.end()
	fmt.Printf("%d keepalives, of which %d failed\n%s", k.sent, len(k.failed), all)
	if len(k.failed) > 0 {
		t.Errorf("%d of %d keepalives failed, such as: %s", len(k.failed), k.sent, k.failed[0])
	}
	if slower > stormSlower {
		t.Errorf("the slowest hundredth of the keepalives took %.2f times as long in storms, want %d times at most", slower, stormSlower)
	}
	all.demand(t)
	for _, s := range append(l.allocators, l.keepalives...) {
		s.demandCalm(t)
	}
}

// compare is how many times as long the slowest hundredth of the keepalives takes in storms, by the medians of some rounds.
func (k *keeper) compare(t *testing.T, all tally) float64 {
	t.Helper()
	var quiet, storm []time.Duration
	for range stormRounds {
		until(t, "the attackers' connections are gone", func(context.Context) bool { return k.lab.goroutines(t) < fewGoroutines })
		quiet = append(quiet, k.slowest(t, quietFor))
		a := newAttack(t, k.lab.allocators[0].url, k.lab.keepalives[0].url)
		storm = append(storm, k.slowest(t, stormFor))
		all.add(a.end(t))
	}
	slower := middle(storm).Seconds() / middle(quiet).Seconds()
	fmt.Printf("keepalives, p99 of each round: without a storm %s, in storms %s; by the medians %.2f times as long\n", quiet, storm, slower)
	return slower
}

// goroutines is how many the services have that are attacked.
func (l *lab) goroutines(t *testing.T) float64 {
	t.Helper()
	return l.allocators[0].burden(t).goroutines + l.keepalives[0].burden(t).goroutines
}

// demandCalm fails the test if the service has panicked, or found a defect of its own.
func (s *service) demandCalm(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "panic") || strings.Contains(line, "internal error") {
			t.Errorf("the service says %s", line)
		}
	}
}

// keeper keeps leases alive, one after the other, at a steady pace.
type keeper struct {
	*caller
	leases []*holding
	stop   context.CancelFunc
	busy   sync.WaitGroup

	mu     sync.Mutex
	sent   int
	failed []string
	took   []time.Duration // since somebody asked
}

func newKeeper(t *testing.T, l *lab) *keeper {
	t.Helper()
	k := &keeper{caller: newCaller(l)}
	for i := range keptLeases {
		h := k.newHolding(0, device(i))
		if o := k.allocate(t.Context(), h, 0); o.outcome != done {
			t.Fatalf("allocate: %s", o)
		}
		k.leases = append(k.leases, h)
	}
	ctx, stop := context.WithCancel(t.Context())
	k.stop = stop
	k.busy.Go(func() { k.run(ctx) })
	t.Cleanup(k.end)
	return k
}

// run sends a keepalive at each beat, whether those before are answered or not.
func (k *keeper) run(ctx context.Context) {
	beats := time.NewTicker(beat)
	defer beats.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case due := <-beats.C:
			k.busy.Go(func() { k.keep(context.WithoutCancel(ctx), k.leases[n%len(k.leases)], due) })
		}
	}
}

func (k *keeper) keep(ctx context.Context, h *holding, due time.Time) {
	o, status, a := k.call(ctx, h, keepalive, http.MethodPost, k.lab.keepalives[0].url+"/v1/leases/"+h.id+"/keepalive", "", 0)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sent++
	k.took = append(k.took, time.Since(due))
	if status != http.StatusOK {
		k.failed = append(k.failed, fmt.Sprintf("%s: %d %s", o, status, a.Code))
	}
}

// slowest is how long the slowest hundredth of the keepalives took at the least, from now for a while.
func (k *keeper) slowest(t *testing.T, within time.Duration) time.Duration {
	t.Helper()
	k.taken()
	lasts(t, within)
	took := k.taken()
	if least := int(within/beat) / 2; len(took) < least {
		t.Fatalf("%d keepalives in %s, want %d at least: this machine is too busy to measure anything", len(took), within, least)
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// taken is how long each keepalive took since the last call.
func (k *keeper) taken() []time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	took := k.took
	k.took = nil
	return took
}

func (k *keeper) end() {
	k.stop()
	k.busy.Wait()
	k.http.CloseIdleConnections()
}

func middle(some []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(some))[len(some)/2]
}

// tally is how often each kind of bad input was answered how: by a status, or by "closed".
type tally map[string]map[string]int

func (t tally) count(kind, answer string, n int) {
	if t[kind] == nil {
		t[kind] = map[string]int{}
	}
	t[kind][answer] += n
}

func (t tally) add(other tally) {
	for kind, answers := range other {
		for answer, n := range answers {
			t.count(kind, answer, n)
		}
	}
}

// demand fails the test unless there was bad input of every kind, and each was answered as it should be.
func (t tally) demand(test *testing.T) {
	test.Helper()
	for _, b := range badInput {
		some := 0
		for answer, n := range t[b.name] {
			if slices.Contains(b.answers, answer) {
				some += n
			} else if answer != "closed" {
				test.Errorf("%s: %d answers %s, want %s", b.name, n, answer, b.answers)
			}
		}
		if some == 0 {
			test.Errorf("%s: no answer is any of %s: %v", b.name, b.answers, t[b.name])
		}
	}
}

func (t tally) String() string {
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprintf(&b, "%s: %v\n", kind, t[kind])
	}
	return b.String()
}

// attack is the attackers, in a process of their own.
type attack struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

// newAttack returns when all attackers are at work.
func newAttack(t *testing.T, allocator, keepalive string) *attack {
	t.Helper()
	a := &attack{cmd: exec.Command("chrt", "--idle", "0", os.Args[0], "-test.run", "^TestAttackers$")}
	a.cmd.Env = append(os.Environ(), attackersEnv+"="+allocator+" "+keepalive)
	a.cmd.Stderr = os.Stderr
	stdin, err := a.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	a.stdin, a.out = stdin, bufio.NewReader(out)
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.cmd.Process.Kill() }) // it may have ended
	if line, err := a.out.ReadString('\n'); err != nil || line != attackersReady {
		t.Fatalf("the attackers say %q, %v", line, err)
	}
	return a
}

// end ends the attack, and returns what it got for answers.
func (a *attack) end(t *testing.T) tally {
	t.Helper()
	_ = a.stdin.Close() // which tells them
	got := tally{}
	if err := json.NewDecoder(a.out).Decode(&got); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, a.out) // what the test framework has to say
	if err := a.cmd.Wait(); err != nil {
		t.Error(err)
	}
	return got
}
