package api_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/automation-infra/automation-infra/api"
	"github.com/automation-infra/automation-infra/lease"
)

// These are of the handlers alone: requests as net/http hands them over, and a store that answers at once.

// promptStore grants and renews whatever it is asked for.
type promptStore struct{ api.Allocator }

func (promptStore) Keepalive(context.Context, lease.ID) (lease.Renewal, error) {
	now := time.Now()
	return lease.Renewal{Expire: now.Add(time.Minute), Deadline: now.Add(time.Hour), TTL: time.Minute, Now: now}, nil
}

func (promptStore) Allocate(_ context.Context, g lease.Grant) (*lease.Lease, bool, error) {
	now := time.Now()
	return &lease.Lease{
		ID: g.ID, State: lease.StateActive, Demands: g.Request.Demands, Devices: []string{"rpi4-01"}, Holder: g.Request.Holder, Fence: 1,
		TTL: g.TTL, Create: now, Grant: now, Expire: now.Add(g.TTL), Deadline: now.Add(g.MaxHold), Now: now,
	}, true, nil
}

func (promptStore) Release(context.Context, lease.ID) error { return nil }

func benchOptions() api.Options {
	log := slog.NewJSONHandler(io.Discard, nil) //nolint:sloglint // to write lines is a part of the work
	return api.Options{Log: slog.New(api.LogHandler(log)), Registry: prometheus.NewRegistry(), Health: ready()}
}

// benchHandler serves a request again and again, by as many callers as there are cores.
func benchHandler(b *testing.B, h http.Handler, status int, method, path, body string, token lease.Token) {
	b.Helper()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := httptest.NewRequestWithContext(b.Context(), method, path, strings.NewReader(body))
			if body == "" {
				r.Body = http.NoBody
			}
			r.Header.Set(api.TokenHeader, string(token))
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != status {
				b.Errorf("%d %s", w.Code, w.Body)
				return
			}
		}
	})
}

func BenchmarkKeepalive(b *testing.B) {
	token := lease.NewToken()
	h := api.NewKeepalive(api.KeepaliveOptions{Options: benchOptions(), Store: promptStore{}})
	benchHandler(b, h, http.StatusOK, "POST", "/v1/leases/"+token.ID("default").String()+"/keepalive", "", token)
}

func BenchmarkAllocate(b *testing.B) {
	for name, body := range map[string]string{"any": "", "selector": `{"selector":"model=rpi4","holder":"alice","ttl_seconds":60}`} {
		b.Run(name, func(b *testing.B) {
			benchHandler(b, benchAllocator(), http.StatusCreated, "POST", "/v1/leases", body, lease.NewToken())
		})
	}
}

func BenchmarkRelease(b *testing.B) {
	token := lease.NewToken()
	benchHandler(b, benchAllocator(), http.StatusNoContent, "DELETE", "/v1/leases/"+token.ID("default").String(), "", token)
}

func benchAllocator() http.Handler {
	inventory := exampleInventory()
	return api.NewAllocator(api.AllocatorOptions{
		Options: benchOptions(), Store: promptStore{}, Inventory: func() *lease.Inventory { return inventory }, RetryAfter: time.Second,
	})
}
