package api

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// leaseBody is a lease as clients see it.
type leaseBody struct {
	ID      string         `json:"id" doc:"No secret" example:"default-6gyyhjnm4ttukjhvlww7zn5zxc"`
	Token   string         `json:"token,omitempty" doc:"The holder's secret, only in the reply to the allocation; send it as Lease-Token"`
	State   lease.State    `json:"state" enum:"active,released,expired,revoked"`
	Pool    string         `json:"pool" example:"default"`
	Devices []leasedDevice `json:"devices" nullable:"false" doc:"What is leased"`
	Holder  string         `json:"holder,omitempty" doc:"Who"`
	Purpose string         `json:"purpose,omitempty" doc:"Why"`
	Link    string         `json:"link,omitempty" doc:"Where, such as the URL of a job"`
	Fence   int64          `json:"fence" doc:"Fencing token: of two leases of a pool, the later has the higher; below 2^53" example:"1795406358103412"`

	TTLSeconds       int64      `json:"ttl_seconds" doc:"How long the lease lives without keepalive"`
	CreateTime       time.Time  `json:"create_time"`
	ExpireTime       *time.Time `json:"expire_time,omitempty" doc:"When the lease ends unless it is kept alive"`
	RemainingSeconds int64      `json:"remaining_seconds" doc:"How long until then, rounded down"`
	DeadlineTime     time.Time  `json:"deadline_time" doc:"The moment past which no keepalive extends the lease"`
	EndedTime        *time.Time `json:"ended_time,omitempty"`

	EndedReason              lease.Reason `json:"ended_reason,omitempty" enum:"released,expired,deadline,revoked" doc:"Why it ended"`
	KeepaliveURL             string       `json:"keepalive_url,omitempty" doc:"POST here, with the token, to keep the lease alive"`
	KeepaliveIntervalSeconds int64        `json:"keepalive_interval_seconds,omitempty" doc:"How often: a third of the TTL, so that two may be lost"`
}

type leasedDevice struct {
	Name       string            `json:"name" example:"rpi4-01"`
	Labels     map[string]string `json:"labels" nullable:"false" doc:"What it is"`
	Attributes map[string]string `json:"attributes" nullable:"false" doc:"What is unique to it"`
	Connection lease.Connection  `json:"connection,omitempty" doc:"How to reach it; for the holder only"`
}

type allocateInput struct {
	Token string        `header:"Lease-Token" doc:"A secret of your own, 22 to 128 random characters; one is made for you if you send none"`
	Body  *leaseRequest `required:"false"`
}

type leaseRequest struct {
	Pool           string `json:"pool,omitempty" maxLength:"64" pattern:"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$" doc:"Default: default"`
	Selector       string `json:"selector,omitempty" maxLength:"1024" example:"model=rpi4,arch!=arm" doc:"A Kubernetes label selector; default: every device"`
	Name           string `json:"name,omitempty" maxLength:"64" pattern:"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$" doc:"This one device"`
	TTLSeconds     int64  `json:"ttl_seconds,omitempty" minimum:"3" doc:"How long the lease lives without keepalive; default: the pool's"`
	MaxHoldSeconds int64  `json:"max_hold_seconds,omitempty" minimum:"3" doc:"How long it lives with keepalives; default, and most: the pool's"`
	Holder         string `json:"holder,omitempty" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]*$" doc:"Who"`
	Purpose        string `json:"purpose,omitempty" maxLength:"256" pattern:"^[^\\x00-\\x1f\\x7f]*$" doc:"Why"`
	Link           string `json:"link,omitempty" maxLength:"2048" pattern:"^https?://[^\\x00-\\x20\\x7f]+$" doc:"Where, such as the URL of a job"`
}

type leaseOutput struct {
	Status       int
	CacheControl string `header:"Cache-Control"`
	Location     string `header:"Location"`
	Body         leaseBody
}

func (a *allocator) allocate(ctx context.Context, in *allocateInput) (*leaseOutput, error) {
	token := lease.NewToken()
	if in.Token != "" {
		var err error
		if token, err = lease.ParseToken(in.Token); err != nil {
			return nil, err
		}
	}
	inv, request := a.inventory(), in.request()
	l, granted, err := a.grant(ctx, inv, token, request)
	if err != nil {
		a.countDenied(inv, request.Pool, err)
		return nil, err
	}
	out := &leaseOutput{Status: http.StatusOK, CacheControl: "no-store", Location: "/v1/leases/" + l.ID.String()}
	if granted {
		out.Status = http.StatusCreated
		a.grants.WithLabelValues(request.Pool).Inc()
	}
	out.Body = a.present(inv, l, true)
	out.Body.Token = string(token)
	return out, nil
}

func (in *allocateInput) request() lease.Request {
	if in.Body == nil {
		return lease.Request{Pool: lease.DefaultPool}
	}
	b := in.Body
	return lease.Request{
		Pool: cmp.Or(b.Pool, lease.DefaultPool), Selector: b.Selector, Name: b.Name,
		TTL: duration(b.TTLSeconds), MaxHold: duration(b.MaxHoldSeconds),
		Holder: b.Holder, Purpose: b.Purpose, Link: b.Link,
	}
}

