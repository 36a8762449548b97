package api_test

import (
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/automation-infra/automation-infra/api"
	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// hungLab is a lab of services that serve two requests at once, over a Redis that takes connections and answers nothing; mend has it
// refuse them.
func hungLab(t *testing.T) (l *lab, mend func()) {
	t.Helper()
	hung, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mend = func() { _ = hung.Close() }
	t.Cleanup(mend)
	l = &lab{t: t, health: ready()}
	s := store.New(storetest.Client(t, hung.Addr().String()), store.Options{Timeout: 30 * time.Second})
	options := func() api.Options {
		return api.Options{Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Health: l.health, MaxRequests: 2}
	}
	l.allocator = l.serve(api.NewAllocator(api.AllocatorOptions{Options: options(), Store: s, Inventory: exampleInventory}))
	l.keepalive = l.serve(api.NewKeepalive(api.KeepaliveOptions{Options: options(), Store: s}))
	return l, mend
}

// keepAnyAlive keeps a lease alive that there may not be.
func (l *lab) keepAnyAlive() *answer {
	l.t.Helper()
	token := lease.NewToken()
	return l.do("POST", l.keepalive+"/v1/leases/"+token.ID("default").String()+"/keepalive", "", "Lease-Token: "+string(token))
}

// untilMetric waits until a service tells this.
func (l *lab) untilMetric(base, line string) {
	l.t.Helper()
	l.until(line, func() bool { return strings.Contains(l.do("GET", base+"/metrics", "").text, line+"\n") })
}

// TestOverload: what comes when as many requests are served as may be is refused at once, and nothing else is; when they are answered,
// there is room again.
func TestOverload(t *testing.T) {
	t.Parallel()
	for _, service := range []string{"allocator", "keepalive"} {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			l, mend := hungLab(t)
			base, ask := l.allocator, func() *answer { return l.allocate("{}") }
			if service == "keepalive" {
				base, ask = l.keepalive, func() *answer { return l.keepAnyAlive() }
			}
			one, other := l.later(ask), l.later(ask)
			l.untilMetric(base, "lease_requests_in_flight 2")
			for range 3 {
				refused := ask().want(503, lease.CodeOverloaded)
				if refused.header.Get("Retry-After") != "1" || refused.num("retry_after_seconds") != 1 {
					t.Errorf("Retry-After %q: %s", refused.header.Get("Retry-After"), refused.text)
				}
			}
			l.untilMetric(base, `lease_overload_total{limit="requests"} 3`)
			l.do("GET", base+"/livez", "").want(200)
			l.do("GET", base+"/openapi.json", "").want(200)
			mend()
			(<-one).want(503, lease.CodeUnavailable)
			(<-other).want(503, lease.CodeUnavailable)
			ask().want(503, lease.CodeUnavailable)
			l.untilMetric(base, "lease_requests_in_flight 0")
		})
	}
}

// TestBodiesThatDribbleKeepNobodyOut: a request takes its place when all of it is there.
func TestBodiesThatDribbleKeepNobodyOut(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		small := newLab(t, l.redis, func(o *labOptions) { o.maxRequests = 1 })
		addr := strings.TrimPrefix(small.allocator, "http://")
		for range 3 {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			// Expect has the service say when it reads the body.
			if _, err := io.WriteString(c, "POST /v1/leases HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, len("HTTP/1.1 100"))); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, "{"); err != nil {
				t.Fatal(err)
			}
		}
		small.allocate("").want(201)
	})
}

// TestWaitingIsBounded: who waits takes no place of those who are served at once; who finds no room to wait joins the line, and is told
// so without waiting.
func TestWaitingIsBounded(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		small := newLab(t, l.redis, func(o *labOptions) { o.maxRequests, o.maxWaiting = 1, 1 })
		held := small.allocate(`{"name":"nuc-01"}`).want(201)
		first := small.later(func() *answer { return small.wait("10m", `{"name":"nuc-01"}`) })
		small.untilWaiting(1)
		small.allocate(`{"name":"nuc-01"}`).want(429)
		second := small.wait("10m", `{"name":"nuc-01"}`).want(202)
		if second.header.Get("Retry-After") != "15" || second.object("queue").num("place") != 2 {
			t.Errorf("Retry-After %q: %s", second.header.Get("Retry-After"), second.text)
		}
		small.untilMetric(small.allocator, `lease_overload_total{limit="waiting"} 1`)
		small.release(held).want(204)
		granted := (<-first).want(201)
		small.untilWaiting(0)
		third := small.later(func() *answer { return small.poll(second, "?wait=10m") })
		small.untilWaiting(1)
		small.release(granted).want(204)
		(<-third).want(200)
		small.untilMetric(small.allocator, "lease_requests_in_flight 0")
	})
}

// TestPanicsTakeNoPlaces: a request that ends so has left its place.
func TestPanicsTakeNoPlaces(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(api.NewKeepalive(api.KeepaliveOptions{
		Options: api.Options{Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Health: ready(), MaxRequests: 1},
	}))
	t.Cleanup(s.Close)
	l := &lab{t: t, keepalive: s.URL}
	for range 2 {
		l.keepAnyAlive().want(500, lease.CodeInternal)
	}
}
