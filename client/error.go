package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// ErrLapsed is why a lease was lost when no keepalive got through in time. The service may not have ended it, but may at any moment.
var ErrLapsed = errors.New("no keepalive got through before the lease's time was over")

// errOther is the error of a reply that is about something else than the request.
var errOther = errors.New("no answer of a lease service, or not to this request")

// RetryAfter is in how long the service that answered with this error wants to be asked again; 0 when it did not say.
func RetryAfter(err error) time.Duration {
	var a *answer
	if errors.As(err, &a) {
		return a.retryAfter
	}
	return 0
}

// answer is an error that a service answered with, and what its reply said besides.
type answer struct {
	err        *lease.Error
	status     int
	retryAfter time.Duration
	request    string // its id in the service's log
}

func (a *answer) Error() string {
	if a.err.Code == lease.CodeInternal && a.request != "" {
		return fmt.Sprintf("%v (request %s)", a.err, a.request)
	}
	return a.err.Error()
}

func (a *answer) Unwrap() error { return a.err }

// problem is an error in the API's JSON.
type problem struct {
	Code   lease.Code `json:"code"`
	Detail string     `json:"detail"`
	Errors []struct {
		Field string `json:"field"`
	} `json:"errors"`
	RetryAfterSeconds int64             `json:"retry_after_seconds"`
	Availability      *availabilityBody `json:"availability"`
	endedBody
}

// refusal is the error that a reply tells: an answer if it is the service's, which is a problem with a code (RFC 9457).
func refusal(r *http.Response, body []byte, token lease.Token) error {
	var p problem
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/problem+json" || json.Unmarshal(body, &p) != nil || p.Code == "" {
		return foreign(r, body, token)
	}
	e := &lease.Error{Code: p.Code, Message: p.Detail, Ended: p.ended()}
	if len(p.Errors) > 0 {
		e.Field = p.Errors[0].Field
	}
	if p.Availability != nil {
		a := p.Availability.availability()
		e.Availability = &a
	}
	after := duration(p.RetryAfterSeconds)
	if after == 0 {
		after = retryAfter(r)
	}
	return &answer{err: e, status: r.StatusCode, retryAfter: after, request: r.Header.Get("X-Request-Id")}
}

// foreign is the error of a reply that is no answer of a lease service, but of what is between, or of something else altogether. It
// is lease.CodeUnavailable if it may be another the next time.
func foreign(r *http.Response, body []byte, token lease.Token) error {
	said := fmt.Sprintf("no answer of a lease service, but %q", r.Status)
	if to := r.Header.Get("Location"); to != "" {
		said += " to " + to
	}
	said += ", " + strconv.Quote(excerpt(body, token))
	switch {
	case r.StatusCode >= http.StatusInternalServerError, r.StatusCode == http.StatusTooManyRequests, r.StatusCode == http.StatusRequestTimeout:
		return &answer{err: &lease.Error{Code: lease.CodeUnavailable, Message: said}, status: r.StatusCode, retryAfter: retryAfter(r)}
	}
	return errors.New(said)
}

// excerpt is how a text begins, without the token if it repeats it.
func excerpt(body []byte, token lease.Token) string {
	const most = 160
	text := strings.Join(strings.Fields(string(body[:min(len(body), 16*most)])), " ")
	if token != "" {
		text = strings.ReplaceAll(text, string(token), token.String())
	}
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// retryAfter reads the header of this name: seconds, or a date (RFC 9110, section 10.2.3).
func retryAfter(r *http.Response) time.Duration {
	text := r.Header.Get("Retry-After")
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// unavailable is the error of a request that got no answer: nothing is known, try again.
func unavailable(cause error) error {
	return &lease.Error{Code: lease.CodeUnavailable, Message: "no answer", Cause: cause}
}

// temporary reports whether asking again may help, though nothing has changed.
func temporary(err error) bool {
	var a *answer
	return errors.Is(err, lease.ErrUnavailable) || errors.As(err, &a) && a.status == http.StatusServiceUnavailable
}

// settled reports whether the service has answered, once and for all.
func settled(err error) bool {
	var e *lease.Error
	return errors.As(err, &e) && !temporary(err) && e.Code != lease.CodeInternal
}

// unsent reports whether a request got no answer because there was nobody to send it to.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}

// over is why a context is over.
func over(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
