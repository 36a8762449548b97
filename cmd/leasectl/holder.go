package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// holder is who has a device.
type holder struct {
	device, name string
	until        time.Time // when the lease ends unless it is kept alive, on the local clock; zero for nobody
}

// nextHolder finds the lease that ends first of those that have what a pending lease waits for. Only a lease that is neither kept
// alive nor released before ends then.
func nextHolder(ctx context.Context, c *client.Client, pending *client.Lease) (holder, error) {
	asked := time.Now()
	for l, err := range c.Leases(ctx, client.LeaseFilter{Pool: pending.Pool}) {
		if err != nil {
			return holder{}, err
		}
		for _, d := range l.Devices {
			if slices.ContainsFunc(pending.Demands, func(wanted lease.Demand) bool { return chooses(wanted, d) }) {
				return holder{d.Name, cmp.Or(l.Holder, "somebody"), asked.Add(l.Remaining)}, nil
			}
		}
	}
	return holder{}, nil
}

// chooses reports whether a device is one that a demand may get.
func chooses(wanted lease.Demand, d client.LeasedDevice) bool {
	selector, err := lease.ParseSelector(wanted.Selector)
	return err == nil && (wanted.Name == "" || wanted.Name == d.Name) && selector.Matches(d.Labels)
}
