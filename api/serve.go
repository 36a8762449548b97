package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// writeTimeout is how long a request may take, from its headers to the end of its answer, beside what it waits in line.
const writeTimeout = 20 * time.Second

// MaxHeaderBytes is how long a request may be without its body. net/http takes headerSlack more than it is told.
const (
	MaxHeaderBytes = 16 << 10
	headerSlack    = 4 << 10
)

// Serve answers requests on a listener until the context ends; then it says on /readyz that it is stopping, answers those that
// wait in line, finishes the running requests within the grace, and returns. Whoever listened first knows that the address is
// good before serving.
func Serve(ctx context.Context, l net.Listener, h http.Handler, health *Health, grace time.Duration, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    MaxHeaderBytes - headerSlack,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	log.Info("serving", "addr", l.Addr().String())
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	health.SetStopping()
	log.Info("stopping", "addr", l.Addr().String())
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return errors.Join(fmt.Errorf("stop %s: %w", l.Addr(), err), server.Close())
	}
	return nil
}
