package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// explanation tells which devices match a request, by the same rules as the service.
type explanation struct {
	*app
	request client.Request
	devices []lease.Device           // of the pool
	states  map[string]client.Device // by name
	ending  map[string]time.Duration // how long until the leases end unless kept alive, by id
}

// explain tells what there is of what the flags ask for. It is an error if that is not to be had, now or ever.
func (a *app) explain(ctx context.Context, flags requestFlags) error {
	request, err := flags.request()
	if err != nil {
		return err
	}
	c, err := a.client(client.Options{})
	if err != nil {
		return err
	}
	e := &explanation{app: a, request: request, states: map[string]client.Device{}, ending: map[string]time.Duration{}}
	if err := e.read(ctx, c); err != nil {
		return a.failed(err)
	}
	for i := range request.Demands {
		if err := e.demand(i); err != nil {
			return a.failed(err)
		}
	}
	return e.verdict()
}

// read reads what there is in the pool, and until when it is leased.
func (e *explanation) read(ctx context.Context, c *client.Client) error {
	for d, err := range c.Devices(ctx, client.DeviceFilter{Pool: e.request.Pool}) {
		if err != nil {
			return err
		}
		e.devices = append(e.devices, lease.Device{Name: d.Name, Labels: d.Labels})
		e.states[d.Name] = *d
	}
	for l, err := range c.Leases(ctx, client.LeaseFilter{Pool: e.request.Pool}) {
		if err != nil {
			return err
		}
		e.ending[l.ID] = l.Remaining
	}
	return nil
}

// demand tells of each part of one of the demands how many devices it chooses, and how the devices are that all parts choose.
func (e *explanation) demand(i int) error {
	d := e.request.Demands[i]
	selector, err := lease.ParseSelector(d.Selector)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("%d of %d devices of pool %s", cmp.Or(d.Count, 1), len(e.devices), e.request.Pool)
	if d.As != "" {
		title = d.As + ": " + title
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	if d.Name != "" {
		e.row(w, "name "+d.Name, lease.Demand{Name: d.Name})
	}
	parts := selector.Parts()
	for _, part := range parts {
		e.row(w, part.String(), lease.Demand{Selector: part.String()})
	}
	if len(parts) > 1 || d.Name != "" && len(parts) > 0 {
		e.row(w, "all of that", lease.Demand{Selector: d.Selector, Name: d.Name})
	}
	for _, device := range e.devices {
		if (d.Name == "" || d.Name == device.Name) && selector.Matches(device.Labels) {
			_, _ = fmt.Fprintf(w, "    %s\t%s\n", device.Name, e.state(e.states[device.Name])) // of a Builder
		}
	}
	_ = w.Flush() // as above
	return e.print(title + "\n" + table.String())
}

// row tells how many devices there are of what a part of a demand chooses, or else what there would be.
func (e *explanation) row(w *tabwriter.Writer, part string, demand lease.Demand) {
	grant, err := e.among(func(lease.Device) bool { return true }, demand)
	text := fmt.Sprintf("matches %d", grant.Matching)
	if err != nil {
		text = "matches nothing: " + reason(err)
	}
	_, _ = fmt.Fprintf(w, "  %s\t%s\n", part, text) // of a Builder
}

// among resolves demands as the service would if there were only some of the devices.
func (e *explanation) among(some func(lease.Device) bool, demands ...lease.Demand) (lease.Grant, error) {
	pool := lease.Pool{Name: e.request.Pool, TTL: lease.MinTTL, MaxHold: lease.MinTTL}
	for _, d := range e.devices {
		if some(d) {
			pool.Devices = append(pool.Devices, d)
		}
	}
	id := lease.NewToken().ID(pool.Name)
	return lease.NewInventory([]lease.Pool{pool}).Resolve(id, lease.Request{Pool: pool.Name, Demands: slices.Clone(demands)})
}

// state is "free", "leased by alice, 40 s left" or "maintenance: fan broken".
func (e *explanation) state(d client.Device) string {
	text := string(d.State)
	if left, known := e.ending[d.Lease]; known {
		text += fmt.Sprintf(" by %s, %.0f s left", cmp.Or(d.Holder, d.Lease), left.Seconds())
	}
	if d.Note != "" {
		text += ": " + d.Note
	}
	return text
}

// verdict is nil when there are free devices for all demands at once.
func (e *explanation) verdict() error {
	if _, err := e.among(func(lease.Device) bool { return true }, e.request.Demands...); err != nil {
		return e.failed(err)
	}
	_, err := e.among(func(d lease.Device) bool { return e.states[d.Name].State == lease.DeviceFree }, e.request.Demands...)
	switch {
	case errors.Is(err, lease.ErrNoMatch):
		return &failure{exitNoDevice, "there is none free of what is missing; without --explain, this waits in line"}
	case err != nil:
		return e.failed(err)
	}
	return e.print("free now, unless it is kept for those in line\n")
}
