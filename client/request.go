package client

import (
	"math"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// Request is what to ask for: lease.Request as clients write it, where everything may be left out, also the priority, for which 0
// is a value of its own. The zero Request is for any device of the default pool.
type Request struct {
	Pool     string         // "" for lease.DefaultPool
	Demands  []lease.Demand // all of them at once or none; none for one device, whichever
	Priority *int           // 0 to lease.MaxPriority, the highest first in line; nil for lease.DefaultPriority
	TTL      time.Duration  // how long the lease lives without keepalive, in whole seconds; 0 for the pool's
	MaxHold  time.Duration  // how long it lives with them, in whole seconds; 0 for the pool's
	Holder   string         // who
	Purpose  string         // why
	Link     string         // where, such as the URL of a job
}

// Waiting is whether, and how, to stand in line for what is not to be had now. The zero Waiting does not.
type Waiting struct {
	For     time.Duration // for how long; 0 for not at all, Forever for as long as the context allows
	OnQueue func(*Lease)  // is told of the pending lease, first and whenever its place or what holds it up has changed; nil for nobody
}

// Forever is a Waiting.For without end.
const Forever = time.Duration(math.MaxInt64)

// requestBody is a Request in the API's JSON.
type requestBody struct {
	Pool           string         `json:"pool,omitempty"`
	Selector       string         `json:"selector,omitempty"`
	Name           string         `json:"name,omitempty"`
	Devices        []lease.Demand `json:"devices,omitempty"`
	Priority       *int           `json:"priority,omitempty"`
	TTLSeconds     int64          `json:"ttl_seconds,omitempty"`
	MaxHoldSeconds int64          `json:"max_hold_seconds,omitempty"`
	Holder         string         `json:"holder,omitempty"`
	Purpose        string         `json:"purpose,omitempty"`
	Link           string         `json:"link,omitempty"`
}

// body is the request in the API's JSON. The error is lease.CodeInvalid.
func (r Request) body() (*requestBody, error) {
	switch {
	case r.TTL%time.Second != 0:
		return nil, lease.Invalid("ttl_seconds", "a TTL is whole seconds, not %s", r.TTL)
	case r.MaxHold%time.Second != 0:
		return nil, lease.Invalid("max_hold_seconds", "the longest hold is whole seconds, not %s", r.MaxHold)
	}
	b := &requestBody{
		Pool: r.Pool, Devices: r.Demands, Priority: r.Priority, TTLSeconds: seconds(r.TTL), MaxHoldSeconds: seconds(r.MaxHold),
		Holder: r.Holder, Purpose: r.Purpose, Link: r.Link,
	}
	if len(r.Demands) == 1 && r.Demands[0] == (lease.Demand{Selector: r.Demands[0].Selector, Name: r.Demands[0].Name}) { // errors name these as people do
		b.Devices, b.Selector, b.Name = nil, r.Demands[0].Selector, r.Demands[0].Name
	}
	return b, nil
}
