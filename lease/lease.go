package lease

import "time"

// State is where a lease is in its life.
type State string

// The states of a lease. It begins as pending or active; all but these two are final.
const (
	StatePending   State = "pending" // waiting in line, with no device yet
	StateActive    State = "active"
	StateReleased  State = "released"  // returned by its holder, or given up while it waited
	StateExpired   State = "expired"   // not kept alive in time, or held to its deadline
	StateRevoked   State = "revoked"   // taken away: its lock was removed by someone else
	StateAbandoned State = "abandoned" // nobody asked for it in time while it waited
)

// States returns every state of a lease.
func States() []State {
	return []State{StatePending, StateActive, StateReleased, StateExpired, StateRevoked, StateAbandoned}
}

// Reason says why a lease ended.
type Reason string

// The reasons.
const (
	ReasonReleased  Reason = "released"  // its holder returned it
	ReasonExpired   Reason = "expired"   // no keepalive came in time
	ReasonDeadline  Reason = "deadline"  // it was held as long as it may be
	ReasonRevoked   Reason = "revoked"   // its lock was removed by someone else
	ReasonAbandoned Reason = "abandoned" // it waited in line, and nobody asked for it in time

	ReasonStoreLost Reason = "store_lost" // Redis lost its state, and with it the lease, if there was one
)

// Reasons returns every reason.
func Reasons() []Reason {
	return []Reason{ReasonReleased, ReasonExpired, ReasonDeadline, ReasonRevoked, ReasonAbandoned, ReasonStoreLost}
}

// State is the state of a lease that ended for this reason.
func (r Reason) State() State {
	switch r {
	case ReasonDeadline:
		return StateExpired
	case ReasonStoreLost:
		return StateRevoked
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
	case ReasonAbandoned:
		return "it waited in line, and nobody asked for it in time"
	case ReasonStoreLost:
		return "the lease store lost it"
	}
	return string(r)
}

// Lease is the exclusive, time-limited right to devices of one pool. All times are the store's clock.
type Lease struct {
	ID       ID
	State    State
	Demands  []Demand // what was asked for
	Devices  []string // their names, in the order of the demands; none before it was granted
	Holder   string
	Purpose  string
	Link     string
	Priority int
	Fence    int64         // fencing token: of two leases of a pool, the later one has the higher; below 2^53; 0 before the grant
	TTL      time.Duration // how long it lives without keepalive
	Create   time.Time     // when it was asked for
	Grant    time.Time     // when it was granted; zero before
	Expire   time.Time     // when it ends unless kept alive; zero unless it is active
	Deadline time.Time     // the moment past which no keepalive extends it; zero before the grant
	Queue    *Queued       // how it waits; nil unless it is pending
	Ended    *Ended        // nil while it is pending or active
	Now      time.Time     // the store's clock when this was read
}

// Queued tells how a pending lease waits. It is a ticket, which someone has to ask for now and then.
type Queued struct {
	Place     int           // in the line of its pool; 1 for the first
	Length    int           // of that line
	AskWithin time.Duration // how long after each asking the ticket is dropped
	Availability
}

// Waited is how long the lease waited, or has waited, in line.
func (l *Lease) Waited() time.Duration {
	switch {
	case !l.Grant.IsZero():
		return l.Grant.Sub(l.Create)
	case l.Ended != nil:
		return l.Ended.Time.Sub(l.Create)
	}
	return l.Now.Sub(l.Create)
}

// DemandOf is the demand that a device of the lease satisfies, by its index among the devices.
func (l *Lease) DemandOf(device int) Demand {
	for _, d := range l.Demands {
		if device -= d.Count; device < 0 {
			return d
		}
	}
	return Demand{}
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
	Expire     time.Time // when the lease ends unless kept alive again; the last that replicas have, when Replicated is false
	Deadline   time.Time // the moment past which no keepalive extends it
	TTL        time.Duration
	Replicated *bool // whether the replicas that are to confirm it have the extension; nil when none is to
	Now        time.Time
}
