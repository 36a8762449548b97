package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/automation-infra/automation-infra/api"
	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
)

// TestMain proves that the SDK leaves no goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// secret is in the connection of every device; nothing may show it unasked.
const secret = "correct-horse-battery"

const ttl, grace, maxHold, askWithin = time.Minute, 2 * time.Second, time.Hour, 45 * time.Second

// lab is both services over an embedded Redis, and the network to them. It lives in a bubble of synctest, where time passes as soon as
// everybody waits for it, so what a test does takes no time but what it waits.
type lab struct {
	*client.Client
	t     *testing.T
	wire  *wire
	redis *miniredis.Miniredis
	store *store.Store

	inventory atomic.Pointer[lease.Inventory]
	retry     func(error, time.Duration) // is told of retries
	recover   func()                     // is told of answers after them
}

// inLab runs a test in a fresh lab, of two boards and a server unless it has other devices.
func inLab(t *testing.T, test func(t *testing.T, l *lab), devices ...lease.Device) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if len(devices) == 0 {
			devices = []lease.Device{
				device("rpi4-01", "model=rpi4"), device("rpi4-02", "model=rpi4"), device("nuc-01", "model=nuc"),
			}
		}
		l := newLab(t, devices)
		test(t, l)
	})
}

func device(name, label string) lease.Device {
	key, value, _ := strings.Cut(label, "=")
	return lease.Device{
		Name: name, Labels: map[string]string{key: value}, Attributes: map[string]string{"rack": "B2"},
		Connection: lease.Connection{"host": "192.0.2.1", "port": int64(22), "delay": 0.5, "password": secret},
	}
}

func newLab(t *testing.T, devices []lease.Device) *lab {
	t.Helper()
	l := &lab{t: t, redis: miniredis.NewMiniRedis(), wire: &wire{}}
	t.Cleanup(l.redis.Close)
	l.redis.ClockTTL(true)
	rdb := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:0", MaxRetries: -1, // a name would be looked up, outside the bubble
		Dialer: func(context.Context, string, string) (net.Conn, error) { return l.redis.Dial() },
	})
	t.Cleanup(func() { _ = rdb.Close() })
	l.store = store.New(rdb, store.Options{Grace: grace})
	l.setInventory(lease.Limits{}, devices...)
	if err := l.store.Reconcile(t.Context(), l.inventory.Load().Pool("default")); err != nil {
		t.Fatal(err)
	}
	options := func() api.Options {
		health := api.NewHealth()
		health.SetReady()
		return api.Options{Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Health: health}
	}
	l.wire.serve(t, map[string]http.Handler{
		"allocator.test:80": api.NewAllocator(api.AllocatorOptions{
			Options: options(), Store: l.store, Inventory: l.inventory.Load, KeepaliveURL: "http://keepalive.test",
			RetryAfter: 20 * time.Second,
		}),
		"keepalive.test:80": api.NewKeepalive(api.KeepaliveOptions{Options: options(), Store: l.store}),
	})
	l.Client = l.client(client.Options{})
	return l
}

// client is one more client.
func (l *lab) client(o client.Options) *client.Client {
	l.t.Helper()
	o.HTTP = &http.Client{Transport: l.wire}
	o.OnRetry = func(err error, in time.Duration) {
		if l.retry != nil {
			l.retry(err, in)
		}
	}
	o.OnRecover = func() {
		if l.recover != nil {
			l.recover()
		}
	}
	c, err := client.New("http://allocator.test/", o)
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

func (l *lab) setInventory(limits lease.Limits, devices ...lease.Device) {
	l.inventory.Store(lease.NewInventory([]lease.Pool{{Name: "default", TTL: ttl, MaxHold: maxHold, Limits: limits, Devices: devices}}))
}

// acquire gets a lease that is there to be had.
func (l *lab) acquire(r client.Request) *client.Lease {
	l.t.Helper()
	got, err := l.Acquire(l.t.Context(), r, client.Waiting{})
	if err != nil {
		l.t.Fatal(err)
	}
	return got
}

// hold keeps a lease alive until stop, which releases it.
func (l *lab) hold(ctx context.Context, got *client.Lease) (held context.Context, stop func() error) {
	h := l.Hold(ctx, got)
	return h.Context(), h.Release
}

// ids are those of the leases in a state, as the store has them.
func (l *lab) ids(state lease.State) []string {
	l.t.Helper()
	found, _, err := l.store.Leases(context.Background(), "default", state, "", 1000)
	if err != nil {
		l.t.Fatal(err)
	}
	ids := []string{}
	for _, f := range found {
		ids = append(ids, f.ID.String())
	}
	return ids
}

// wantNothingLeft checks that nobody holds or waits for anything.
func (l *lab) wantNothingLeft() {
	l.t.Helper()
	synctest.Wait()
	if active, pending := l.ids(lease.StateActive), l.ids(lease.StatePending); len(active)+len(pending) > 0 {
		l.t.Errorf("left behind: active %v, pending %v", active, pending)
	}
}

// pass lets time pass, and everybody do what they do then.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// wire is a network in memory, and what is wrong with it.
type wire struct {
	real  http.RoundTripper
	fault atomic.Pointer[fault]
}

// fault does what the network does to a request; send takes it to the service and the reply back.
type fault func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error)

// fail makes the network fail from now on; nil mends it.
func (w *wire) fail(f fault) {
	if f == nil {
		w.fault.Store(nil)
		return
	}
	w.fault.Store(&f)
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	send := func() (*http.Response, error) { return w.real.RoundTrip(r) }
	if f := w.fault.Load(); f != nil {
		return (*f)(r, send)
	}
	return send()
}

func (w *wire) CloseIdleConnections() {}

var errCut = errors.New("the network is cut")

// away is a network that takes nothing anywhere.
func away(*http.Request, func() (*http.Response, error)) (*http.Response, error) { return nil, errCut }

// lostReply loses what the service answered.
func lostReply(_ *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
	reply, err := send()
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, reply.Body)
	_ = reply.Body.Close()
	return nil, errCut
}

// replying answers in the service's place; headers are "Name: value".
func replying(status int, body string, headers ...string) fault {
	return func(r *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
		reply := &http.Response{
			Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
		}
		for _, h := range headers {
			if name, value, _ := strings.Cut(h, ": "); value != "" {
				reply.Header.Set(name, value)
			}
		}
		return reply, nil
	}
}

// serve serves handlers, each at its address, until the test ends.
func (w *wire) serve(t *testing.T, handlers map[string]http.Handler) {
	t.Helper()
	at := map[string]*pipes{}
	for addr, h := range handlers {
		listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		at[addr] = listener
		server := &http.Server{Handler: h}
		go func() { _ = server.Serve(listener) }()
		t.Cleanup(func() { _ = server.Close() })
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return at[addr].dial(ctx) }}
	t.Cleanup(transport.CloseIdleConnections)
	w.real = transport
}

// pipes is a net.Listener in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
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
	close(p.closed)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// text is JSON, for messages of tests.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// wanting is a request for one device.
func wanting(name string) client.Request {
	return client.Request{Demands: []lease.Demand{{Name: name}}, Holder: "alice"}
}
