package main

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/automation-infra/automation-infra/client"
)

func (a *app) acquireCommand() *cobra.Command {
	flags, shell := requestFlags{}, false
	cmd := &cobra.Command{
		Use:   "acquire [flags]",
		Short: "Lease a device, and keep its token for release and keepalive",
		Long: `acquire waits for a device, and prints the lease as JSON, or with --shell as lines for eval: the variables of run.
Its token is kept in $XDG_STATE_HOME/leasectl (~/.local/state/leasectl), for release and keepalive of the same user.
The lease ends after its TTL unless it is kept alive.

` + exitCodes,
		Example: "  eval \"$(leasectl acquire --shell -l model=rpi4)\"\n  leasectl keepalive --loop &\n  ssh $LEASE_USER@$LEASE_HOST\n  leasectl release",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runAcquire(cmd.Context(), flags, shell)
		},
	}
	flags.add(cmd, a.defaults)
	cmd.Flags().BoolVar(&shell, "shell", false, "print lines for eval in a POSIX shell")
	return cmd
}

func (a *app) runAcquire(ctx context.Context, flags requestFlags, shell bool) error {
	if flags.explain {
		return a.explain(ctx, flags)
	}
	k, err := openKeeper()
	if err != nil {
		return err
	}
	signals := listen()
	defer signals.stop()
	c, l, err := a.acquire(ctx, flags, signals, newStatus(a))
	if err != nil {
		return err
	}
	if err = k.put(l, a.url); err == nil {
		err = a.printLease(l, shell, flags.exportToken)
	}
	if err != nil {
		_ = c.Release(ctx, l) // else it ends by itself
		k.remove(l.ID)
		return err
	}
	a.say("lease %s ends in %s unless kept alive: leasectl keepalive --loop %s", l.ID, l.Remaining, l.ID)
	return nil
}

// printLease prints a lease with its connections, and its token only if that is wanted.
func (a *app) printLease(l *client.Lease, shell, exportToken bool) error {
	if shell {
		vars, err := variablesOf(l, exportToken)
		if err != nil {
			return &failure{exitSoftware, err.Error()}
		}
		return a.print(exports(vars))
	}
	shown := *l
	if !exportToken {
		shown.Token = ""
	}
	text, err := shown.Reveal()
	if err != nil {
		return &failure{exitSoftware, err.Error()}
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return &failure{exitSoftware, err.Error()}
	}
	return a.print(b.String() + "\n")
}
