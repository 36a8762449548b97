package lease

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Code says what kind of error happened. It is the stable part of an error: clients decide by it, on both sides of the
// wire.
type Code string

// The codes. Each has exactly one HTTP status of its own; see the table in docs/architecture.md.
const (
	CodeInvalid       Code = "invalid"           // the request breaks a rule; the message says which and what is allowed
	CodeForbidden     Code = "forbidden"         // the token is missing, or is not this lease's
	CodeNotFound      Code = "not_found"         // nothing has this name or id
	CodeNoMatch       Code = "no_match"          // no device of the inventory can ever satisfy the request
	CodeNoneFree      Code = "none_free"         // devices match, but they are not to be had now
	CodeQuota         Code = "quota_exceeded"    // the pool allows a lease or a holder no more than this
	CodeConflict      Code = "conflict"          // the lease is in a state in which this can't be done
	CodeEnded         Code = "lease_ended"       // the lease is over; EndedReason says why
	CodeUnavailable   Code = "store_unavailable" // Redis did not answer, or refused; nothing is known, try again
	CodeNotReplicated Code = "not_replicated"    // too few replicas of Redis have the lease, so it is not given out; try again
	CodeOverloaded    Code = "overloaded"        // the service has as much to do as it may; nothing was done, try again
	CodeInternal      Code = "internal"          // a defect of ours; the cause is in the log only
)

// Codes returns every code.
func Codes() []Code {
	return slices.Clone([]Code{
		CodeInvalid, CodeForbidden, CodeNotFound, CodeNoMatch, CodeNoneFree, CodeQuota, CodeConflict, CodeEnded, CodeUnavailable,
		CodeNotReplicated, CodeOverloaded, CodeInternal,
	})
}

// Errors to compare with by errors.Is, which looks at the code alone.
var (
	ErrInvalid       = &Error{Code: CodeInvalid}
	ErrForbidden     = &Error{Code: CodeForbidden}
	ErrNotFound      = &Error{Code: CodeNotFound}
	ErrNoMatch       = &Error{Code: CodeNoMatch}
	ErrNoneFree      = &Error{Code: CodeNoneFree}
	ErrQuota         = &Error{Code: CodeQuota}
	ErrConflict      = &Error{Code: CodeConflict}
	ErrEnded         = &Error{Code: CodeEnded}
	ErrUnavailable   = &Error{Code: CodeUnavailable}
	ErrNotReplicated = &Error{Code: CodeNotReplicated}
	ErrOverloaded    = &Error{Code: CodeOverloaded}
	ErrInternal      = &Error{Code: CodeInternal}
)

// Error is the one error type of the project.
type Error struct {
	Code    Code
	Message string // for the client: what is wrong and what is allowed; never a secret
	Field   string // the part of the request that is wrong, as the client named it; "" when it is none
	Cause   error  // for the log only

	Ended        *Ended        // with CodeEnded
	Availability *Availability // with CodeNoneFree
	RetryAfter   time.Duration // with CodeUnavailable: when to try again, if that is known
}

// Ended tells when and why a lease was over.
type Ended struct {
	Reason Reason
	Time   time.Time
}

// Availability tells how the devices that match a request are used right now.
type Availability struct {
	Matching    int       // devices of the inventory that match any of its demands
	Leased      int       // of these, leased
	Maintenance int       // of these, out of service
	Free        int       // of these, free, but kept for requests that are before it in line, or too few
	NextEnd     time.Time // when the first of their leases ends unless it is kept alive; zero when that is not known
	Now         time.Time // the store's clock when this was true
}

// String says it in words: "2 matching devices leased, 1 in maintenance; next may end in 14 s".
func (a Availability) String() string {
	parts := []string{fmt.Sprintf("%d matching devices leased", a.Leased)}
	if a.Leased == 1 {
		parts[0] = "1 matching device leased"
	}
	if a.Maintenance > 0 {
		parts = append(parts, fmt.Sprintf("%d in maintenance", a.Maintenance))
	}
	if a.Free > 0 {
		parts = append(parts, fmt.Sprintf("%d free but kept for others in line, or too few", a.Free))
	}
	s := strings.Join(parts, ", ")
	if !a.NextEnd.IsZero() {
		s += fmt.Sprintf("; next may end in %.0f s", math.Ceil(max(0, a.NextEnd.Sub(a.Now).Seconds())))
	}
	return s
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Is reports whether target is an Error with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Invalid returns a CodeInvalid error about one field of a request.
func Invalid(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// EndedError returns a CodeEnded error.
func EndedError(reason Reason, at time.Time) *Error {
	return &Error{
		Code: CodeEnded, Ended: &Ended{Reason: reason, Time: at},
		Message: fmt.Sprintf("the lease ended at %s: %s", at.Format(time.RFC3339), reason.Explain()),
	}
}

// NoneFreeError returns a CodeNoneFree error.
func NoneFreeError(a Availability) *Error {
	return &Error{Code: CodeNoneFree, Message: "no device is to be had now: " + a.String(), Availability: &a}
}
