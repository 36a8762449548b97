package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/config"
	"github.com/automation-infra/automation-infra/lease"
)

func TestInventory(t *testing.T) {
	t.Parallel()
	inventory, err := config.ParseInventory([]byte(inventoryOf(300)), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]bool{}
	devices := inventory.Pool(pool).Devices
	for i := range devices {
		of[devices[i].Class()] = true
	}
	if len(devices) != 300 || len(of) != classes {
		t.Errorf("%d devices of %d classes", len(devices), len(of))
	}
}

// TestGin holds that what the services are compared with answers as the keepalive service does, in form and size.
func TestGin(t *testing.T) {
	t.Parallel()
	const recorded = `{"id":"default-xivuwej6dr5q66dyubbyjv5qm4","expire_time":"2026-11-23T13:47:54.903Z","remaining_seconds":21600,` +
		`"deadline_time":"2026-11-24T00:47:54.871Z","keepalive_interval_seconds":7200}`
	w := httptest.NewRecorder()
	newGin().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/leases/default-a/keepalive", http.NoBody))
	var got, want map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d: %v", w.Code, err)
	}
	if err := json.Unmarshal([]byte(recorded), &want); err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if got[name] == nil {
			t.Errorf("%s is missing in %s", name, w.Body)
		}
	}
	if len(got) != len(want) || w.Body.Len() != len(recorded) {
		t.Errorf("%s\nis not like\n%s", w.Body, recorded)
	}
}

// TestReleaseCycles holds that what a run left leased is released, whichever requests made it, and what is kept is not.
func TestReleaseCycles(t *testing.T) {
	t.Parallel()
	tokens := []lease.Token{"prefix-of-26-characters.0.1", "prefix-of-26-characters.1.7", "prefix-of-26-characters.0.60"}
	var mu sync.Mutex
	active := map[string]lease.Token{}
	for _, token := range append(tokens, "somebody-elses-lease-token") {
		active[token.ID(pool).String()] = token
	}
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodGet {
			writeSome(w, active)
			return
		}
		id := strings.TrimPrefix(r.URL.Path, "/v1/leases/")
		if r.Method != http.MethodDelete || string(active[id]) != r.Header.Get("Lease-Token") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		delete(active, id)
		w.WriteHeader(http.StatusNoContent)
	}))
	l := &lab{bench: &bench{client: &http.Client{Timeout: time.Minute}}, allocator: s}
	if err := l.releaseCycles(t.Context(), "prefix-of-26-characters", 10); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if _, kept := active[lease.Token("somebody-elses-lease-token").ID(pool).String()]; !kept || len(active) != 1 {
		t.Errorf("still leased: %d, the other's: %v", len(active), kept)
	}
}

// writeSome lists up to two of the leases, the other's last.
func writeSome(w http.ResponseWriter, active map[string]lease.Token) {
	var page struct {
		Leases []map[string]string `json:"leases"`
	}
	for id, token := range active {
		if len(page.Leases) < 2 && (token != "somebody-elses-lease-token" || len(active) == 1) {
			page.Leases = append(page.Leases, map[string]string{"id": id})
		}
	}
	_ = json.NewEncoder(w).Encode(page)
}

// TestSendPatiently holds that a service that can't now is asked again, and one that refuses is not.
func TestSendPatiently(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status := http.StatusForbidden
		if asked.Add(1) == 1 {
			status = http.StatusServiceUnavailable
		}
		w.WriteHeader(status)
	}))
	b := &bench{client: &http.Client{Timeout: time.Minute}}
	err := b.sendPatiently(t.Context(), s, ask{method: http.MethodDelete, path: "/v1/leases/a", want: []int{http.StatusNoContent}}, nil)
	if err == nil || !strings.Contains(err.Error(), "403, not 204") || asked.Load() != 2 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "none free", http.StatusTooManyRequests) }))
	b := &bench{client: &http.Client{Timeout: time.Minute}}
	err := b.send(t.Context(), s, ask{method: http.MethodPost, path: "/v1/leases", want: []int{http.StatusCreated}}, nil)
	if err == nil || !strings.Contains(err.Error(), "429") || !strings.Contains(err.Error(), "none free") {
		t.Errorf("got %v", err)
	}
}
