package client

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// Lease is a lease as the service told of it at some moment; only [Client.Keepalive] changes it after that. Times are the service's
// clock, to be shown to people: compare them with no clock of this machine.
//
// It is marshalled as the API writes it, but without its token and connections; these are not printed or logged either.
type Lease struct {
	ID       string
	Token    lease.Token // of who holds it, and who else it was given to; "" when it was read without
	State    lease.State
	Pool     string
	Demands  []lease.Demand // what was asked for
	Devices  []LeasedDevice // in the order of the demands; none before the grant
	Holder   string
	Purpose  string
	Link     string
	Priority int
	Fence    int64 // fencing token: of two leases of a pool, the later one has the higher; below 2^53; 0 before the grant

	TTL       time.Duration // how long it lives without keepalive
	Create    time.Time     // when it was asked for
	Grant     time.Time     // when it was granted; zero before
	Waited    time.Duration // how long it waited in line, or has waited so far; whole seconds
	Expire    time.Time     // when it ends unless kept alive; zero unless it is active
	Remaining time.Duration // how long that was to go; whole seconds
	Deadline  time.Time     // the moment past which no keepalive extends it; zero before the grant
	Ended     *lease.Ended  // nil while it is pending or active

	KeepaliveURL      string        // "" unless it is active
	KeepaliveInterval time.Duration // how often to keep it alive: a third of its TTL
	Queue             *Queue        // how it waits; nil unless it is pending

	asked time.Time // when, on the local monotonic clock, the request was sent whose answer told all this; zero for no answer
}

// LeasedDevice is a device of a lease.
type LeasedDevice struct {
	Name       string            `json:"name"`
	As         string            `json:"as,omitempty"` // what the request called it
	Labels     map[string]string `json:"labels"`       // what it is
	Attributes map[string]string `json:"attributes"`   // what is unique to it
	Connection lease.Connection  `json:"-"`            // how to reach it: strings, int64, float64 and bools; nil unless read with the token of an active lease
}

// Queue is how a lease waits in the line of its pool.
type Queue struct {
	Place        int    // 1 for the first
	Length       int    // of the line
	Reason       string // what it waits for, in words
	Availability lease.Availability
}

// String tells which lease it is, in which state, and what devices it has.
func (l Lease) String() string {
	return fmt.Sprintf("lease %s, %s, of %s", l.ID, l.State, cmp.Or(strings.Join(l.names(), ", "), "no device"))
}

// Format writes String, whatever the verb.
func (l Lease) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, l.String()) }

// LogValue is what is logged of a lease.
func (l Lease) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", l.ID), slog.String("state", string(l.State)), slog.Any("devices", l.names()), slog.String("holder", l.Holder))
}

func (l Lease) names() []string {
	names := make([]string, len(l.Devices))
	for i, d := range l.Devices {
		names[i] = d.Name
	}
	return names
}

// UnmarshalJSON reads what the API, MarshalJSON or Reveal wrote. Such a lease can't be held: read it with [Client.Get].
func (l *Lease) UnmarshalJSON(text []byte) error {
	var b leaseBody
	if err := json.Unmarshal(text, &b); err != nil {
		return err
	}
	*l = b.lease()
	return nil
}

// MarshalJSON writes the lease as the API does, but without its token and connections.
func (l Lease) MarshalJSON() ([]byte, error) { return json.Marshal(l.body(false)) }

// Reveal writes the lease as the API does to its holder, with its token and connections, for where secrets are kept.
func (l *Lease) Reveal() ([]byte, error) { return json.Marshal(l.body(true)) }

// renew writes the answer to a keepalive into the lease.
func (l *Lease) renew(r renewalBody, sent time.Time) {
	l.Expire, l.Deadline, l.asked = r.ExpireTime, r.DeadlineTime, sent
	l.Remaining, l.KeepaliveInterval = duration(r.RemainingSeconds), duration(r.KeepaliveIntervalSeconds)
}

// lapse is the moment, on the local monotonic clock, to which the lease lives without another keepalive.
func (l *Lease) lapse() time.Time { return l.asked.Add(l.Remaining) }

// final reports whether no keepalive extends the lease any more.
func (l *Lease) final() bool { return !l.Expire.Before(l.Deadline) }

// whyLapsed is why a lease whose time is over was lost.
func (l *Lease) whyLapsed() error {
	if l.final() {
		return fmt.Errorf("lease %s: %w", l.ID, lease.EndedError(lease.ReasonDeadline, l.Deadline))
	}
	return fmt.Errorf("lease %s: %w", l.ID, ErrLapsed)
}
