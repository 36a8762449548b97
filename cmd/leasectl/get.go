package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

func (a *app) getCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get leases|devices",
		Short:   "List leases or devices",
		Long:    "get lists leases, or devices.\n\n" + exitCodes,
		Example: "  leasectl get devices -l model=rpi4\n  leasectl get leases -o wide -w",
		RunE: func(*cobra.Command, []string) error {
			return errors.New("get what? leases or devices, such as leasectl get devices")
		},
	}
	cmd.AddCommand(a.getLeasesCommand(), a.getDevicesCommand())
	return cmd
}

func (a *app) getLeasesCommand() *cobra.Command {
	flags, filter, state := outputFlags{}, client.LeaseFilter{}, choose(lease.StateActive, lease.States()...)
	cmd := &cobra.Command{
		Use:     "leases [id…]",
		Aliases: []string{"lease", "l"},
		Short:   "List leases: who has what",
		Long: `get leases lists leases: the active ones by when they end, the pending ones in line order, and those of the last hour that ended by when
they did; or those that are named. With --watch, it goes on, with a line for each change; that a lease was kept alive is none. A
lease that leaves the list is shown once more, as it is then.

` + outputHelp + "\n\n" + exitCodes,
		Example: "  leasectl get leases\n  leasectl get leases --state expired -o wide\n  leasectl get leases -l model=rpi4 -w -o json",
		RunE: func(cmd *cobra.Command, ids []string) error {
			if err := unfiltered(cmd, ids); err != nil {
				return err
			}
			filter.State = lease.State(state.value)
			o, err := a.observe()
			if err != nil {
				return err
			}
			return list(cmd.Context(), o, flags, o.leaseList(ids, filter))
		},
	}
	addFilter(cmd, &filter.Pool, &filter.Selector, &state)
	flags.add(cmd)
	flags.addWatch(cmd)
	return cmd
}

func (a *app) getDevicesCommand() *cobra.Command {
	flags, filter, state := outputFlags{}, client.DeviceFilter{}, choose("", lease.DeviceStates()...)
	cmd := &cobra.Command{
		Use:     "devices [name…]",
		Aliases: []string{"device", "d"},
		Short:   "List devices, and what state they are in",
		Long: `get devices lists the devices of the lab by pool and name, or those that are named. A leased device that was drained is "leased,draining":
it goes into maintenance when its lease ends. With --watch, it goes on, with a line for each change. A device that leaves
the list is shown once more, as it is then.

` + outputHelp + "\n\n" + exitCodes,
		Example: "  leasectl get devices\n  leasectl get devices --state free -l model=rpi4 -o name\n  leasectl get devices rpi4-01 rpi4-02 -w",
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := unfiltered(cmd, names); err != nil {
				return err
			}
			filter.State = lease.DeviceState(state.value)
			o, err := a.observe()
			if err != nil {
				return err
			}
			return list(cmd.Context(), o, flags, o.deviceList(names, filter))
		},
	}
	addFilter(cmd, &filter.Pool, &filter.Selector, &state)
	flags.add(cmd)
	flags.addWatch(cmd)
	return cmd
}

// addFilter adds the flags that choose what is listed.
func addFilter(cmd *cobra.Command, pool, selector *string, state *choice) {
	cmd.Flags().StringVar(pool, "pool", "", "only of this pool")
	cmd.Flags().StringVarP(selector, "selector", "l", "", "only with devices of such labels, such as model=rpi4,arch!=arm")
	if state != nil {
		cmd.Flags().Var(state, "state", "only in this state")
	}
}

// unfiltered sees to it that what is named is not filtered as well.
func unfiltered(cmd *cobra.Command, names []string) error {
	for _, flag := range []string{"pool", "selector", "state"} {
		if len(names) > 0 && cmd.Flags().Changed(flag) {
			return &failure{exitUsage, fmt.Sprintf("either name what to show, or choose it with --%s", flag)}
		}
	}
	return nil
}

// listing is a list that somebody wants to see.
type listing[T any] struct {
	view[T]
	alone bool                                     // whether only one thing was named
	none  string                                   // what to say of an empty list
	read  func(context.Context) ([]T, error)       // reads the list
	again func(context.Context, string) (T, error) // reads what has left the list; the error is lease.ErrNotFound if it is gone
	still func(T) any                              // what of a thing does not change by the mere passing of time
}

// list prints a list, and with --watch what changes.
func list[T any](ctx context.Context, o *observer, flags outputFlags, l listing[T]) error {
	if err := flags.check(); err != nil {
		return err
	}
	p := &printer[T]{app: o.app, format: flags.format.value, view: l.view, objects: flags.watch}
	if flags.watch {
		return watch(ctx, o, flags.every, l, p)
	}
	all, err := l.read(ctx)
	switch {
	case err != nil:
		return o.unread(err)
	case len(all) == 0:
		o.say("%s", l.none)
	case l.alone:
		return p.alone(all[0])
	}
	return p.print(all...)
}

