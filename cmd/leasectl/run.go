package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

func (a *app) runCommand() *cobra.Command {
	r := &runner{app: a}
	cmd := &cobra.Command{
		Use:   "run [flags] -- command [argument…]",
		Short: "Run a command while a device is leased for it",
		Long: `run waits for a device, runs the command while it is leased, and gives it back on every path.

The command has LEASE_ID, LEASE_POOL, LEASE_FENCE, LEASE_EXPIRE_TIME, LEASE_DEVICES (names), LEASE_JSON (the devices, with
labels, attributes and connections), and, when it is one device, LEASE_DEVICE and each key of its connection: LEASE_HOST,
LEASE_PORT, LEASE_USER… For each --device as=…, these are LEASE_<AS>_DEVICE, LEASE_<AS>_HOST… or, of several,
LEASE_<AS>_1_DEVICE… LEASES_URL is where the service is.

When the lease can't be kept, the command gets TERM, and KILL --kill-after later or when the time of the lease is over,
whichever is first. Ctrl-Z stops the lease's keepalives, too: continue before its TTL is over.

` + exitCodes,
		Example: "  leasectl run -l model=rpi4 -- pytest tests/\n  leasectl run --device board=model=rpi4 --device server=@nuc-02 -- ./e2e.sh",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && !r.flags.explain {
				return errors.New("which command? leasectl run [flags] -- command [argument…]")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args) },
	}
	cmd.Flags().SetInterspersed(false)
	r.flags.add(cmd, a.defaults)
	cmd.Flags().DurationVar(&r.killAfter, "kill-after", a.defaults.KillAfter, "how long the command has between TERM and KILL when the lease is lost")
	return cmd
}

// runner runs a command under a lease.
type runner struct {
	*app
	flags     requestFlags
	killAfter time.Duration
}

func (r *runner) run(ctx context.Context, args []string) error {
	if r.flags.explain {
		return r.explain(ctx, r.flags)
	}
	path, err := find(args[0])
	if err != nil {
		return err
	}
	signals := listen()
	defer signals.stop()
	c, l, err := r.acquire(ctx, r.flags, signals, newStatus(r.app))
	if err != nil {
		return err
	}
	h := c.Hold(ctx, l)
	defer func() { _ = h.Release() }() // again, if it was not for a panic
	end, err := r.under(h, l, signals, path, args)
	return r.ended(end, err, l, h.Release())
}

// under runs the command while the lease is held.
func (r *runner) under(h *client.Holding, l *client.Lease, signals signals, path string, args []string) (end, error) {
	vars, err := variablesOf(l, r.flags.exportToken)
	if err != nil {
		return end{}, &failure{exitSoftware, err.Error()}
	}
	r.say("leased %s (%s)", strings.Join(deviceNames(l), ", "), l.ID)
	child, err := startChild(r.streams, path, args, environ(os.Environ(), r.url, vars))
	if err != nil {
		return end{}, unstartable(args[0], err)
	}
	s := &supervision{
		child: child, lease: h, signals: signals, killAfter: r.killAfter, lead: min(r.killAfter, l.TTL/4),
	}
	return s.run(), nil
}

// ended is how the program ends after its command did. left is why the lease was lost, or else could not be released.
func (r *runner) ended(e end, err error, l *client.Lease, left error) error {
	lost := e.lost
	if lost == nil && isLost(left) {
		lost = left
	}
	switch {
	case err != nil:
		return err
	case lost != nil:
		return &failure{exitLost, fmt.Sprintf("lease %s was lost: %s; the command was stopped, as somebody else may get %s: run it again",
			l.ID, because(lost), strings.Join(deviceNames(l), ", "))}
	case left != nil:
		r.say("lease %s could not be released: %s; it ends by itself within %s", l.ID, reason(left), l.TTL)
	}
	if e.code != 0 {
		return &failure{code: e.code}
	}
	return nil
}

// isLost tells the loss of a lease from that it could not be released.
func isLost(err error) bool {
	return errors.Is(err, client.ErrLapsed) || errors.Is(err, lease.ErrForbidden) || isOver(err)
}

// isOver reports whether the service says that there is no such lease any more.
func isOver(err error) bool {
	return errors.Is(err, lease.ErrEnded) || errors.Is(err, lease.ErrNotFound)
}

// because is why a lease was lost, in words.
func because(err error) string {
	var e *lease.Error
	if errors.As(err, &e) {
		return reason(e)
	}
	return err.Error()
}
