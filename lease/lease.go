package lease

import "time"

// State is where a lease is in its life.
type State string

// The states of a lease; all but StateActive are final.
const (
	StateActive   State = "active"
	StateReleased State = "released" // returned by its holder
	StateExpired  State = "expired"  // not kept alive in time, or held to its deadline
	StateRevoked  State = "revoked"  // taken away: its lock was removed by someone else
)

// States returns every state of a lease.
func States() []State {
	return []State{StateActive, StateReleased, StateExpired, StateRevoked}
}

// Reason says why a lease ended.
type Reason string

// The reasons.
const (
	ReasonReleased Reason = "released" // its holder returned it
	ReasonExpired  Reason = "expired"  // no keepalive came in time
	ReasonDeadline Reason = "deadline" // it was held as long as it may be
	ReasonRevoked  Reason = "revoked"  // its lock was removed by someone else
)

// Reasons returns every reason.
func Reasons() []Reason {
	return []Reason{ReasonReleased, ReasonExpired, ReasonDeadline, ReasonRevoked}
}

// State is the state of a lease that ended for this reason.
func (r Reason) State() State {
	if r == ReasonDeadline {
		return StateExpired
	}
	return State(r)
}

// Explain says the reason in words.
func (r Reason) Explain() string {
	switch r {
	case ReasonReleased:
		return "its holder released it"
	case ReasonExpired:
		return "no keepalive came in time"
	case ReasonDeadline:
		return "it was held as long as it may be"
	case ReasonRevoked:
		return "it was taken away"
	}
	return string(r)
}

// Lease is the exclusive, time-limited right to devices of one pool. All times are the store's clock.
type Lease struct {
	ID       ID
	State    State
	Devices  []string // their names
	Holder   string
	Purpose  string
	Link     string
	Fence    int64         // fencing token: of two leases of a pool, the later one has the higher; below 2^53
	TTL      time.Duration // how long it lives without keepalive
	Create   time.Time
	Expire   time.Time // when it ends unless kept alive; zero when it has ended
	Deadline time.Time // the moment past which no keepalive extends it
	Ended    *Ended    // nil while it is active
	Now      time.Time // the store's clock when this was read
}

// Remaining is how long the lease lives without another keepalive: 0 when it has ended.
func (l *Lease) Remaining() time.Duration {
	if l.State != StateActive {
		return 0
	}
	return max(0, l.Expire.Sub(l.Now))
}

// Renewal is the answer to a keepalive. All times are the store's clock.
type Renewal struct {
	Expire   time.Time // when the lease ends unless kept alive again
	Deadline time.Time // the moment past which no keepalive extends it
	TTL      time.Duration
	Now      time.Time
}
