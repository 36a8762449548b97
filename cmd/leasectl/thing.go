package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// thing is a device or a lease, as it was when it was read.
type thing struct {
	device *client.Device // nil for a lease
	lease  *client.Lease  // of a device, the one that holds it; nil while none does
}

// find reads what an argument means: a device, without its lease, or else the lease with this id.
func (o *observer) find(ctx context.Context, name string) (thing, error) {
	d, err := o.device(ctx, name)
	if err == nil {
		return thing{device: d}, nil
	}
	var missing *failure
	if !isID(name) || !errors.As(err, &missing) || missing.code != exitNever {
		return thing{}, err
	}
	l, err := o.lease(ctx, name)
	return thing{lease: l}, err
}

// thing reads what an argument means, with all that belongs to it.
func (o *observer) thing(ctx context.Context, name string) (thing, error) {
	t, err := o.find(ctx, name)
	if err == nil && t.device != nil {
		t.lease, err = o.tenancy(ctx, t.device)
	}
	return t, err
}

// withLease is a device with the lease that holds it, if that can be read.
func (o *observer) withLease(ctx context.Context, t thing) thing {
	if t.device != nil {
		t.lease, _ = o.tenancy(ctx, t.device)
	}
	return t
}

// tenancy reads the lease that holds a device; nil when none does.
func (o *observer) tenancy(ctx context.Context, d *client.Device) (*client.Lease, error) {
	if d.Lease == "" {
		return nil, nil
	}
	l, err := o.look(ctx, d.Lease)
	if errors.Is(err, lease.ErrNotFound) { // it ended, and was forgotten, since
		return nil, nil
	}
	return l, err
}

func (t thing) name() string {
	if t.device != nil {
		return t.device.Name
	}
	return t.lease.ID
}

// MarshalJSON writes the device or the lease as the API does.
func (t thing) MarshalJSON() ([]byte, error) {
	if t.device != nil {
		return json.Marshal(t.device)
	}
	return json.Marshal(t.lease)
}

// String says how it is, such as "rpi4-02 is leased by alice until released or 40s from now, unless kept alive".
func (t thing) String() string {
	if t.device != nil {
		return printable(fmt.Sprintf("%s is %s", t.device.Name, t.deviceNow()))
	}
	return printable(fmt.Sprintf("%s is %s", t.lease.ID, t.leaseNow()))
}

func (t thing) deviceNow() string {
	switch d := t.device; {
	case d.State == lease.DeviceLeased:
		return t.held()
	case d.State == lease.DeviceMaintenance && d.Note != "":
		return "in maintenance: " + d.Note
	case d.State == lease.DeviceMaintenance:
		return "in maintenance"
	}
	return string(t.device.State)
}

// held says who has a leased device, and until when.
func (t thing) held() string {
	by := "leased by " + somebody(t.device.Holder)
	if t.lease == nil || t.lease.State != lease.StateActive {
		return by
	}
	return fmt.Sprintf("%s until released or %s from now, unless kept alive", by, short(t.lease.Remaining))
}

func (t thing) leaseNow() string {
	switch l := t.lease; {
	case l.Ended != nil:
		return fmt.Sprintf("over: %s", l.Ended.Reason.Explain())
	case l.Queue != nil:
		return fmt.Sprintf("pending, %s of %d in line", ordinal(l.Queue.Place), l.Queue.Length)
	case l.State == lease.StateActive:
		return fmt.Sprintf("active, and ends %s from now, unless kept alive", short(l.Remaining))
	}
	return string(t.lease.State)
}
