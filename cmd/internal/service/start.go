package service

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/automation-infra/automation-infra/api"
	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
)

// start prepares a service until that succeeds, more and more patiently, and then says that it is ready. Meanwhile
// /readyz says why it is not. It returns false when the context ended before.
func start(ctx context.Context, health *api.Health, log *slog.Logger, prepare func(context.Context) error) (ready bool) {
	attempt := func() (struct{}, error) {
		err := prepare(ctx)
		if err != nil {
			health.SetNotReady(reason(err))
		}
		return struct{}{}, err
	}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 100*time.Millisecond, 5*time.Second
	_, err := backoff.Retry(ctx, attempt, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, next time.Duration) {
			log.Error("not ready", "error", err, "retry_in", next.Round(time.Millisecond).String())
		}))
	if err != nil {
		return false
	}
	health.SetReady()
	log.Info("ready")
	return true
}

// reason is what an error may say in public.
func reason(err error) string {
	var e *lease.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

// checkStore logs the warnings about Redis, and returns the error.
func checkStore(ctx context.Context, s *store.Store, log *slog.Logger) error {
	warnings, err := s.Check(ctx)
	for _, w := range warnings {
		log.Warn(w)
	}
	return err
}
