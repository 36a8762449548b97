package api

import (
	"context"
	"sort"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// deviceBody is a device as clients see it.
type deviceBody struct {
	Name        string            `json:"name" example:"rpi4-01"`
	Pool        string            `json:"pool" example:"default"`
	Labels      map[string]string `json:"labels" nullable:"false" doc:"What it is; selectable"`
	Attributes  map[string]string `json:"attributes" nullable:"false" doc:"What is unique to it"`
	State       lease.DeviceState `json:"state" enum:"free,leased,maintenance" doc:"What can be done with it now"`
	SinceTime   *time.Time        `json:"since_time,omitempty" doc:"When it came into this state"`
	Maintenance bool              `json:"maintenance" doc:"Taken out of service; a leased device is until its lease ends"`
	Note        string            `json:"note,omitempty" doc:"What the lab says of it"`
	LeaseID     string            `json:"lease_id,omitempty" doc:"The lease that holds it"`
	Holder      string            `json:"holder,omitempty" doc:"Of that lease"`
	LastLeaseID string            `json:"last_lease_id,omitempty" doc:"The latest lease that held it"`
	Grants      int64             `json:"grants" doc:"How many leases have held it"`
}

type deviceOutput struct{ Body deviceBody }

type listDevicesInput struct {
	PageInput
	Pool     string `query:"pool" doc:"Only of this pool"`
	State    string `query:"state" enum:"free,leased,maintenance" doc:"Only in this state"`
	Selector string `query:"selector" doc:"Only with such labels"`
}

type listDevicesOutput struct {
	Body struct {
		Devices []deviceBody `json:"devices" nullable:"false"`
		NextPage
	}
}

func (a *allocator) listDevices(ctx context.Context, in *listDevicesInput) (*listDevicesOutput, error) {
	selector, err := lease.ParseSelector(in.Selector)
	if err != nil {
		return nil, err
	}
	inv := a.inventory()
	out := &listDevicesOutput{}
	out.Body.Devices, out.Body.NextPageToken, err = fillPage(inv, in.Pool, in.PageInput, func(pool, after string, limit int) ([]deviceBody, string, error) {
		names, next := namesAfter(inv.Pool(pool), selector, after, limit)
		states, err := a.store.Devices(ctx, pool, names)
		var page []deviceBody
		for i, s := range states {
			if in.State == "" || s.State == lease.DeviceState(in.State) {
				page = append(page, presentDevice(inv.Device(names[i]), s))
			}
		}
		return page, next, err
	})
	return out, err
}

// namesAfter returns up to limit devices of a pool that a selector chooses, by name and after one, and the last of them,
// "" when there are no more.
func namesAfter(p *lease.Pool, selector lease.Selector, after string, limit int) (names []string, next string) {
	first := sort.Search(len(p.Devices), func(i int) bool { return p.Devices[i].Name > after })
	for _, d := range p.Devices[first:] {
		if !selector.Matches(d.Labels) {
			continue
		}
		if len(names) == limit {
			return names, names[limit-1]
		}
		names = append(names, d.Name)
	}
	return names, ""
}

// DeviceInput names a device. It is exported for huma, as PageInput.
type DeviceInput struct {
	Name string `path:"name" doc:"The device's name" example:"rpi4-01"`
}

// device finds the device of a request in the inventory.
func (a *allocator) device(name string) (*lease.Device, error) {
	if d := a.inventory().Device(name); d != nil {
		return d, nil
	}
	return nil, &lease.Error{Code: lease.CodeNotFound, Field: "name", Message: "the inventory has no such device; GET /v1/devices lists all"}
}

func (a *allocator) getDevice(ctx context.Context, in *DeviceInput) (*deviceOutput, error) {
	d, err := a.device(in.Name)
	if err != nil {
		return nil, err
	}
	states, err := a.store.Devices(ctx, d.Pool, []string{d.Name})
	if err != nil {
		return nil, err
	}
	return &deviceOutput{presentDevice(d, states[0])}, nil
}

type patchDeviceInput struct {
	DeviceInput
	Body struct {
		Maintenance *bool   `json:"maintenance,omitempty" doc:"Take it out of service, or put it back"`
		Note        *string `json:"note,omitempty" maxLength:"512" pattern:"^[^\\x00-\\x1f\\x7f]*$" doc:"What to know of it; empty to remove the note"`
	}
}

func (a *allocator) patchDevice(ctx context.Context, in *patchDeviceInput) (*deviceOutput, error) {
	d, err := a.device(in.Name)
	if err != nil {
		return nil, err
	}
	if in.Body.Maintenance == nil && in.Body.Note == nil {
		return nil, lease.Invalid("body", "nothing to change: send maintenance, note or both")
	}
	s, err := a.store.SetDevice(ctx, d.Pool, d.Name, lease.DeviceChange{Maintenance: in.Body.Maintenance, Note: in.Body.Note})
	if err != nil {
		return nil, err
	}
	return &deviceOutput{presentDevice(d, s)}, nil
}

func presentDevice(d *lease.Device, s lease.DeviceStatus) deviceBody {
	b := deviceBody{
		Name: d.Name, Pool: d.Pool, Labels: orEmpty(d.Labels), Attributes: orEmpty(d.Attributes), State: s.State,
		Maintenance: s.Maintenance, Note: s.Note, LeaseID: s.Lease, Holder: s.Holder, LastLeaseID: s.LastLease, Grants: s.Grants,
	}
	if !s.Since.IsZero() {
		b.SinceTime = &s.Since
	}
	return b
}
