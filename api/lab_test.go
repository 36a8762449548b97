package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

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
	allocator, keepalive string       // base URLs
	handler              http.Handler // of the allocator
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

// newLab starts both services. Two labs over one Redis are two replicas of each.
func newLab(t *testing.T, r *storetest.Redis, options ...func(*labOptions)) *lab {
	t.Helper()
	o := labOptions{inventory: exampleInventory(), client: r.Client}
	for _, option := range options {
		option(&o)
	}
	l := &lab{t: t, redis: r, log: &syncBuffer{}, health: api.NewHealth(), inventory: o.inventory}
	log := slog.New(api.LogHandler(slog.NewJSONHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	registry := prometheus.NewRegistry()
	l.store = store.New(o.client, store.Options{Grace: grace, Registerer: registry, Timeout: 30 * time.Second})
	registry.MustRegister(l.store.Collector(l.current))
	l.reconcile()
	l.health.SetReady()
	l.keepalive = l.serve(api.NewKeepalive(api.KeepaliveOptions{
		Options: api.Options{Version: "test", Log: log, Registry: prometheus.NewRegistry(), Health: l.health, MaxRequests: o.maxRequests},
		Store:   l.store,
	}))
	l.handler = api.NewAllocator(api.AllocatorOptions{
		Options: api.Options{Version: "test", Log: log, Registry: registry, Health: l.health, MaxRequests: o.maxRequests},
		Store:   l.store, Inventory: l.current, KeepaliveURL: l.keepalive, RetryAfter: 20 * time.Second, Reread: o.reread, MaxWaiting: o.maxWaiting,
	})
	l.allocator = l.serve(l.handler)
	if !o.deaf {
		l.listen(log)
	}
	return l
}

// labOptions are what a test may want otherwise.
type labOptions struct {
	inventory *lease.Inventory
	client    redis.UniversalClient
	deaf      bool // no word from Redis reaches those who wait
	reread    time.Duration

	maxRequests, maxWaiting int
}

// listen takes word from Redis to those who wait, from now to the end of the test.
func (l *lab) listen(log *slog.Logger) {
	l.t.Helper()
	listeners := func() int64 { return l.redis.Client.PubSubNumSub(context.Background(), "leases").Val()["leases"] }
	before := listeners()
	ctx, cancel := context.WithCancel(context.Background())
	var listening sync.WaitGroup
	listening.Go(func() { l.store.Listen(ctx, log) })
	l.t.Cleanup(func() {
		cancel()
		listening.Wait()
	})
	l.until("the store listens", func() bool { return listeners() > before })
}

// until waits for a condition.
func (l *lab) until(what string, holds func() bool) {
	l.t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	timeout := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-again.C:
		case <-timeout:
			l.t.Fatalf("waited too long: %s", what)
		}
	}
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
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, r)
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

// later runs a request while the test goes on; receive its answer in the test.
func (l *lab) later(request func() *answer) <-chan *answer {
	answers := make(chan *answer, 1)
	go func() {
		defer close(answers) // a request that failed has no answer, and the test has failed
		answers <- request()
	}()
	return answers
}

// queue is the line of a pool, as ids.
func (l *lab) queue(pool string) []string {
	l.t.Helper()
	return l.do("GET", l.allocator+"/v1/queues/"+pool, "").want(200).names("queue", "id")
}

// untilWaiting waits until so many requests wait here.
func (l *lab) untilWaiting(n int) {
	l.t.Helper()
	line := fmt.Sprintf("lease_waiting_requests %d\n", n)
	l.until(line, func() bool { return strings.Contains(l.do("GET", l.allocator+"/metrics", "").text, line) })
}

// poll reads a lease as its holder.
func (l *lab) poll(one *answer, query ...string) *answer {
	l.t.Helper()
	return l.do("GET", l.allocator+"/v1/leases/"+one.str("id")+strings.Join(query, ""), "", "Lease-Token: "+one.str("token"))
}

// wait asks for a lease in line.
func (l *lab) wait(wait, body string, headers ...string) *answer {
	l.t.Helper()
	return l.do("POST", l.allocator+"/v1/leases?wait="+wait, body, headers...)
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
	if a == nil {
		panic("no answer: the request failed")
	}
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

// object is a nested object.
func (a *answer) object(field string) *answer {
	o, _ := a.body[field].(map[string]any)
	return &answer{t: a.t, text: a.text, body: o}
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
