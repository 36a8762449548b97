package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

func (a *app) whoCommand() *cobra.Command {
	flags, filter := outputFlags{}, client.DeviceFilter{State: lease.DeviceLeased}
	cmd := &cobra.Command{
		Use:   "who [device…]",
		Short: "Tell who has which device, and until when",
		Long: `who lists the leased devices: who has them, what for, since when, and in how long the lease ends unless it is kept alive. Of a device
that is named and not leased, it says that.

` + outputHelp + "\nIn json and yaml, each has the device, and its lease if there is one.\n\n" + exitCodes,
		Example: "  leasectl who\n  leasectl who rpi4-02\n  leasectl who -l model=rpi4 -o json",
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := unfiltered(cmd, names); err != nil {
				return err
			}
			o, err := a.observe()
			if err != nil {
				return err
			}
			return list(cmd.Context(), o, flags, o.occupancyList(names, filter))
		},
	}
	addFilter(cmd, &filter.Pool, &filter.Selector, nil)
	flags.add(cmd)
	return cmd
}

// occupancy is a device, and the lease that holds it.
type occupancy struct {
	Device *client.Device `json:"device"`
	Lease  *client.Lease  `json:"lease,omitempty"`
}

func (o *observer) occupancyList(names []string, f client.DeviceFilter) listing[occupancy] {
	return listing[occupancy]{
		view: o.occupancyView(), alone: len(names) == 1, none: "no device is leased; leasectl get devices lists all",
		read: func(ctx context.Context) ([]occupancy, error) {
			devices, err := o.devices(ctx, names, f)
			if err != nil {
				return nil, err
			}
			return o.occupancies(ctx, devices, client.LeaseFilter{Pool: f.Pool, Selector: f.Selector})
		},
	}
}

// occupancies reads the leases of devices: those of a list at once, and what the list does not have one by one.
func (o *observer) occupancies(ctx context.Context, devices []*client.Device, f client.LeaseFilter) ([]occupancy, error) {
	leases := map[string]*client.Lease{}
	if len(devices) > 1 {
		all, err := o.leases(ctx, nil, f)
		if err != nil {
			return nil, err
		}
		for _, l := range all {
			leases[l.ID] = l
		}
	}
	var all []occupancy
	for _, d := range devices {
		l, listed := leases[d.Lease]
		if !listed {
			var err error
			if l, err = o.tenancy(ctx, d); err != nil {
				return nil, err
			}
		}
		all = append(all, occupancy{d, l})
	}
	return all, nil
}

func (o *observer) occupancyView() view[occupancy] {
	name := func(p occupancy) string { return p.Device.Name }
	return view[occupancy]{name, []column[occupancy]{
		{title: "DEVICE", cell: name},
		{title: "HOLDER", cell: occupancy.holder, words: true},
		{title: "PURPOSE", cell: occupancy.purpose, words: true},
		{title: "SINCE", cell: ofLease(func(l *client.Lease) string { return age(l.Grant, o.when(l)) })},
		{title: "ENDS IN", cell: ofLease(o.endsIn)},
		{title: "POOL", cell: func(p occupancy) string { return p.Device.Pool }, wide: true},
		{title: "LEASE", cell: ofLease(leaseID), wide: true},
		{title: "LINK", cell: ofLease(leaseLink)},
	}}
}

// holder is who has the device, or what it is when nobody has.
func (p occupancy) holder() string {
	if p.Device.State == lease.DeviceLeased {
		return p.Device.Holder
	}
	return string(p.Device.State)
}

// purpose is what somebody has the device for, or why nobody can.
func (p occupancy) purpose() string {
	switch {
	case p.Lease != nil:
		return p.Lease.Purpose
	case p.Device.State == lease.DeviceMaintenance:
		return p.Device.Note
	}
	return ""
}

// ofLease is a cell about the lease of a device, empty when there is none.
func ofLease(cell func(*client.Lease) string) func(occupancy) string {
	return func(p occupancy) string {
		if p.Lease == nil {
			return ""
		}
		return cell(p.Lease)
	}
}
