package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/automation-infra/automation-infra/lease"
)

// ended is what a lease is that is over, however it ended.
const ended = "ended"

func (a *app) waitCommand() *cobra.Command {
	timeout := time.Duration(0)
	state := choose("", string(lease.DeviceFree), string(lease.DeviceLeased), string(lease.DeviceMaintenance), string(lease.StateActive), ended)
	cmd := &cobra.Command{
		Use:   "wait device|lease…",
		Short: "Wait until devices or leases are in a state",
		Long: `wait waits until all devices are free, or leased, or in maintenance, as --for says, or all leases are active or ended. It leases
nothing: somebody else may be quicker then. Unless --for says otherwise, it waits for devices to be free, and for leases to end.

` + exitCodes,
		Example: "  leasectl wait rpi4-01 --for maintenance --timeout 1h\n  leasectl wait default-6gyyhjnm4ttukjhvlww7zn5zxc",
		Args:    named("wait for", "devices, or ids of leases"),
		RunE: func(cmd *cobra.Command, names []string) error {
			o, err := a.observe()
			if err != nil {
				return err
			}
			w := &waiting{
				observer: o, timeout: timeout, flag: "--timeout", aim: cmp.Or(state.value, "free or ended"),
				met:  func(t thing) (bool, error) { return t.is(state.value) },
				tell: thing.String,
			}
			return w.all(cmd.Context(), names)
		},
	}
	cmd.Flags().Var(&state, "for", "what state to wait for")
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "how long to wait; 0 for not at all")
	return cmd
}

// is reports whether a thing is in a state; "" is free for a device, and ended for a lease. The error is that it never will be.
func (t thing) is(state string) (bool, error) {
	if d := t.device; d != nil {
		switch state {
		case "":
			return d.State == lease.DeviceFree, nil
		case string(lease.StateActive), ended:
			return false, &failure{exitUsage, fmt.Sprintf("%s is a device; wait for it to be free, leased or maintenance", d.Name)}
		}
		return string(d.State) == state, nil
	}
	switch {
	case state == "" || state == ended:
		return t.lease.Ended != nil, nil
	case state != string(lease.StateActive):
		return false, &failure{exitUsage, fmt.Sprintf("%s is a lease; wait for it to be active or ended", t.lease.ID)}
	case t.lease.Ended != nil:
		return false, &failure{exitLost, fmt.Sprintf("%s; acquire another lease", t)}
	}
	return t.lease.State == lease.StateActive, nil
}

// waiting waits for things.
type waiting struct {
	*observer
	timeout time.Duration
	flag    string // which sets the timeout
	aim     string // what it waits for, in words
	met     func(thing) (bool, error)
	tell    func(thing) string // what to print of a thing once it is met

	last   map[string]thing // as they were when they were seen last
	silent bool             // whether the last look got no answer
}

// all waits until all are met. An outage is waited out.
func (w *waiting) all(ctx context.Context, names []string) error {
	if w.timeout < 0 {
		return &failure{exitUsage, w.flag + " is not negative"}
	}
	signals := listen()
	defer signals.stop()
	ctx, stop := signals.ending(ctx)
	defer stop()
	w.last = map[string]thing{}
	names = unique(names, func(name string) string { return name })
	for until := time.Now().Add(w.timeout); ; {
		left, err := w.look(ctx, names, until)
		switch {
		case err != nil:
			return w.unread(err)
		case len(left) == 0:
			return nil
		case time.Now().After(until):
			return w.late(ctx, left)
		}
		names = left
		if !pause(ctx, min(time.Until(until), time.Second-rand.N(time.Second/5))) { //nolint:gosec // no secret, only that not all ask at once
			return w.failed(context.Cause(ctx))
		}
	}
}

// look looks at things, prints which are met, and returns those that are not. Without an answer, nothing has changed.
func (w *waiting) look(ctx context.Context, names []string, until time.Time) (left []string, err error) {
	const patience = 2 * time.Second // for an answer when the time is over
	looking, cancel := context.WithDeadline(ctx, until.Add(patience))
	defer cancel()
	for i, name := range names {
		t, err := w.find(looking, name)
		if ctx.Err() == nil && (looking.Err() != nil || errors.Is(err, lease.ErrUnavailable)) {
			w.silent = true
			w.contact.retry(err, 0)
			return append(left, names[i:]...), nil
		}
		if err != nil {
			return nil, err
		}
		w.contact.recovered()
		w.silent, w.last[name] = false, t
		met, err := w.met(t)
		switch {
		case err != nil:
			return nil, err
		case !met:
			left = append(left, name)
			continue
		}
		if err := w.print(printable(w.tell(t)) + "\n"); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// late is the failure of having waited in vain, with how it is now.
func (w *waiting) late(ctx context.Context, left []string) error {
	if len(w.last) == 0 {
		return &failure{exitUnavailable, fmt.Sprintf("%s: no answer within %s; start the service there, or set LEASES_URL or --url", w.url, w.timeout)}
	}
	var how []string
	for _, name := range left {
		if t, seen := w.last[name]; seen && !w.silent {
			how = append(how, w.withLease(ctx, t).String())
		} else if seen {
			how = append(how, t.String())
		}
	}
	if w.silent {
		how = append(how, "that was before "+w.url+" stopped answering")
	}
	return &failure{exitNoDevice, fmt.Sprintf("not %s within %s: %s; wait longer with %s", w.aim, w.timeout, strings.Join(how, "; "), w.flag)}
}
