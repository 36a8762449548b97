package api

import (
	"cmp"
	"errors"
	"math"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

type allocateInput struct {
	WaitInput
	Token string        `header:"Lease-Token" doc:"A secret of your own, 22 to 128 random characters; one is made for you if you send none"`
	Body  *leaseRequest `required:"false"`
}

type leaseRequest struct {
	Pool           string       `json:"pool,omitempty" maxLength:"64" pattern:"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$" doc:"Default: default"`
	Selector       string       `json:"selector,omitempty" maxLength:"1024" example:"model=rpi4,arch!=arm" doc:"A Kubernetes label selector; default: every device"`
	Name           string       `json:"name,omitempty" maxLength:"64" pattern:"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$" doc:"This one device"`
	Devices        []demandBody `json:"devices,omitempty" nullable:"false" minItems:"1" maxItems:"32" doc:"Several devices, all at once or none; instead of selector and name"`
	Priority       *int         `json:"priority,omitempty" minimum:"0" maximum:"9" doc:"The highest is first in line, and waiting counts too; default: 5"`
	TTLSeconds     int64        `json:"ttl_seconds,omitempty" minimum:"3" doc:"How long the lease lives without keepalive; default: the pool's"`
	MaxHoldSeconds int64        `json:"max_hold_seconds,omitempty" minimum:"3" doc:"How long it lives with keepalives; default, and most: the pool's"`
	Holder         string       `json:"holder,omitempty" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]*$" doc:"Who"`
	Purpose        string       `json:"purpose,omitempty" maxLength:"256" pattern:"^[^\\x00-\\x1f\\x7f]*$" doc:"Why"`
	Link           string       `json:"link,omitempty" maxLength:"2048" pattern:"^https?://[^\\x00-\\x20\\x7f]+$" doc:"Where, such as the URL of a job"`
}

// demandBody is one part of what a lease is to have, in requests and in replies.
type demandBody struct {
	Selector string `json:"selector,omitempty" maxLength:"1024" example:"model=rpi4" doc:"A Kubernetes label selector; default: every device"`
	Name     string `json:"name,omitempty" maxLength:"64" pattern:"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$" doc:"This one device"`
	Count    int    `json:"count,omitempty" minimum:"1" maximum:"32" doc:"How many; default: 1"`
	As       string `json:"as,omitempty" pattern:"^[a-z]([a-z0-9_]{0,30}[a-z0-9])?$" example:"client" doc:"Your name for these devices, which they have in the reply"`
}

// token reads the client's token, or makes one.
func (in *allocateInput) token() (lease.Token, error) {
	if in.Token == "" {
		return lease.NewToken(), nil
	}
	return lease.ParseToken(in.Token)
}

// request is what the client asks for. The error is lease.CodeInvalid.
func (in *allocateInput) request() (lease.Request, error) {
	b := in.Body
	if b == nil {
		b = &leaseRequest{}
	}
	if b.Devices != nil && (b.Selector != "" || b.Name != "") {
		return lease.Request{}, lease.Invalid("devices", "use devices for several devices, or selector and name for one, not both; each of devices has a selector and a name of its own")
	}
	r := lease.Request{
		Pool: cmp.Or(b.Pool, lease.DefaultPool), Demands: b.demands(), Priority: lease.DefaultPriority,
		TTL: duration(b.TTLSeconds), MaxHold: duration(b.MaxHoldSeconds),
		Holder: b.Holder, Purpose: b.Purpose, Link: b.Link,
	}
	if b.Priority != nil {
		r.Priority = *b.Priority
	}
	return r, nil
}

func (b *leaseRequest) demands() []lease.Demand {
	if b.Devices == nil {
		return []lease.Demand{{Selector: b.Selector, Name: b.Name}}
	}
	demands := make([]lease.Demand, len(b.Devices))
	for i, d := range b.Devices {
		demands[i] = lease.Demand(d)
	}
	return demands
}

// naming names the field of an error about the only demand as the client wrote it.
func (in *allocateInput) naming(err error) error {
	var e *lease.Error
	if in.Body == nil || len(in.Body.Devices) != 1 || !errors.As(err, &e) {
		return err
	}
	switch e.Field {
	case "selector", "name", "count":
		named := *e
		named.Field = "devices[0]." + e.Field
		return &named
	}
	return err
}

// duration turns seconds of a client into a duration, the longest there is for more than that.
func duration(seconds int64) time.Duration {
	return time.Duration(min(seconds, int64(math.MaxInt64/time.Second))) * time.Second
}
