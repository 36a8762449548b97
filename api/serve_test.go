package api_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/automation-infra/automation-infra/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server; stop ends it and waits.
func serve(t *testing.T, h http.Handler, health *api.Health) (base string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- api.Serve(ctx, l, h, health, 10*time.Second, slog.New(slog.DiscardHandler)) }()
	return "http://" + l.Addr().String(), func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestServeFinishesRunningRequests: the context ends while a request is being answered.
func TestServeFinishesRunningRequests(t *testing.T) {
	t.Parallel()
	health := ready()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stopping := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		<-stopping
		_, _ = io.WriteString(w, health.Obstacle())
	})
	done := make(chan error, 1)
	log := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		if health.Obstacle() == "stopping" {
			close(stopping) // the line "stopping" comes once
		}
		return len(p), nil
	}), nil))
	go func() { done <- api.Serve(ctx, l, handler, health, 10*time.Second, log) }()
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "stopping" {
		t.Errorf("answer %q, %v", text, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
