package client

import (
	"math"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// leaseBody is a lease in the API's JSON.
type leaseBody struct {
	ID       string         `json:"id"`
	Token    string         `json:"token,omitempty"`
	State    lease.State    `json:"state"`
	Pool     string         `json:"pool"`
	Demands  []lease.Demand `json:"demands"`
	Devices  []deviceInBody `json:"devices"`
	Holder   string         `json:"holder,omitempty"`
	Purpose  string         `json:"purpose,omitempty"`
	Link     string         `json:"link,omitempty"`
	Priority int            `json:"priority"`
	Fence    int64          `json:"fence,omitempty"`

	TTLSeconds       int64     `json:"ttl_seconds"`
	CreateTime       time.Time `json:"create_time"`
	GrantTime        time.Time `json:"grant_time,omitzero"`
	WaitedSeconds    int64     `json:"waited_seconds"`
	ExpireTime       time.Time `json:"expire_time,omitzero"`
	RemainingSeconds int64     `json:"remaining_seconds"`
	DeadlineTime     time.Time `json:"deadline_time,omitzero"`
	endedBody

	KeepaliveURL             string     `json:"keepalive_url,omitempty"`
	KeepaliveIntervalSeconds int64      `json:"keepalive_interval_seconds,omitempty"`
	Queue                    *queueBody `json:"queue,omitempty"`
}

type deviceInBody struct {
	LeasedDevice
	Connection lease.Connection `json:"connection,omitempty"`
}

type endedBody struct {
	EndedTime   time.Time    `json:"ended_time,omitzero"`
	EndedReason lease.Reason `json:"ended_reason,omitempty"`
}

type queueBody struct {
	Place  int    `json:"place"`
	Length int    `json:"length"`
	Reason string `json:"reason"`
	availabilityBody
}

type availabilityBody struct {
	MatchingDevices    int       `json:"matching_devices"`
	LeasedDevices      int       `json:"leased_devices"`
	MaintenanceDevices int       `json:"maintenance_devices"`
	FreeDevices        int       `json:"free_devices"`
	NextEndTime        time.Time `json:"next_end_time,omitzero"`
	NextEndSeconds     *int64    `json:"next_end_seconds,omitempty"`
}

type renewalBody struct {
	ExpireTime               time.Time `json:"expire_time"`
	RemainingSeconds         int64     `json:"remaining_seconds"`
	DeadlineTime             time.Time `json:"deadline_time"`
	KeepaliveIntervalSeconds int64     `json:"keepalive_interval_seconds"`
}

func (b *leaseBody) lease() Lease {
	l := Lease{
		ID: b.ID, Token: lease.Token(b.Token), State: b.State, Pool: b.Pool, Demands: b.Demands, Holder: b.Holder, Purpose: b.Purpose, Link: b.Link,
		Priority: b.Priority, Fence: b.Fence, TTL: duration(b.TTLSeconds), Create: b.CreateTime, Grant: b.GrantTime, Waited: duration(b.WaitedSeconds),
		Expire: b.ExpireTime, Remaining: duration(b.RemainingSeconds), Deadline: b.DeadlineTime, Ended: b.ended(), KeepaliveURL: b.KeepaliveURL,
		KeepaliveInterval: duration(b.KeepaliveIntervalSeconds), Devices: make([]LeasedDevice, len(b.Devices)),
	}
	for i, d := range b.Devices {
		l.Devices[i] = d.LeasedDevice
		l.Devices[i].Connection = integers(d.Connection)
	}
	if q := b.Queue; q != nil {
		l.Queue = &Queue{Place: q.Place, Length: q.Length, Reason: q.Reason, Availability: q.availability()}
	}
	return l
}

func (l *Lease) body(reveal bool) *leaseBody {
	b := &leaseBody{
		ID: l.ID, State: l.State, Pool: l.Pool, Demands: l.Demands, Holder: l.Holder, Purpose: l.Purpose, Link: l.Link,
		Priority: l.Priority, Fence: l.Fence, TTLSeconds: seconds(l.TTL), CreateTime: l.Create, GrantTime: l.Grant, WaitedSeconds: seconds(l.Waited),
		ExpireTime: l.Expire, RemainingSeconds: seconds(l.Remaining), DeadlineTime: l.Deadline, KeepaliveURL: l.KeepaliveURL,
		KeepaliveIntervalSeconds: seconds(l.KeepaliveInterval), Devices: make([]deviceInBody, len(l.Devices)),
	}
	for i, d := range l.Devices {
		b.Devices[i].LeasedDevice = d
		if reveal {
			b.Devices[i].Connection = d.Connection
		}
	}
	if reveal {
		b.Token = string(l.Token)
	}
	if l.Ended != nil {
		b.endedBody = endedBody{l.Ended.Time, l.Ended.Reason}
	}
	if q := l.Queue; q != nil {
		b.Queue = &queueBody{q.Place, q.Length, q.Reason, availabilityOf(q.Availability)}
	}
	return b
}

func (b endedBody) ended() *lease.Ended {
	if b.EndedReason == "" {
		return nil
	}
	return &lease.Ended{Reason: b.EndedReason, Time: b.EndedTime}
}

func (b availabilityBody) availability() lease.Availability {
	a := lease.Availability{
		Matching: b.MatchingDevices, Leased: b.LeasedDevices, Maintenance: b.MaintenanceDevices, Free: b.FreeDevices, NextEnd: b.NextEndTime,
	}
	if b.NextEndSeconds != nil {
		a.Now = a.NextEnd.Add(-duration(*b.NextEndSeconds))
	}
	return a
}

func availabilityOf(a lease.Availability) availabilityBody {
	b := availabilityBody{
		MatchingDevices: a.Matching, LeasedDevices: a.Leased, MaintenanceDevices: a.Maintenance, FreeDevices: a.Free, NextEndTime: a.NextEnd,
	}
	if !a.NextEnd.IsZero() {
		left := seconds(a.NextEnd.Sub(a.Now))
		b.NextEndSeconds = &left
	}
	return b
}

// integers turns the numbers of a connection that are whole, which JSON does not tell apart, into what they are at the service.
func integers(c lease.Connection) lease.Connection {
	const exact = 1 << 53
	for k, v := range c {
		if f, is := v.(float64); is && f == math.Trunc(f) && math.Abs(f) <= exact {
			c[k] = int64(f)
		}
	}
	return c
}

// duration turns seconds of a service into a duration, the longest there is for more than that.
func duration(seconds int64) time.Duration {
	return time.Duration(min(seconds, int64(math.MaxInt64/time.Second))) * time.Second
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
