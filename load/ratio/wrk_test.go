package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// recordedWrk is what wrk 4.1 prints with report.lua.
const recordedWrk = `Running 1s test @ http://127.0.0.1:39989/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.93ms    2.34ms  22.03ms   87.81%
    Req/Sec    22.47k     5.22k   34.21k    65.00%
  Latency Distribution
     50%    1.21ms
     75%    2.72ms
     90%    4.69ms
     99%   11.15ms
  44738 requests in 1.00s, 13.27MB read
Requests/sec:  44644.20
Transfer/sec:     13.24MB
measured {"requests":44738,"us":1002101,"p50_us":1214,"p99_us":11149,"unexpected":0,"broken":0}
`

func TestParseWrk(t *testing.T) {
	t.Parallel()
	got, err := parseWrk([]byte(recordedWrk))
	want := traffic{requests: 44738, took: 1002101 * time.Microsecond, p50: 1214 * time.Microsecond, p99: 11149 * time.Microsecond}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

// TestInvalidRun holds that a run with one wrong answer or broken connection is no measurement.
func TestInvalidRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ from, to, want string }{
		"a wrong status":      {`"unexpected":0`, `"unexpected":1`, "1 of 44738 answers have another status"},
		"a broken connection": {`"broken":0`, `"broken":2`, "2 connections failed"},
		"no answer":           {`"requests":44738`, `"requests":0`, "no request was answered"},
		"no line":             {"measured", "mismeasured", "does not say"},
		"no JSON":             {`{"requests"`, `"requests"`, "wrk: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output := strings.Replace(recordedWrk, c.from, c.to, 1)
			if _, err := parseWrk([]byte(output)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// fakeAllocator grants any number of leases, and notes how many there are.
type fakeAllocator struct {
	mu         sync.Mutex
	held       map[string]bool
	made, most int
	refuse     bool
}

func (f *fakeAllocator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	token := r.Header.Get("Lease-Token")
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/v1/leases" && f.refuse:
		w.WriteHeader(http.StatusTooManyRequests)
	case r.Method == http.MethodPost && r.URL.Path == "/v1/leases" && !f.held[token]:
		f.held[token] = true
		f.made, f.most = f.made+1, max(f.most, len(f.held))
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"id":"id-%s","token":"%s","state":"active"}`, token, token)
	case r.Method == http.MethodDelete && f.held[token] && r.URL.Path == "/v1/leases/id-"+token:
		delete(f.held, token)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// wrkBench is a bench with a wrk and its scripts.
func wrkBench(t *testing.T) *bench {
	t.Helper()
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		t.Skip("SKIPPED without wrk: that its scripts do what they should")
	}
	b := &bench{dir: t.TempDir(), tools: tools{wrk: wrk}}
	if err := writeScripts(b.dir); err != nil {
		t.Fatal(err)
	}
	return b
}

func serve(t *testing.T, h http.Handler) *server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &server{name: "fake", addr: s.Listener.Addr().String()}
}

func TestCyclesScript(t *testing.T) {
	t.Parallel()
	b, f := wrkBench(t), &fakeAllocator{held: map[string]bool{}}
	const conns = 4
	got, err := b.wrk(t.Context(), serve(t, f), conns, 1, "cycles.lua", "prefix")
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.most > conns || f.made < 2 || got.requests < 2*f.made-2*conns {
		t.Errorf("%d requests for %d leases, at most %d of them at a time", got.requests, f.made, f.most)
	}
	known := cycleTokens("prefix", got.requests)
	for token := range f.held {
		found := false
		for _, candidate := range known {
			found = found || string(candidate) == token
		}
		if !found {
			t.Errorf("%s would not be released", token)
		}
	}
}

func TestRefusalsScript(t *testing.T) {
	t.Parallel()
	b := wrkBench(t)
	if _, err := b.wrk(t.Context(), serve(t, &fakeAllocator{refuse: true}), 2, 1, "refusals.lua", "prefix"); err != nil {
		t.Errorf("all are refused: %v", err)
	}
	if _, err := b.wrk(t.Context(), serve(t, &fakeAllocator{held: map[string]bool{}}), 2, 1, "refusals.lua", "prefix"); err == nil {
		t.Error("a grant passes for a refusal")
	}
}

func TestKeepaliveScript(t *testing.T) {
	t.Parallel()
	b := wrkBench(t)
	var mu sync.Mutex
	kept, ended := map[string]int{}, ""
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		kept[r.Method+" "+r.URL.Path+" "+r.Header.Get("Lease-Token")]++
		if ended != "" && strings.Contains(r.URL.Path, ended) {
			w.WriteHeader(http.StatusGone)
		}
	}))
	leases := filepath.Join(b.dir, "leases")
	if err := os.WriteFile(leases, []byte("p-a A\np-b B\np-c C\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.wrk(t.Context(), s, 2, 1, "keepalive.lua", leases, "2"); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	for _, want := range []string{"POST /v1/leases/p-a/keepalive A", "POST /v1/leases/p-b/keepalive B", "POST /v1/leases/p-c/keepalive C"} {
		if kept[want] == 0 {
			t.Errorf("no %s among %v", want, kept)
		}
	}
	ended = "p-b"
	mu.Unlock()
	if _, err := b.wrk(t.Context(), s, 2, 1, "keepalive.lua", leases, "2"); err == nil || !strings.Contains(err.Error(), "another status") {
		t.Errorf("a lease has ended, but: %v", err)
	}
}
