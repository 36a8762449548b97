package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/automation-infra/automation-infra/api"
	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
)

// TestMain proves that the driver leaves no goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inBubble runs a test where time passes as soon as everybody waits for it.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

// parsed is a scenario from its text.
func parsed(t *testing.T, text string) scenario {
	t.Helper()
	s, err := parseScenario("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// driven runs a scenario against services, and returns the report and what the program would end with.
func driven(ctx context.Context, t *testing.T, text string, services http.Handler) (*report, error) {
	t.Helper()
	at := lab{allocator: "http://lab.test", pool: "default", about: "a lab of tests"}
	d := newDriver(parsed(t, text), at, serve(t, services), byTimer)
	r, err := d.measure(ctx, io.Discard)
	if err == nil {
		err = r.verdict()
	}
	return r, err
}

// wantCode checks what the program would exit with.
func wantCode(t *testing.T, err error, code int) {
	t.Helper()
	if got := exitCode(err); got != code {
		t.Errorf("exit code %d, want %d: %v", got, code, err)
	}
}

// realLab is both services over an embedded Redis.
type realLab struct {
	http.Handler
	store *store.Store
}

// newRealLab starts a lab of so many devices in a bubble of synctest.
func newRealLab(t *testing.T, devices int) *realLab {
	t.Helper()
	m := miniredis.NewMiniRedis()
	t.Cleanup(m.Close)
	m.ClockTTL(true)
	rdb := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:0", MaxRetries: -1, // a name would be looked up, outside the bubble
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			c, err := m.Dial()
			return queue(c), err
		},
	})
	t.Cleanup(func() { _ = rdb.Close() })
	return newLabOver(t, rdb, devices)
}

// newLabOver makes the services over a Redis.
func newLabOver(t *testing.T, rdb *redis.Client, devices int) *realLab {
	t.Helper()
	pool := lease.Pool{Name: "default", TTL: time.Minute, MaxHold: time.Hour}
	for n := range devices {
		pool.Devices = append(pool.Devices, lease.Device{Name: fmt.Sprintf("load-%02d", n), Labels: map[string]string{"model": "load"}})
	}
	inventory := lease.NewInventory([]lease.Pool{pool})
	s := store.New(rdb, store.Options{Grace: 2 * time.Second})
	if err := s.Reconcile(t.Context(), inventory.Pool("default")); err != nil {
		t.Fatal(err)
	}
	options := func() api.Options {
		health := api.NewHealth()
		health.SetReady()
		return api.Options{Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Health: health}
	}
	keepalive := api.NewKeepalive(api.KeepaliveOptions{Options: options(), Store: s})
	allocator := api.NewAllocator(api.AllocatorOptions{
		Options: options(), Store: s, Inventory: func() *lease.Inventory { return inventory }, KeepaliveURL: "http://lab.test",
		RetryAfter: 20 * time.Second,
	})
	return &realLab{store: s, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/keepalive") {
			keepalive.ServeHTTP(w, r)
			return
		}
		allocator.ServeHTTP(w, r)
	})}
}

// left are the leases that are active or pending.
func (l *realLab) left(t *testing.T) int {
	t.Helper()
	n := 0
	for _, state := range []lease.State{lease.StateActive, lease.StatePending} {
		found, _, err := l.store.Leases(context.Background(), "default", state, "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		n += len(found)
	}
	return n
}

// fakeLab answers as the services would, without any of their rules, but with a mistake that a test asks for.
type fakeLab struct {
	devices   int
	remaining int                                                      // seconds of each lease; 0 for 60
	delay     time.Duration                                            // of the answer to a grant
	allocate  func(n int) fakeGrant                                    // the nth grant, counted from 0; nil for a good one
	renew     func(w http.ResponseWriter, r *http.Request) (done bool) // nil for a good answer
	mu        sync.Mutex
	grants    int
}

type fakeGrant struct {
	device string
	fence  int
}

func (f *fakeLab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodGet:
		list := make([]map[string]any, f.devices)
		for i := range list {
			list[i] = map[string]any{"name": fmt.Sprintf("d%d", i), "state": "free"}
		}
		write(w, http.StatusOK, map[string]any{"devices": list})
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	case strings.HasSuffix(r.URL.Path, "/keepalive"):
		if f.renew == nil || !f.renew(w, r) {
			write(w, http.StatusOK, map[string]any{"remaining_seconds": cmp.Or(f.remaining, 60)})
		}
	default:
		g := f.grant()
		if f.delay > 0 {
			<-time.After(f.delay)
		}
		id := lease.Token(r.Header.Get("Lease-Token")).ID("default").String()
		write(w, http.StatusCreated, map[string]any{
			"id": id, "state": "active", "fence": g.fence, "remaining_seconds": cmp.Or(f.remaining, 60), "devices": []map[string]any{{"name": g.device}},
			"keepalive_url": "http://lab.test/v1/leases/" + id + "/keepalive",
		})
	}
}

func (f *fakeLab) grant() fakeGrant {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.grants
	f.grants++
	if f.allocate != nil {
		return f.allocate(n)
	}
	return fakeGrant{fmt.Sprintf("d%d", n), n + 1}
}

// refuse answers with a problem.
func refuse(w http.ResponseWriter, status int, code lease.Code) {
	write(w, status, map[string]any{"code": code, "detail": "a test wants it so"})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the driver has gone
}

// serve serves a handler in memory until the test ends, whatever the host, and returns the way there.
func serve(t *testing.T, h http.Handler) *http.Transport {
	t.Helper()
	listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Hour}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	transport := newTransport()
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return listener.dial(ctx) }
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// queue gives a connection in memory room for what was written and not yet read, as a network has: a pipeline of commands, of which the
// first is answered before the last is read, would wait for itself.
func queue(c net.Conn) net.Conn {
	q := &queued{Conn: c, writes: make(chan []byte, 1<<10), closed: make(chan struct{})}
	go func() {
		for {
			select {
			case p := <-q.writes:
				_, _ = c.Write(p) // the reader has gone
			case <-q.closed:
				return
			}
		}
	}()
	return q
}

type queued struct {
	net.Conn
	writes chan []byte
	closed chan struct{}
	once   sync.Once
}

func (q *queued) Write(p []byte) (int, error) {
	select {
	case q.writes <- bytes.Clone(p):
		return len(p), nil
	case <-q.closed:
		return 0, net.ErrClosed
	}
}

func (q *queued) Close() error {
	q.once.Do(func() { close(q.closed) })
	return q.Conn.Close()
}

// pipes is a net.Listener in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