// duration turns seconds of a client into a duration, the longest there is for more than that.
func duration(seconds int64) time.Duration {
	return time.Duration(min(seconds, int64(math.MaxInt64/time.Second))) * time.Second
}

// grant asks the store. A device that only another replica's newer inventory has is given back: without its connection
// nobody could use it.
func (a *allocator) grant(ctx context.Context, inv *lease.Inventory, t lease.Token, r lease.Request) (*lease.Lease, bool, error) {
	g, err := inv.Resolve(t.ID(r.Pool), r)
	if err != nil {
		return nil, false, err
	}
	l, granted, err := a.store.Allocate(ctx, g)
	if err != nil {
		return nil, false, err
	}
	unknown := func(name string) bool { return inv.Device(name) == nil }
	if granted && slices.ContainsFunc(l.Devices, unknown) {
		if err := a.store.Retract(ctx, l.ID); err != nil {
			return nil, false, err
		}
		return nil, false, &lease.Error{Code: lease.CodeUnavailable, Message: "the inventory is changing; try again"}
	}
	return l, granted, nil
}

func (a *allocator) countDenied(inv *lease.Inventory, pool string, err error) {
	if inv.Pool(pool) == nil {
		pool = "unknown" // clients must not make up label values
	}
	a.denied.WithLabelValues(pool, result(err)).Inc()
}

func (a *allocator) getLease(ctx context.Context, in *leaseIDInput) (*leaseOutput, error) {
	id, err := lease.ParseID(in.ID)
	if err != nil {
		return nil, err
	}
	if in.Token != "" {
		if err := holder(id, in.Token); err != nil {
			return nil, err
		}
	}
	l, err := a.store.Lease(ctx, id)
	if err != nil {
		return nil, err
	}
	return &leaseOutput{Status: http.StatusOK, CacheControl: "no-store", Body: a.present(a.inventory(), l, in.Token != "")}, nil
}

func (a *allocator) release(ctx context.Context, in *leaseIDInput) (*struct{}, error) {
	id, err := heldLease(*in)
	if err != nil {
		return nil, err
	}
	return nil, a.store.Release(ctx, id)
}

type listLeasesInput struct {
	PageInput
	Pool     string `query:"pool" doc:"Only of this pool"`
	State    string `query:"state" enum:"active,released,expired,revoked" default:"active" doc:"Only in this state"`
	Selector string `query:"selector" doc:"Only those that hold a device with such labels"`
}

type listLeasesOutput struct {
	Body struct {
		Leases []leaseBody `json:"leases" nullable:"false"`
		NextPage
	}
}

func (a *allocator) listLeases(ctx context.Context, in *listLeasesInput) (*listLeasesOutput, error) {
	selector, err := lease.ParseSelector(in.Selector)
	if err != nil {
		return nil, err
	}
	inv := a.inventory()
	matches := func(name string) bool {
		d := inv.Device(name)
		return d != nil && selector.Matches(d.Labels)
	}
	out := &listLeasesOutput{}
	out.Body.Leases, out.Body.NextPageToken, err = fillPage(inv, in.Pool, in.PageInput, func(pool, after string, limit int) ([]leaseBody, string, error) {
		found, next, err := a.store.Leases(ctx, pool, lease.State(in.State), after, limit)
		var page []leaseBody
		for _, l := range found {
			if in.Selector == "" || slices.ContainsFunc(l.Devices, matches) {
				page = append(page, a.present(inv, l, false))
			}
		}
		return page, next, err
	})
	return out, err
}

// present shows a lease, with its devices' connections to its holder only.
func (a *allocator) present(inv *lease.Inventory, l *lease.Lease, toHolder bool) leaseBody {
	b := leaseBody{
		ID: l.ID.String(), State: l.State, Pool: l.ID.Pool(), Holder: l.Holder, Purpose: l.Purpose, Link: l.Link, Fence: l.Fence,
		TTLSeconds: seconds(l.TTL), CreateTime: l.Create, DeadlineTime: l.Deadline, RemainingSeconds: seconds(l.Remaining()),
		Devices: make([]leasedDevice, 0, len(l.Devices)),
	}
	active := l.State == lease.StateActive
	for _, name := range l.Devices {
		d := leasedDevice{Name: name, Labels: map[string]string{}, Attributes: map[string]string{}}
		if known := inv.Device(name); known != nil { // it may have left the inventory
			d.Labels, d.Attributes = orEmpty(known.Labels), orEmpty(known.Attributes)
			if toHolder && active {
				d.Connection = known.Connection
			}
		}
		b.Devices = append(b.Devices, d)
	}
	if active {
		b.ExpireTime = &l.Expire
		b.KeepaliveURL = a.keepaliveURL + "/v1/leases/" + b.ID + "/keepalive"
		b.KeepaliveIntervalSeconds = seconds(lease.KeepaliveInterval(l.TTL))
	}
	if l.Ended != nil {
		b.EndedTime, b.EndedReason = &l.Ended.Time, l.Ended.Reason
	}
	return b
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
