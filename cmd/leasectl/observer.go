package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// observer looks at devices and leases.
type observer struct {
	*app
	client  *client.Client
	contact *contact
}

func (a *app) observe() (*observer, error) {
	o := &observer{app: a, contact: &contact{app: a}}
	var err error
	o.client, err = a.client(client.Options{
		HTTP: &http.Client{Transport: o.contact}, OnRetry: o.contact.retry, OnRecover: o.contact.recovered,
	})
	return o, err
}

// device reads a device.
func (o *observer) device(ctx context.Context, name string) (*client.Device, error) {
	if lease.ValidateName(name) != nil {
		return nil, noDevice(name)
	}
	d, err := o.client.Device(ctx, name)
	return o.checked(d, err, name)
}

// checked is what the service answered about a device: that there is none is a failure, and so is an answer about another one.
func (o *observer) checked(d *client.Device, err error, name string) (*client.Device, error) {
	switch {
	case isField(err, "name"):
		return nil, noDevice(name)
	case errors.Is(err, lease.ErrNotFound):
		return nil, o.strange(err)
	case err == nil && d.Name != name:
		return nil, o.strange(fmt.Errorf("device %s: the answer is about another", name))
	}
	return d, err
}

func noDevice(name string) error {
	return &failure{exitNever, fmt.Sprintf("there is no device %q; leasectl get devices lists what there is", name)}
}

// isField reports whether the service says of what a field of the request names that it is not there. There may be another service, which
// has no such URL.
func isField(err error, field string) bool {
	var e *lease.Error
	return errors.As(err, &e) && e.Code == lease.CodeNotFound && e.Field == field
}

// lease reads a lease.
func (o *observer) lease(ctx context.Context, id string) (*client.Lease, error) {
	if _, err := lease.ParseID(id); err != nil {
		return nil, &failure{exitUsage, fmt.Sprintf("%q is no id of a lease: %s; leasectl get leases lists them", id, reason(err))}
	}
	l, err := o.client.Get(ctx, id, "")
	if errors.Is(err, lease.ErrNotFound) {
		return nil, &failure{exitLost, fmt.Sprintf("lease %s: %s; leasectl get leases lists those that are active", id, reason(err))}
	}
	return l, err
}

// devices reads devices: those named, or else those chosen.
func (o *observer) devices(ctx context.Context, names []string, f client.DeviceFilter) ([]*client.Device, error) {
	if len(names) > 0 {
		return each(ctx, names, o.device)
	}
	return collect(o, o.client.Devices(ctx, f))
}

// leases reads leases: those with these ids, or else those chosen, each once, also if a keepalive moved it to another page meanwhile.
func (o *observer) leases(ctx context.Context, ids []string, f client.LeaseFilter) ([]*client.Lease, error) {
	if len(ids) > 0 {
		return each(ctx, ids, o.lease)
	}
	all, err := collect(o, o.client.Leases(ctx, f))
	return unique(all, leaseID), err
}

// collect reads a list to its end.
func collect[T any](o *observer, list iter.Seq2[*T, error]) ([]*T, error) {
	var all []*T
	for one, err := range list {
		switch {
		case err != nil:
			return nil, err
		case one == nil:
			return nil, o.strange(errors.New("the list has an empty entry"))
		}
		all = append(all, one)
	}
	return all, nil
}

// each reads what has these names, each once.
func each[T any](ctx context.Context, names []string, read func(context.Context, string) (T, error)) ([]T, error) {
	var all []T
	for _, name := range unique(names, func(name string) string { return name }) {
		one, err := read(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// unique is a list without what is in it again.
func unique[T any](all []T, name func(T) string) []T {
	seen := map[string]bool{}
	var once []T
	for _, one := range all {
		if !seen[name(one)] {
			seen[name(one)] = true
			once = append(once, one)
		}
	}
	return once
}

// unread is the failure of what could not be read.
func (o *observer) unread(err error) error {
	if errors.Is(err, lease.ErrNotFound) {
		return o.strange(err)
	}
	return o.failed(err)
}

// when is the service's clock at the time when a lease was read, to a second. A lease that is not over tells that itself.
func (o *observer) when(l *client.Lease) time.Time {
	switch l.State {
	case lease.StateActive:
		return l.Expire.Add(-l.Remaining)
	case lease.StatePending:
		return l.Create.Add(l.Waited)
	}
	return o.contact.now()
}
