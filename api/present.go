package api

import (
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// leaseBody is a lease as clients see it.
type leaseBody struct {
	ID       string         `json:"id" doc:"No secret" example:"default-6gyyhjnm4ttukjhvlww7zn5zxc"`
	Token    string         `json:"token,omitempty" doc:"The holder's secret, only in the reply to the allocation; send it as Lease-Token"`
	State    lease.State    `json:"state" enum:"pending,active,released,expired,revoked,abandoned" doc:"pending while it waits in line"`
	Pool     string         `json:"pool" example:"default"`
	Demands  []demandBody   `json:"demands" nullable:"false" doc:"What was asked for"`
	Devices  []leasedDevice `json:"devices" nullable:"false" doc:"What is leased, in the order of the demands; nothing before the grant"`
	Holder   string         `json:"holder,omitempty" doc:"Who"`
	Purpose  string         `json:"purpose,omitempty" doc:"Why"`
	Link     string         `json:"link,omitempty" doc:"Where, such as the URL of a job"`
	Priority int            `json:"priority" doc:"0 to 9, the highest first in line"`
	Fence    int64          `json:"fence,omitempty" doc:"Fencing token: of two leases of a pool, the later has the higher; below 2^53; absent before the grant" example:"1795406358103412"`

	TTLSeconds       int64      `json:"ttl_seconds" doc:"How long the lease lives without keepalive"`
	CreateTime       time.Time  `json:"create_time" doc:"When it was asked for"`
	GrantTime        *time.Time `json:"grant_time,omitempty" doc:"When it was granted"`
	WaitedSeconds    int64      `json:"waited_seconds" doc:"How long it waited in line, or has waited so far"`
	ExpireTime       *time.Time `json:"expire_time,omitempty" doc:"When the lease ends unless it is kept alive"`
	RemainingSeconds int64      `json:"remaining_seconds" doc:"How long until then, rounded down"`
	DeadlineTime     *time.Time `json:"deadline_time,omitempty" doc:"The moment past which no keepalive extends the lease; absent before the grant"`
	EndedTime        *time.Time `json:"ended_time,omitempty"`

	EndedReason              lease.Reason `json:"ended_reason,omitempty" enum:"released,expired,deadline,revoked,abandoned,store_lost" doc:"Why it ended"`
	KeepaliveURL             string       `json:"keepalive_url,omitempty" doc:"POST here, with the token, to keep the lease alive"`
	KeepaliveIntervalSeconds int64        `json:"keepalive_interval_seconds,omitempty" doc:"How often: a third of the TTL, so that two may be lost"`

	Queue             *queueBody `json:"queue,omitempty" doc:"While it is pending: how it waits"`
	RetryAfterSeconds int64      `json:"retry_after_seconds,omitempty" doc:"With status 202: when to ask again, as in the Retry-After header; who asks much later loses the place in line"`
}

type leasedDevice struct {
	Name       string            `json:"name" example:"rpi4-01"`
	As         string            `json:"as,omitempty" doc:"Your name for it, of the demand that it satisfies"`
	Labels     map[string]string `json:"labels" nullable:"false" doc:"What it is"`
	Attributes map[string]string `json:"attributes" nullable:"false" doc:"What is unique to it"`
	Connection lease.Connection  `json:"connection,omitempty" doc:"How to reach it; for the holder only"`
}

// queueBody is how a pending lease waits.
type queueBody struct {
	Place  int    `json:"place" doc:"In the line of the pool; 1 for the first"`
	Length int    `json:"length" doc:"Of that line"`
	Reason string `json:"reason" doc:"What it waits for, in words" example:"2 matching devices leased; next may end in 14 s"`
	Availability
}

// present shows a lease, with its devices' connections to its holder only.
func (a *allocator) present(inv *lease.Inventory, l *lease.Lease, toHolder bool) leaseBody {
	b := leaseBody{
		ID: l.ID.String(), State: l.State, Pool: l.ID.Pool(), Holder: l.Holder, Purpose: l.Purpose, Link: l.Link,
		Priority: l.Priority, Fence: l.Fence, TTLSeconds: seconds(l.TTL), CreateTime: l.Create, GrantTime: given(l.Grant),
		WaitedSeconds: seconds(l.Waited()), RemainingSeconds: seconds(l.Remaining()), DeadlineTime: given(l.Deadline),
		Demands: make([]demandBody, len(l.Demands)),
		Devices: make([]leasedDevice, len(l.Devices)),
	}
	for i, d := range l.Demands {
		b.Demands[i] = demandBody(d)
	}
	active := l.State == lease.StateActive
	for i := range l.Devices {
		b.Devices[i] = presentLeased(inv, l, i, toHolder && active)
	}
	if active {
		b.ExpireTime = &l.Expire
		b.KeepaliveURL = a.keepaliveURL + "/v1/leases/" + b.ID + "/keepalive"
		b.KeepaliveIntervalSeconds = seconds(lease.KeepaliveInterval(l.TTL))
	}
	if q := l.Queue; q != nil {
		b.Queue = &queueBody{Place: q.Place, Length: q.Length, Reason: q.String(), Availability: presentAvailability(q.Availability)}
	}
	if l.Ended != nil {
		b.EndedTime, b.EndedReason = &l.Ended.Time, l.Ended.Reason
	}
	return b
}

// presentLeased shows a device of a lease, by its index. One that has left the inventory has a name only.
func presentLeased(inv *lease.Inventory, l *lease.Lease, i int, connection bool) leasedDevice {
	d := leasedDevice{Name: l.Devices[i], As: l.DemandOf(i).As, Labels: map[string]string{}, Attributes: map[string]string{}}
	known := inv.Device(d.Name)
	if known == nil {
		return d
	}
	d.Labels, d.Attributes = orEmpty(known.Labels), orEmpty(known.Attributes)
	if connection {
		d.Connection = known.Connection
	}
	return d
}

// given is a time, nil when there is none.
func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
