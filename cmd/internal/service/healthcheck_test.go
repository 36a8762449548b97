package service_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/automation-infra/automation-infra/cmd/internal/service"
)

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	var ready atomic.Bool
	ready.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" || !ready.Load() {
			http.Error(w, "the lease store\ndoes not answer", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, addr := range []string{":" + port, "0.0.0.0:" + port, "127.0.0.1:" + port} {
		if err := service.Healthcheck(t.Context(), addr); err != nil {
			t.Errorf("%s is ready, but: %v", addr, err)
		}
	}
	ready.Store(false)
	err := service.Healthcheck(t.Context(), ":"+port)
	if err == nil || !strings.HasSuffix(err.Error(), "503 Service Unavailable the lease store does not answer") {
		t.Errorf("not ready: %v", err)
	}
	server.Close()
	if err := service.Healthcheck(t.Context(), ":"+port); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	served, checked := errors.New("served"), errors.New("checked")
	serve := func(context.Context) error { return served }
	healthcheck := func(context.Context) error { return checked }
	for _, c := range []struct {
		args []string
		want error
	}{{nil, served}, {[]string{"healthcheck"}, checked}} {
		if err := service.Command(c.args, serve, healthcheck)(t.Context()); !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.args, err, c.want)
		}
	}
	for _, args := range [][]string{{"serve"}, {"healthcheck", "now"}, {""}} {
		err := service.Command(args, serve, healthcheck)(t.Context())
		if err == nil || errors.Is(err, served) || errors.Is(err, checked) {
			t.Errorf("%q is taken: %v", args, err)
		}
	}
}
