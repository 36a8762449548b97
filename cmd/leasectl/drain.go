package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/automation-infra/automation-infra/lease"
)

func (a *app) drainCommand() *cobra.Command {
	var note string
	wait, timeout := false, time.Duration(0)
	cmd := &cobra.Command{
		Use:   "drain device…",
		Short: "Take devices out of service",
		Long: `drain takes devices out of service: they are not leased again until undrain puts them back. A device that is leased stays so until its
lease ends; --wait waits for that. Each device is tried, and gets a line; the exit code is that of the first that failed.

` + exitCodes,
		Example: "  leasectl drain rpi4-01 --note 'fan broken'\n  leasectl drain rpi4-01 rpi4-02 --wait --wait-timeout 1h",
		Args:    named("drain", "devices"),
		RunE: func(cmd *cobra.Command, names []string) error {
			o, err := a.observe()
			if err != nil {
				return err
			}
			out := true
			change := lease.DeviceChange{Maintenance: &out}
			if cmd.Flags().Changed("note") {
				change.Note = &note
			}
			if err := o.change(cmd.Context(), names, change, drained); err != nil || !wait {
				return err
			}
			return o.awaitEnds(cmd.Context(), names, timeout)
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "what to know of them (default what was noted before)")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until none is leased any more")
	cmd.Flags().DurationVar(&timeout, "wait-timeout", 10*time.Minute, "how long --wait waits")
	return cmd
}

func (a *app) undrainCommand() *cobra.Command {
	var note string
	cmd := &cobra.Command{
		Use:   "undrain device…",
		Short: "Put devices back into service",
		Long: `undrain puts devices back into service, and removes what was noted of them. Each device is tried, and gets a line; the exit code is
that of the first that failed.

` + exitCodes,
		Example: "  leasectl undrain rpi4-01\n  leasectl undrain rpi4-01 --note 'new fan'",
		Args:    named("undrain", "devices"),
		RunE: func(cmd *cobra.Command, names []string) error {
			o, err := a.observe()
			if err != nil {
				return err
			}
			out := false
			return o.change(cmd.Context(), names, lease.DeviceChange{Maintenance: &out, Note: &note}, undrained)
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "what to know of them (default nothing)")
	return cmd
}

func drained(t thing) string {
	if t.device.State == lease.DeviceLeased {
		return t.device.Name + " drained; " + t.held()
	}
	return t.device.Name + " drained"
}

func undrained(t thing) string { return t.device.Name + " undrained" }

// change changes each of some devices, several at once lest an outage takes its time for each, and says of each in order how it went. The
// error is the first failure, of which is said enough.
func (o *observer) change(ctx context.Context, names []string, change lease.DeviceChange, done func(thing) string) error {
	names = unique(names, func(name string) string { return name })
	things, errs := make([]thing, len(names)), make([]error, len(names))
	var g errgroup.Group
	g.SetLimit(8)
	for i, name := range names {
		g.Go(func() error {
			things[i], errs[i] = o.changeOne(ctx, name, change)
			return nil
		})
	}
	_ = g.Wait() // the errors are in errs
	var first error
	for i, err := range errs {
		if err == nil {
			if err := o.print(printable(done(things[i])) + "\n"); err != nil {
				return err
			}
			continue
		}
		f := o.failed(err)
		o.say("%s: %s", printable(names[i]), f.message)
		if first == nil {
			first = &failure{code: f.code}
		}
	}
	return first
}

// changeOne changes a device. Who has it is left out if that can't be read.
func (o *observer) changeOne(ctx context.Context, name string, change lease.DeviceChange) (thing, error) {
	if lease.ValidateName(name) != nil {
		return thing{}, noDevice(name)
	}
	d, err := o.client.SetDevice(ctx, name, change)
	if d, err = o.checked(d, err, name); err != nil {
		return thing{}, err
	}
	return o.withLease(ctx, thing{device: d}), nil
}

// awaitEnds waits until none of some devices is leased.
func (o *observer) awaitEnds(ctx context.Context, names []string, timeout time.Duration) error {
	w := &waiting{
		observer: o, timeout: timeout, flag: "--wait-timeout", aim: "out of service",
		met:  func(t thing) (bool, error) { return t.device.State != lease.DeviceLeased, nil },
		tell: func(t thing) string { return t.device.Name + " is out of service" },
	}
	return w.all(ctx, names)
}
