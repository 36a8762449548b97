package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/automation-infra/automation-infra/api"
	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// secret is in the connection of every device of a test's lab; nothing but a reply to a holder may contain it.
const secret = "correct-horse-battery"

const ttl, grace, maxHold = time.Minute, 2 * time.Second, time.Hour

// lab is both services over one Redis, as a client meets them.
type lab struct {
	t                    *testing.T
	redis                *storetest.Redis
	store                *store.Store
	allocator, keepalive string // base URLs
	health               *api.Health
	log                  *syncBuffer

	mu        sync.Mutex
	inventory *lease.Inventory
}

// eachLab runs a test in a fresh lab on every Redis there is.
func eachLab(t *testing.T, test func(t *testing.T, l *lab)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) { test(t, newLab(t, r)) })
}

func newLab(t *testing.T, r *storetest.Redis) *lab {
	t.Helper()
	l := &lab{t: t, redis: r, log: &syncBuffer{}, health: api.NewHealth(), inventory: exampleInventory()}
	log := slog.New(api.LogHandler(slog.NewJSONHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	registry := prometheus.NewRegistry()
	l.store = store.New(r.Client, store.Options{Grace: grace, Registerer: registry, Timeout: 30 * time.Second})
	registry.MustRegister(l.store.DeviceCollector(l.current))
	l.reconcile()
	l.health.SetReady()
	l.keepalive = l.serve(api.NewKeepalive(api.KeepaliveOptions{
		Options: api.Options{Version: "test", Log: log, Registry: prometheus.NewRegistry(), Health: l.health},
		Store:   l.store,
	}))
	l.allocator = l.serve(api.NewAllocator(api.AllocatorOptions{
		Options: api.Options{Version: "test", Log: log, Registry: registry, Health: l.health},
		Store:   l.store, Inventory: l.current, KeepaliveURL: l.keepalive, RetryAfter: 20 * time.Second,
	}))
	return l
}

func (l *lab) serve(h http.Handler) string {
	s := httptest.NewServer(h)
	l.t.Cleanup(s.Close)
	return s.URL
}

func exampleInventory() *lease.Inventory {
	connection := lease.Connection{"host": "192.0.2.1", "port": int64(22), "user": "pi", "password": secret}
	return lease.NewInventory([]lease.Pool{
		{Name: "default", TTL: ttl, MaxHold: maxHold, Devices: []lease.Device{
			{Name: "rpi4-01", Labels: map[string]string{"model": "rpi4", "arch": "arm64"}, Attributes: map[string]string{"rack": "B2"}, Connection: connection},
			{Name: "rpi4-02", Labels: map[string]string{"model": "rpi4", "arch": "arm64"}, Connection: connection},
			{Name: "nuc-01", Labels: map[string]string{"model": "nuc", "arch": "amd64"}, Connection: connection},
		}},
		{Name: "phones", TTL: ttl, MaxHold: maxHold, Devices: []lease.Device{
			{Name: "pixel-01", Labels: map[string]string{"model": "pixel"}, Connection: connection},
		}},
	})
}

func (l *lab) current() *lease.Inventory {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inventory
}

func (l *lab) setInventory(inv *lease.Inventory) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inventory = inv
}

func (l *lab) reconcile() {
	l.t.Helper()
	inv := l.current()
	for _, pool := range inv.Pools() {
		if err := l.store.Reconcile(context.Background(), inv.Pool(pool)); err != nil {
			l.t.Fatal(err)
		}
	}
}

// answer is what a service replied.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	text   string
	body   map[string]any
}

// do sends a request; headers are "Name: value".
func (l *lab) do(method, url, body string, headers ...string) *answer {
	l.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, url, r)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	a := &answer{t: l.t, status: resp.StatusCode, header: resp.Header, text: string(text)}
	_ = json.Unmarshal(text, &a.body) // some answers are no JSON objects
	return a
}

func (l *lab) allocate(body string, headers ...string) *answer {
	l.t.Helper()
	return l.do("POST", l.allocator+"/v1/leases", body, headers...)
}

// keepAlive calls the URL that the lease names.
func (l *lab) keepAlive(granted *answer) *answer {
	l.t.Helper()
	return l.do("POST", granted.str("keepalive_url"), "", "Lease-Token: "+granted.str("token"))
}

func (l *lab) release(granted *answer) *answer {
	l.t.Helper()
	return l.do("DELETE", l.allocator+"/v1/leases/"+granted.str("id"), "", "Lease-Token: "+granted.str("token"))
}

// want checks the status, and the code when it is a problem.
func (a *answer) want(status int, code ...lease.Code) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.text)
	}
	if status < 400 {
		return a
	}
	if ct := a.header.Get("Content-Type"); ct != "application/problem+json" {
		a.t.Errorf("content type %q of a problem: %s", ct, a.text)
	}
	if len(code) > 0 && a.str("code") != string(code[0]) {
		a.t.Fatalf("code %q, want %q: %s", a.str("code"), code[0], a.text)
	}
	return a
}

func (a *answer) str(field string) string {
	s, _ := a.body[field].(string)
	return s
}

func (a *answer) num(field string) float64 {
	n, _ := a.body[field].(float64)
	return n
}

// device is the name of the leased device.
func (a *answer) device() string {
	a.t.Helper()
	list, _ := a.body["devices"].([]any)
	if len(list) != 1 {
		a.t.Fatalf("want one device: %s", a.text)
	}
	name, _ := list[0].(map[string]any)["name"].(string)
	return name
}

// names are those of the things that a list holds.
func (a *answer) names(list, field string) []string {
	all := []string{}
	items, _ := a.body[list].([]any)
	for _, item := range items {
		name, _ := item.(map[string]any)[field].(string)
		all = append(all, name)
	}
	return all
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
