package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

func TestRun(t *testing.T) {
	errTest := errors.New("the test failed")
	for name, c := range map[string]struct {
		work func(l *lab, ctx context.Context, got *client.Lease) error
		want []error // all of them; none for success
	}{
		"success": {work: func(l *lab, ctx context.Context, got *client.Lease) error {
			pass(10 * time.Minute)
			if active := l.ids(lease.StateActive); ctx.Err() != nil || len(active) != 1 || active[0] != got.ID {
				return errTest
			}
			return nil
		}},
		"failure": {func(*lab, context.Context, *client.Lease) error { return errTest }, []error{errTest}},
		"lost, noticed": {func(l *lab, ctx context.Context, got *client.Lease) error {
			l.redis.Del("lock:{default}:" + got.Devices[0].Name)
			<-ctx.Done()
			return errTest
		}, []error{errTest, lease.ErrEnded}},
		"lost, not noticed": {func(l *lab, _ context.Context, got *client.Lease) error {
			l.redis.Del("lock:{default}:" + got.Devices[0].Name)
			pass(time.Minute)
			return nil
		}, []error{lease.ErrEnded}},
		"lost at the last moment": {func(l *lab, _ context.Context, got *client.Lease) error {
			l.redis.Del("lock:{default}:" + got.Devices[0].Name)
			return nil
		}, []error{lease.ErrEnded}},
		"lapsed": {func(l *lab, ctx context.Context, _ *client.Lease) error {
			l.wire.fail(away)
			<-ctx.Done()
			return nil
		}, []error{client.ErrLapsed}},
		"done in an outage": {func(l *lab, _ context.Context, _ *client.Lease) error {
			l.wire.fail(away)
			return nil
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				err := l.Run(t.Context(), client.Request{}, client.Waiting{}, func(ctx context.Context, got *client.Lease) error { return c.work(l, ctx, got) })
				if len(c.want) == 0 && err != nil {
					t.Error(err)
				}
				for _, want := range c.want {
					if !errors.Is(err, want) {
						t.Errorf("%v, want %v", err, want)
					}
				}
				l.wire.fail(nil)
				pass(ttl + grace)
				if _, err := l.store.Reap(t.Context(), "default"); err != nil {
					t.Fatal(err)
				}
				l.wantNothingLeft()
			})
		})
	}
}

// The error of the function is returned as it is.
func TestRunReturnsTheError(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		if err := l.Run(t.Context(), client.Request{}, client.Waiting{}, func(context.Context, *client.Lease) error { return errEnough }); err != errEnough { //nolint:errorlint // this very one
			t.Errorf("%v", err)
		}
		if err := l.Run(t.Context(), wanting("none"), client.Waiting{}, nil); !errors.Is(err, lease.ErrNoMatch) {
			t.Errorf("%v", err)
		}
	})
}

func TestRunReleasesInAPanic(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		defer func() {
			if recover() == nil {
				t.Error("the panic is lost")
			}
			l.wantNothingLeft()
		}()
		_ = l.Run(t.Context(), client.Request{}, client.Waiting{}, func(context.Context, *client.Lease) error { panic("at work") })
	})
}

// Whoever is told to stop leaves the device in good order, and then it is released.
func TestRunIsCancelled(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Minute, errEnough)
		defer cancel()
		err := l.Run(ctx, client.Request{}, client.Waiting{}, func(ctx context.Context, _ *client.Lease) error {
			<-ctx.Done()
			pass(5 * time.Minute)
			if len(l.ids(lease.StateActive)) != 1 {
				t.Error("it was not left in peace")
			}
			return context.Cause(ctx)
		})
		if !errors.Is(err, errEnough) || errors.Is(err, lease.ErrEnded) {
			t.Errorf("%v", err)
		}
		l.wantNothingLeft()
	})
}
