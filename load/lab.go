package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/automation-infra/automation-infra/lease"
)

// lab is what is put under load.
type lab struct {
	allocator string // base URL
	keepalive string // base URL; "" for where each lease says
	pool      string
	selector  string
	about     string // for the report
}

// devices are how many devices of the lab a lease can have, and how many of these are free.
func (d *driver) devices(ctx context.Context) (all, free int, err error) {
	query := url.Values{"pool": {d.lab.pool}, "selector": {d.lab.selector}, "page_size": {"500"}}
	for {
		r := d.call(ctx, request{method: http.MethodGet, url: d.lab.allocator + "/v1/devices?" + query.Encode(), within: answerWithin})
		if r.code != "" {
			return 0, 0, fmt.Errorf("list the devices of %s: %s", d.lab.allocator, cmp.Or(r.detail(), r.code))
		}
		for _, device := range r.body.Devices {
			switch device.State {
			case lease.DeviceFree:
				free, all = free+1, all+1
			case lease.DeviceLeased:
				all++
			}
		}
		if r.body.NextPageToken == "" {
			return all, free, nil
		}
		query.Set("page_token", r.body.NextPageToken)
	}
}

// suffices says whether the lab has what the scenario takes. The error says that it can't be run; note, that it is less than the scenario
// is made for.
func (d *driver) suffices(ctx context.Context) (note string, err error) {
	all, free, err := d.devices(ctx)
	s := d.scenario
	switch {
	case err != nil:
		return "", err
	case free < s.needs():
		return "", usageError{fmt.Errorf("scenario %s takes %d devices at the least; %s has %d free ones of %d that match (pool %s, selector %q)",
			s.name, s.needs(), d.lab.allocator, free, all, d.lab.pool, d.lab.selector)}
	case free < s.devices:
		return fmt.Sprintf("the scenario is made for %d devices; the lab has %d free ones of %d that match", s.devices, free, all), nil
	}
	return "", nil
}
