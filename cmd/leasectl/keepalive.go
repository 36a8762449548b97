package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

func (a *app) keepaliveCommand() *cobra.Command {
	loop := false
	cmd := &cobra.Command{
		Use:   "keepalive [id|device]",
		Short: "Keep a lease alive that acquire got, once or until it is over",
		Long: `keepalive extends a lease that acquire got to its TTL from now, and prints when it ends then. With --loop, it does so every third
of the TTL, until the lease is over or a signal ends it; the lease lives on for its TTL then. The id may be left out if there is only one.

` + exitCodes,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runKeepalive(cmd, args, loop)
		},
	}
	cmd.Flags().BoolVar(&loop, "loop", false, "go on until the lease is over")
	return cmd
}

func (a *app) runKeepalive(cmd *cobra.Command, args []string, loop bool) error {
	k, own, c, err := a.reopen(cmd, args)
	if err != nil {
		return err
	}
	signals := listen()
	defer signals.stop()
	ctx, stop := signals.ending(cmd.Context())
	defer stop()
	err = a.keep(ctx, c, own, loop)
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
func (a *app) keep(ctx context.Context, c *client.Client, own *client.Lease, loop bool) error {
	l, err := c.Get(ctx, own.ID, own.Token)
	switch {
	case err != nil:
		return err
	case l.Ended != nil:
		return lease.EndedError(l.Ended.Reason, l.Ended.Time)
	case loop:
		h := c.Hold(ctx, l)
		<-h.Context().Done()
		if lost := h.Stop(); lost != nil {
			return lost
		}
		return context.Cause(ctx)
	}
	if err := c.Keepalive(ctx, l); err != nil {
		return err
	}
	return a.print(l.Expire.UTC().Format(time.RFC3339) + "\n")
}
