package store_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// operation is something to ask a store.
type operation struct {
	name string
	ask  func(ctx context.Context, s *store.Store) error
}

// operations are all that a store can be asked, about a pool of device a and a lease.
func operations(g lease.Grant) []operation {
	on := true
	return []operation{
		{"ping", func(ctx context.Context, s *store.Store) error { return s.Ping(ctx) }},
		{"allocate", func(ctx context.Context, s *store.Store) error { _, _, err := s.Allocate(ctx, g); return err }},
		{"keepalive", func(ctx context.Context, s *store.Store) error { _, err := s.Keepalive(ctx, g.ID); return err }},
		{"release", func(ctx context.Context, s *store.Store) error { return s.Release(ctx, g.ID) }},
		{"retract", func(ctx context.Context, s *store.Store) error { return s.Retract(ctx, g.ID) }},
		{"reap", func(ctx context.Context, s *store.Store) error { _, err := s.Reap(ctx, pool); return err }},
		{"read a lease", func(ctx context.Context, s *store.Store) error { _, err := s.Lease(ctx, g.ID); return err }},
		{"list leases", func(ctx context.Context, s *store.Store) error {
			_, _, err := s.Leases(ctx, pool, lease.StateActive, "", 10)
			return err
		}},
		{"read devices", func(ctx context.Context, s *store.Store) error {
			_, err := s.Devices(ctx, pool, []string{"a"})
			return err
		}},
		{"set device", func(ctx context.Context, s *store.Store) error {
			_, err := s.SetDevice(ctx, pool, "a", lease.DeviceChange{Maintenance: &on})
			return err
		}},
		{"reconcile", func(ctx context.Context, s *store.Store) error {
			return s.Reconcile(ctx, inventoryOf(device("a", "")).Pool(pool))
		}},
		{"look", func(ctx context.Context, s *store.Store) error { return s.Look(ctx) }},
		{"check", func(ctx context.Context, s *store.Store) error { _, err := s.Check(ctx); return err }},
	}
}

// aGrant is one of device a, whatever Redis knows.
func aGrant(t testing.TB) lease.Grant {
	t.Helper()
	g, err := inventoryOf(device("a", "")).Resolve(lease.NewToken().ID(pool), lease.Request{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Whatever keeps Redis from answering, every operation says so within its timeout: it does not know, so it says neither
// that there is no such lease nor that no device is free.
func TestOutageIsNoAbsence(t *testing.T) {
	t.Parallel()
	const timeout = 50 * time.Millisecond
	for _, outage := range []struct {
		name string
		addr func(t testing.TB) string
	}{
		{"connections are refused", storetest.FreeAddr},
		{"nothing is answered", func(t testing.TB) string { return serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }) }},
		{"connections are cut", func(t testing.TB) string { return serve(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }) }},
		{"the answer is no Redis's", func(t testing.TB) string {
			return serve(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
		}},
	} {
		t.Run(outage.name, func(t *testing.T) {
			t.Parallel()
			s := storeOn(t, outage.addr(t), timeout)
			for _, op := range operations(aGrant(t)) {
				start := time.Now()
				wantCode(t, op.ask(t.Context(), s), lease.CodeUnavailable)
				if took := time.Since(start); took > timeout+2*time.Second {
					t.Errorf("%s took %s, want about %s", op.name, took, timeout)
				}
			}
		})
	}
}

// storeOn is a store on an address.
func storeOn(t testing.TB, addr string, timeout time.Duration) *store.Store {
	t.Helper()
	return store.New(storetest.Client(t, addr), store.Options{Grace: grace, Timeout: timeout})
}

// serve handles connections at an address until the test ends; one that was handled is closed.
func serve(t testing.TB, handle func(net.Conn)) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return // it was closed
			}
			all.Go(func() {
				defer func() { _ = c.Close() }()
				handle(c)
			})
		}
	})
	t.Cleanup(func() { // after the clients, which were made later, are closed
		_ = listener.Close()
		all.Wait()
	})
	return listener.Addr().String()
}

// A caller that has no time left is told so without waiting for Redis.
func TestCallersDeadlineHolds(t *testing.T) {
	t.Parallel()
	s := storeOn(t, serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for _, op := range operations(aGrant(t)) {
		wantCode(t, op.ask(ctx, s), lease.CodeUnavailable)
	}
}

// lossy is a way to a Redis on which replies can be lost though requests arrive.
type lossy struct {
	addr string
	lose atomic.Bool
}

// lossyWay leads to an address.
func lossyWay(t testing.TB, to string) *lossy {
	t.Helper()
	w := &lossy{}
	w.addr = serve(t, func(client net.Conn) {
		redis, err := new(net.Dialer).DialContext(context.Background(), "tcp", to)
		if err != nil {
			return
		}
		var requests sync.WaitGroup
		requests.Go(func() {
			_, _ = io.Copy(redis, client)
			_ = redis.Close()
		})
		_, _ = io.Copy(writerFunc(func(reply []byte) (int, error) {
			if w.lose.Load() {
				return 0, fmt.Errorf("lost %d bytes", len(reply))
			}
			return client.Write(reply)
		}), redis)
		_ = client.Close()
		requests.Wait()
	})
	return w
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// When a reply is lost, the change was made and nobody knows. Asking again the same way is right every time: the same
// lease, no second device, a release that is one.
func TestLostRepliesAreRepeated(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, plain(4)...)
		l.release(t, l.grant(t, lease.Request{}).ID) // now Redis has the scripts
		way := lossyWay(t, r.Addr)
		far := storeOn(t, way.addr, 20*time.Second)
		g := l.want(t, lease.Request{})
		for _, op := range operations(g)[1:4] { // allocate, keepalive, release
			if err := far.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			way.lose.Store(true)
			wantCode(t, op.ask(t.Context(), far), lease.CodeUnavailable)
			way.lose.Store(false)
			if op.name == "allocate" {
				if _, granted, err := far.Allocate(t.Context(), g); granted || err != nil {
					t.Fatalf("allocate again: granted %v, %v; want the lease that was granted", granted, err)
				}
			}
			if err := op.ask(t.Context(), far); err != nil {
				t.Fatalf("%s again: %v", op.name, err)
			}
		}
		if locks := l.dump(t).locks(); len(locks) != 0 {
			t.Errorf("locks %v, want none", locks)
		}
		if n := len(l.events(t, "granted")); n != 2 {
			t.Errorf("%d grants, want the first and one more", n)
		}
	})
}
