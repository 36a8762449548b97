package client

import (
	"context"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// Device is a device of the lab as everyone may see it.
type Device struct {
	Name        string            `json:"name"`
	Pool        string            `json:"pool"`
	Labels      map[string]string `json:"labels"`              // what it is; selectable
	Attributes  map[string]string `json:"attributes"`          // what is unique to it
	State       lease.DeviceState `json:"state"`               // what can be done with it now
	Since       time.Time         `json:"since_time,omitzero"` // when it came into this state
	Maintenance bool              `json:"maintenance"`         // taken out of service; a leased device is when its lease ends
	Note        string            `json:"note,omitempty"`      // what the lab says of it
	Lease       string            `json:"lease_id,omitempty"`  // id of the lease that holds it
	Holder      string            `json:"holder,omitempty"`    // of that lease
	LastLease   string            `json:"last_lease_id,omitempty"`
	Grants      int64             `json:"grants"` // how many leases have held it
}

// LeaseFilter chooses leases.
type LeaseFilter struct {
	Pool     string      // "" for all
	State    lease.State // "" for lease.StateActive
	Selector string      // those that hold a device with such labels, hence no pending ones; "" for all
}

// DeviceFilter chooses devices.
type DeviceFilter struct {
	Pool     string            // "" for all
	State    lease.DeviceState // "" for any
	Selector string            // "" for all
}

// Leases lists leases without connections: active ones by when they end, pending ones in line order, and those of the last hour
// that ended by when they did. It asks for a page at a time, while the list goes on changing. An error is the last of the list.
func (c *Client) Leases(ctx context.Context, f LeaseFilter) iter.Seq2[*Lease, error] {
	return list[Lease](ctx, c, "list leases", "/v1/leases", query("pool", f.Pool, "state", string(f.State), "selector", f.Selector))
}

// Queue lists the pending leases of a pool, the first in line first, as Leases does.
func (c *Client) Queue(ctx context.Context, pool string) iter.Seq2[*Lease, error] {
	return list[Lease](ctx, c, "list the queue of "+pool, "/v1/queues/"+url.PathEscape(pool), query())
}

// Devices lists devices by pool and name, as Leases does.
func (c *Client) Devices(ctx context.Context, f DeviceFilter) iter.Seq2[*Device, error] {
	return list[Device](ctx, c, "list devices", "/v1/devices", query("pool", f.Pool, "state", string(f.State), "selector", f.Selector))
}

// Device reads a device.
func (c *Client) Device(ctx context.Context, name string) (*Device, error) {
	return c.device(ctx, call{what: "read device " + name, method: http.MethodGet, url: c.deviceURL(name)})
}

// SetDevice takes a device out of service or puts it back, notes something about it, or both, and returns it as it is then. A
// leased device that is taken out of service stays leased until its lease ends.
func (c *Client) SetDevice(ctx context.Context, name string, change lease.DeviceChange) (*Device, error) {
	body := struct {
		Maintenance *bool   `json:"maintenance,omitempty"`
		Note        *string `json:"note,omitempty"`
	}(change)
	return c.device(ctx, call{what: "set device " + name, method: http.MethodPatch, url: c.deviceURL(name), body: body})
}

func (c *Client) device(ctx context.Context, to call) (*Device, error) {
	d := &Device{}
	to.into = d
	if _, err := c.do(ctx, to); err != nil {
		return nil, err
	}
	return d, nil
}

func (c *Client) deviceURL(name string) string { return c.base + "/v1/devices/" + url.PathEscape(name) }

// page is a page of any list.
type page[T any] struct {
	Leases  []*T   `json:"leases"`
	Queue   []*T   `json:"queue"`
	Devices []*T   `json:"devices"`
	Next    string `json:"next_page_token"`
}

// list goes through the pages of a list.
func list[T any](ctx context.Context, c *Client, what, path string, q url.Values) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for q := maps.Clone(q); ; {
			var p page[T]
			if _, err := c.do(ctx, call{what: what, method: http.MethodGet, url: c.base + path + "?" + q.Encode(), into: &p}); err != nil {
				yield(nil, err)
				return
			}
			for _, one := range slices.Concat(p.Leases, p.Queue, p.Devices) {
				if !yield(one, nil) {
					return
				}
			}
			if p.Next == "" {
				return
			}
			q.Set("page_token", p.Next)
		}
	}
}

// query makes a query of names and values, without those that are empty.
func query(pairs ...string) url.Values {
	q := url.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			q.Set(pair[0], pair[1])
		}
	}
	return q
}
