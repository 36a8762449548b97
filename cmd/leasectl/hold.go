package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

func (a *app) holdCommand() *cobra.Command {
	flags, within := requestFlags{}, time.Duration(0)
	cmd := &cobra.Command{
		Use:   "hold [device]",
		Short: "Lease a device for a person at the bench, until Ctrl-C",
		Long: `hold waits for a device, prints how to reach it, and keeps the lease alive until Ctrl-C, until the time of --for is over, or until
it is released in another shell. Then the device is given back.

` + exitCodes,
		Example: "  leasectl hold rpi4-01 --for 2h --purpose 'soldering'\n  leasectl hold -l model=rpi4",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && (flags.name != "" || len(flags.devices) > 0) {
				return errors.New("hold takes a device, or --name, or --device, not several of these")
			}
			flags.name = append(args, flags.name)[0]
			if within%time.Second != 0 || within < 0 {
				return errors.New("--for is whole seconds, such as 2h or 90m")
			}
			return a.runHold(cmd.Context(), flags, within)
		},
	}
	flags.add(cmd, a.defaults)
	cmd.Flags().DurationVar(&within, "for", 0, "for how long; 0 for as long as the pool allows")
	return cmd
}

func (a *app) runHold(ctx context.Context, flags requestFlags, within time.Duration) error {
	if flags.explain {
		return a.explain(ctx, flags)
	}
	flags.maxHold = within
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
	h := c.Hold(ctx, l)
	defer func() { _ = h.Release() }() // again, if nothing went wrong
	if err := k.put(l, a.url); err != nil {
		return err
	}
	defer k.remove(l.ID)
	if err := a.print(reach(l)); err != nil {
		return err
	}
	a.say("leased %s until %s at the latest, as long as this runs; Ctrl-C gives it back", strings.Join(deviceNames(l), ", "), l.Deadline.Local().Format("Mon 15:04:05"))
	until, stop := signals.ending(h.Context())
	<-until.Done()
	stop()
	return a.held(context.Cause(until), l, h.Release())
}

// held is how the program ends after it held a lease, until something. left is why the lease was lost, or else could not be released.
func (a *app) held(until error, l *client.Lease, left error) error {
	names := strings.Join(deviceNames(l), ", ")
	var over *lease.Error
	var s *signalled
	switch {
	case errors.As(cmp.Or(left, until), &over) && over.Ended != nil && (over.Ended.Reason == lease.ReasonReleased || over.Ended.Reason == lease.ReasonDeadline):
		a.say("%s is given back: %s", names, over.Ended.Reason.Explain())
		return nil
	case isLost(left):
		return &failure{exitLost, fmt.Sprintf("lease %s was lost: %s; stop using %s, as somebody else may get it", l.ID, because(left), names)}
	case left != nil:
		a.say("lease %s could not be released: %s; it ends by itself within %s", l.ID, reason(left), l.TTL)
	default:
		a.say("%s is given back", names)
	}
	if errors.As(until, &s) && s.signal != syscall.SIGINT {
		return &failure{code: exitSignal + int(s.signal)}
	}
	return nil
}

// reach is how to reach the devices of a lease, for people: a line for each key of each connection.
func reach(l *client.Lease) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, d := range l.Devices {
		_, _ = fmt.Fprintf(w, "device\t%s\n", d.Name) // of a Builder
		for _, key := range slices.Sorted(maps.Keys(d.Connection)) {
			_, _ = fmt.Fprintf(w, "%s\t%v\n", key, d.Connection[key])
		}
	}
	_ = w.Flush() // as above
	return b.String()
}