func (o *observer) deviceList(names []string, f client.DeviceFilter) listing[*client.Device] {
	none := "no devices; the inventory of the service lists none"
	if f != (client.DeviceFilter{}) {
		none = "no devices; leasectl get devices lists all, and -o wide their labels"
	}
	return listing[*client.Device]{
		view: o.deviceView(), alone: len(names) == 1, none: none,
		read:  func(ctx context.Context) ([]*client.Device, error) { return o.devices(ctx, names, f) },
		again: o.client.Device,
		still: func(d *client.Device) any {
			same := *d
			same.Since = time.Time{}
			return &same
		},
	}
}

func (o *observer) deviceView() view[*client.Device] {
	return view[*client.Device]{deviceName, []column[*client.Device]{
		{title: "NAME", cell: deviceName},
		{title: "POOL", cell: func(d *client.Device) string { return d.Pool }},
		{title: "STATE", cell: deviceState},
		{title: "HOLDER", cell: func(d *client.Device) string { return d.Holder }, words: true},
		{title: "SINCE", cell: func(d *client.Device) string { return age(d.Since, o.contact.now()) }},
		{title: "LABELS", cell: func(d *client.Device) string { return labels.Set(d.Labels).String() }, wide: true},
		{title: "LEASE", cell: func(d *client.Device) string { return d.Lease }, wide: true},
		{title: "GRANTS", cell: func(d *client.Device) string { return fmt.Sprint(d.Grants) }, wide: true},
		{title: "NOTE", cell: func(d *client.Device) string { return d.Note }, wide: true},
	}}
}

func deviceName(d *client.Device) string { return d.Name }

// deviceState is the state of a device, and what comes when its lease ends.
func deviceState(d *client.Device) string {
	if d.Maintenance && d.State == lease.DeviceLeased {
		return "leased,draining"
	}
	return string(d.State)
}

func (o *observer) leaseList(ids []string, f client.LeaseFilter) listing[*client.Lease] {
	return listing[*client.Lease]{
		view: o.leaseView(), alone: len(ids) == 1,
		none:  fmt.Sprintf("no leases; none is %s; --state lists others, leasectl get devices what there is to lease", f.State),
		read:  func(ctx context.Context) ([]*client.Lease, error) { return o.leases(ctx, ids, f) },
		again: o.look,
		still: stillLease,
	}
}

// look reads a lease as anyone may.
func (o *observer) look(ctx context.Context, id string) (*client.Lease, error) {
	return o.client.Get(ctx, id, "")
}

// stillLease is a lease without what passing time and keepalives change of it, and without who is behind it in line.
func stillLease(l *client.Lease) any {
	same := *l
	same.Expire, same.Remaining, same.Waited = time.Time{}, 0, 0
	if l.Queue != nil {
		queue := *l.Queue
		queue.Length, queue.Reason, queue.Availability.NextEnd, queue.Availability.Now = 0, "", time.Time{}, time.Time{}
		same.Queue = &queue
	}
	return same
}

func (o *observer) leaseView() view[*client.Lease] {
	return view[*client.Lease]{leaseID, []column[*client.Lease]{
		{title: "ID", cell: leaseID},
		{title: "STATE", cell: func(l *client.Lease) string { return string(l.State) }},
		{title: "DEVICES", cell: func(l *client.Lease) string { return strings.Join(deviceNames(l), ",") }},
		{title: "HOLDER", cell: leaseHolder, words: true},
		{title: "POOL", cell: func(l *client.Lease) string { return l.Pool }, wide: true},
		{title: "PRIORITY", cell: func(l *client.Lease) string { return fmt.Sprint(l.Priority) }, wide: true},
		{title: "ASKED", cell: func(l *client.Lease) string { return age(l.Create, o.when(l)) }, wide: true},
		{title: "GRANTED", cell: func(l *client.Lease) string { return age(l.Grant, o.when(l)) }, wide: true},
		{title: "ENDS IN", cell: o.endsIn, wide: true},
		{title: "PURPOSE", cell: leasePurpose, wide: true},
		{title: "LINK", cell: leaseLink, wide: true},
	}}
}

func leaseID(l *client.Lease) string { return l.ID }

func leaseHolder(l *client.Lease) string { return l.Holder }

func leasePurpose(l *client.Lease) string { return l.Purpose }

func leaseLink(l *client.Lease) string { return l.Link }

// endsIn is how long a lease lives without keepalive, or how long it has been over.
func (o *observer) endsIn(l *client.Lease) string {
	switch {
	case l.Ended != nil:
		return "ended " + age(l.Ended.Time, o.contact.now()) + " ago"
	case l.State == lease.StateActive:
		return short(l.Remaining)
	}
	return ""
}

// age is how long ago something was; "" for what is not known.
func age(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	return short(now.Sub(at))
}

// short is a duration for people, such as 12m or 3h2m.
func short(d time.Duration) string { return duration.HumanDuration(max(0, d)) }

// somebody is a holder, who need not have said who it is.
func somebody(holder string) string { return cmp.Or(printable(holder), "somebody") }
