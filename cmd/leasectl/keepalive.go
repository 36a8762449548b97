package main

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

func (a *app) keepaliveCommand() *cobra.Command {
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "keepalive [id]",
		Short: "Keep a lease alive that acquire got, once or until it is over",
		Long: `keepalive extends a lease that acquire got to its TTL from now, and prints when it ends then. With --every, it goes on until the
lease is over, or a signal ends it. The id may be left out if there is only one.

` + exitCodes,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runKeepalive(cmd, args, every)
		},
	}
	cmd.Flags().DurationVar(&every, "every", 0, "go on, so often, or more often if the lease needs it")
	return cmd
}

func (a *app) runKeepalive(cmd *cobra.Command, args []string, every time.Duration) error {
	k, own, c, err := a.reopen(cmd, args)
	if err != nil {
		return err
	}
	signals := listen()
	defer signals.stop()
	ctx, stop := signals.ending(cmd.Context())
	defer stop()
	err = a.keep(ctx, c, own, every)
	if isOver(err) {
		k.remove(own.ID)
	}
	var s *signalled
	switch {
	case errors.As(err, &s):
		return &failure{code: exitSignal + int(s.signal)}
	case err != nil:
		return a.failed(err)
	}
	return nil
}

// keep keeps a lease alive, once or until it is over or the context is.
func (a *app) keep(ctx context.Context, c *client.Client, own *client.Lease, every time.Duration) error {
	l, err := c.Get(ctx, own.ID, own.Token)
	switch {
	case err != nil:
		return err
	case l.Ended != nil:
		return lease.EndedError(l.Ended.Reason, l.Ended.Time)
	}
	for lives := time.Now(); ; {
		asked := time.Now()
		switch err := c.Keepalive(ctx, l); {
		case err == nil:
			lives = asked.Add(l.Remaining)
			if every <= 0 {
				return a.print(l.Expire.UTC().Format(time.RFC3339) + "\n")
			}
		case every <= 0 || !errors.Is(err, lease.ErrUnavailable):
			return err
		case time.Now().After(lives):
			return client.ErrLapsed
		default:
			a.say("%s, trying again", reason(err))
		}
		if !pause(ctx, min(every, cmp.Or(l.KeepaliveInterval, every), max(time.Until(lives)/3, 100*time.Millisecond))) {
			return context.Cause(ctx)
		}
	}
}

// pause waits; false when the context was over before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
