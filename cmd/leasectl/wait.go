package main

import (
	"context"
	"errors"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// acquire waits for what the flags ask for. A deadly signal gives it up.
func (a *app) acquire(ctx context.Context, flags requestFlags, signals signals, s *status) (*client.Client, *client.Lease, error) {
	request, err := flags.request()
	if err != nil {
		return nil, nil, err
	}
	c, err := a.client(client.Options{OnRetry: s.retry, OnRecover: s.recovered})
	if err != nil {
		return nil, nil, err
	}
	waiting, stop := signals.ending(ctx)
	stopWatching := s.watch(waiting, c)
	l, err := c.Acquire(waiting, request, client.Waiting{For: flags.waitTimeout, OnQueue: s.place})
	stopWatching()
	stop()
	if err == nil && waiting.Err() != nil {
		err = context.Cause(waiting)
		_ = c.Release(ctx, l) // else it ends by itself
	}
	switch {
	case errors.Is(err, lease.ErrNotFound): // such as from a keepalive service
		return nil, nil, a.strange(err)
	case err != nil:
		return nil, nil, a.failed(err)
	}
	return c, l, nil
}
