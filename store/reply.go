package store

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// reply is what a script answered, as report in prelude.lua makes it.
type reply struct {
	script  string
	outcome string
	now     time.Time
	ended   []endedLease
	waited  []time.Duration // of each lease that the script granted
	more    bool            // whether there is more to do of what was due
	rest    []any

	replicated bool // whether as many replicas as are to confirm have what the script wrote
}

// endedLease is a lease that the script ended.
type endedLease struct {
	reason lease.Reason
	held   time.Duration // negative for one that was never granted
}

// replyHead is how many elements of a reply are in front of rest.
const replyHead = 5

func parseReply(script string, raw []any) (reply, error) {
	r := reply{script: script}
	if len(raw) < replyHead {
		return r, r.malformed(raw)
	}
	outcome, ok1 := raw[0].(string)
	now, ok2 := raw[1].(int64)
	ended, ok3 := list(raw[2])
	waited, ok4 := list(raw[3])
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return r, r.malformed(raw)
	}
	r.outcome, r.now, r.more, r.rest = outcome, time.UnixMilli(now).UTC(), raw[4] == int64(1), raw[replyHead:]
	for i := 0; i+1 < len(ended); i += 2 {
		held, err := milliseconds(ended[i+1])
		if err != nil {
			return r, r.malformed(raw)
		}
		r.ended = append(r.ended, endedLease{lease.Reason(text(ended[i])), held})
	}
	for _, v := range waited {
		ms, err := milliseconds(v)
		if err != nil {
			return r, r.malformed(raw)
		}
		r.waited = append(r.waited, ms)
	}
	return r, nil
}

func (r reply) malformed(what any) error {
	return &lease.Error{Code: lease.CodeInternal, Cause: fmt.Errorf("%s: malformed reply %v", r.script, what)}
}

// denies reports whether the script knows of no such lease that is active. Of a master that its replicas do not follow, that is not to
// be believed: another may have taken its place, and granted it.
func (r reply) denies() bool {
	return r.outcome == "not_found" || r.outcome == "ended" || r.outcome == "pending"
}

// noLease is the error of a lease without a record.
func noLease() error {
	return &lease.Error{Code: lease.CodeNotFound, Message: "no such lease; it never was, or ended over an hour ago"}
}

// fault is the error of an outcome that every script on one lease may have.
func (r reply) fault() error {
	switch r.outcome {
	case "not_found":
		return noLease()
	case "pending":
		return &lease.Error{Code: lease.CodeConflict, Message: "the lease waits in line; ask for it with GET, and keep it alive once it is granted"}
	case "ended":
		ms, err := r.integer(1)
		if err != nil {
			return err
		}
		return lease.EndedError(lease.Reason(text(r.rest[0])), time.UnixMilli(ms).UTC())
	}
	return r.malformed(r.outcome)
}

func (r reply) noneFree(matching int) error {
	a, err := r.availability(r.rest, matching)
	if err != nil {
		return err
	}
	return lease.NoneFreeError(a)
}

// paused is the error of an allocation while nothing is granted, since Redis lost its state.
func (r reply) paused(pool string) error {
	left, err := r.integer(0)
	if err != nil {
		return err
	}
	wait := time.Duration(left) * time.Millisecond
	return &lease.Error{Code: lease.CodeUnavailable, RetryAfter: wait, Message: fmt.Sprintf(
		"the lease store came back without its state, and devices of pool %s may still be in use by holders from before: none is leased until %s",
		pool, r.now.Add(wait).Format(time.RFC3339))}
}

// availability reads a shortage, as view.lua gives it.
func (r reply) availability(shortage []any, matching int) (lease.Availability, error) {
	a := lease.Availability{Matching: matching, Now: r.now}
	if len(shortage) != 3 {
		return a, r.malformed(shortage)
	}
	maintenance, err1 := integer(shortage[0])
	free, err2 := integer(shortage[1])
	if err1 != nil || err2 != nil {
		return a, r.malformed(shortage)
	}
	a.Maintenance, a.Free = int(maintenance), int(free)
	a.Leased = max(0, matching-a.Maintenance-a.Free)
	if end, err := integer(shortage[2]); err == nil {
		a.NextEnd = time.UnixMilli(end).UTC()
	}
	return a, nil
}

// quota is the error of a holder that has as much as the pool allows.
func (r reply) quota(g lease.Grant) error {
	leases, err1 := r.integer(0)
	devices, err2 := r.integer(1)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	var allowed []string
	if n := g.Limits.LeasesPerHolder; n > 0 {
		allowed = append(allowed, fmt.Sprintf("%d leases", n))
	}
	if n := g.Limits.DevicesPerHolder; n > 0 {
		allowed = append(allowed, fmt.Sprintf("%d devices", n))
	}
	return &lease.Error{Code: lease.CodeQuota, Message: fmt.Sprintf(
		"a holder may have %s of pool %s, and what it waits for counts; %s has %d leases with %d devices",
		strings.Join(allowed, " and "), g.Request.Pool, g.Request.Holder, leases, devices)}
}

func (r reply) renewal() (lease.Renewal, error) {
	expire, err1 := r.integer(0)
	deadline, err2 := r.integer(1)
	ttl, err3 := r.integer(2)
	if err := errors.Join(err1, err2, err3); err != nil {
		return lease.Renewal{}, err
	}
	return lease.Renewal{
		Expire: time.UnixMilli(expire).UTC(), Deadline: time.UnixMilli(deadline).UTC(),
		TTL: time.Duration(ttl) * time.Millisecond, Now: r.now,
	}, nil
}

// lease reads the view at an index of the rest; lease.CodeNotFound when there is none.
func (r reply) lease(at int, id lease.ID) (*lease.Lease, error) {
	if at >= len(r.rest) || r.rest[at] == nil {
		return nil, noLease()
	}
	view, ok := r.rest[at].([]any)
	if !ok || len(view) != 4 {
		return nil, r.malformed(r.rest[at])
	}
	flat, _ := view[2].([]any)
	h := hash{}
	for i := 0; i+1 < len(flat); i += 2 {
		h[text(flat[i])] = text(flat[i+1])
	}
	l := &lease.Lease{
		ID: id, State: lease.State(h["state"]), Devices: strings.Fields(h["devices"]),
		Holder: h["holder"], Purpose: h["purpose"], Link: h["link"], Priority: int(h.integer("priority")), Fence: h.integer("fence"),
		TTL: h.duration("ttl_ms"), Create: h.time("create_ms"), Grant: h.time("grant_ms"), Deadline: h.time("deadline_ms"), Now: r.now,
	}
	var err error
	if l.Demands, err = parseDemands(h["demands"]); err != nil {
		return nil, r.malformed(h["demands"])
	}
	due, _ := integer(view[0])
	switch gone := lease.Reason(text(view[1])); {
	case gone != "": // nobody has noticed yet
		l.State, l.Ended = gone.State(), &lease.Ended{Reason: gone, Time: r.now}
		if l.State == lease.StateExpired {
			l.Ended.Time = time.UnixMilli(due).UTC()
		}
	case l.State == lease.StatePending:
		l.Queue, err = r.queued(view[3], h)
	case l.State == lease.StateActive:
		l.Expire = time.UnixMilli(due - h.integer("grace_ms")).UTC()
		if !r.replicated {
			err = notReplicated(nil)
		}
	default:
		l.Ended = &lease.Ended{Reason: lease.Reason(h["ended_reason"]), Time: h.time("ended_ms")}
	}
	return l, err
}

// queued reads how a lease waits.
func (r reply) queued(v any, h hash) (*lease.Queued, error) {
	waiting, _ := v.([]any)
	if len(waiting) != 5 {
		return nil, r.malformed(v)
	}
	place, err1 := integer(waiting[0])
	length, err2 := integer(waiting[1])
	a, err3 := r.availability(waiting[2:], int(h.integer("matching")))
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, r.malformed(v)
	}
	return &lease.Queued{Place: int(place), Length: int(length), AskWithin: h.duration("ask_ms"), Availability: a}, nil
}

// device reads the device at an index of the rest.
func (r reply) device(at int) (lease.DeviceStatus, error) {
	if at >= len(r.rest) {
		return lease.DeviceStatus{}, r.malformed(r.rest)
	}
	f, ok := r.rest[at].([]any)
	if !ok || len(f) != 7 {
		return lease.DeviceStatus{}, r.malformed(r.rest[at])
	}
	d := lease.DeviceStatus{
		State: lease.DeviceFree, Maintenance: text(f[0]) == "maintenance", Note: text(f[1]),
		LastLease: text(f[2]), Lease: text(f[4]), Holder: text(f[5]),
	}
	d.Grants, _ = integer(f[3])
	if since, err := integer(f[6]); err == nil {
		d.Since = time.UnixMilli(since).UTC()
	}
	switch {
	case d.Lease != "":
		d.State = lease.DeviceLeased
	case d.Maintenance:
		d.State = lease.DeviceMaintenance
	}
	return d, nil
}

// integer reads an integer at an index of the rest.
func (r reply) integer(at int) (int64, error) {
	if at >= len(r.rest) {
		return 0, r.malformed(r.rest)
	}
	n, err := integer(r.rest[at])
	if err != nil {
		return 0, r.malformed(r.rest)
	}
	return n, nil
}

// hash is a Redis hash.
type hash map[string]string

func (h hash) integer(field string) int64 {
	n, _ := strconv.ParseInt(h[field], 10, 64)
	return n
}

func (h hash) duration(field string) time.Duration {
	return time.Duration(h.integer(field)) * time.Millisecond
}

// time reads a time, zero when there is none.
func (h hash) time(field string) time.Time {
	if h[field] == "" {
		return time.Time{}
	}
	return time.UnixMilli(h.integer(field)).UTC()
}

// text reads a string, or a number as one; "" for nil.
func text(v any) string {
	if n, is := v.(int64); is {
		return strconv.FormatInt(n, 10)
	}
	s, _ := v.(string)
	return s
}

// list reads a list, empty for nil.
func list(v any) (some []any, ok bool) {
	some, ok = v.([]any)
	return some, ok || v == nil
}

// integer reads a number that Redis sent as one or as text.
func integer(v any) (int64, error) {
	if n, ok := v.(int64); ok {
		return n, nil
	}
	return strconv.ParseInt(text(v), 10, 64)
}

// milliseconds reads a duration.
func milliseconds(v any) (time.Duration, error) {
	n, err := integer(v)
	return time.Duration(n) * time.Millisecond, err
}
