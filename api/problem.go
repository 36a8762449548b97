package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/automation-infra/automation-infra/lease"
)

// statuses is the HTTP status of each code. A body that is no JSON at all is `invalid` too, with 400, 413 or 415.
var statuses = map[lease.Code]int{
	lease.CodeInvalid:       http.StatusUnprocessableEntity,
	lease.CodeForbidden:     http.StatusForbidden,
	lease.CodeNotFound:      http.StatusNotFound,
	lease.CodeNoMatch:       http.StatusUnprocessableEntity,
	lease.CodeNoneFree:      http.StatusTooManyRequests,
	lease.CodeQuota:         http.StatusTooManyRequests,
	lease.CodeConflict:      http.StatusConflict,
	lease.CodeEnded:         http.StatusGone,
	lease.CodeUnavailable:   http.StatusServiceUnavailable,
	lease.CodeNotReplicated: http.StatusServiceUnavailable,
	lease.CodeOverloaded:    http.StatusServiceUnavailable,
	lease.CodeInternal:      http.StatusInternalServerError,
}

// Status returns the HTTP status of a code.
func Status(code lease.Code) int { return statuses[code] }

// storeRetry is the Retry-After of store_unavailable, not_replicated and overloaded: holders must get their keepalives through.
const storeRetry = time.Second

// Problem is an error as clients see it: RFC 9457 problem details, with extension members.
type Problem struct {
	Title  string       `json:"title" doc:"What the status means" example:"Too Many Requests"`
	Status int          `json:"status" doc:"The HTTP status" example:"429"`
	Code   lease.Code   `json:"code" doc:"Stable; decide by this" enum:"invalid,forbidden,not_found,no_match,none_free,quota_exceeded,conflict,lease_ended,store_unavailable,not_replicated,overloaded,internal"`
	Detail string       `json:"detail" doc:"What is wrong, and what is allowed"`
	Errors []FieldError `json:"errors,omitempty" doc:"Each field that is wrong"`

	RetryAfterSeconds int64         `json:"retry_after_seconds,omitempty" doc:"When to try again, as in the Retry-After header"`
	EndedReason       lease.Reason  `json:"ended_reason,omitempty" enum:"released,expired,deadline,revoked,abandoned,store_lost" doc:"With lease_ended: why"`
	EndedTime         *time.Time    `json:"ended_time,omitempty" doc:"With lease_ended: when"`
	Availability      *Availability `json:"availability,omitempty" doc:"With none_free: how the matching devices are used"`
}

// FieldError is what is wrong with one field of a request.
type FieldError struct {
	Field   string `json:"field" doc:"The field, as the client sent it" example:"ttl_seconds"`
	Message string `json:"message" doc:"What is wrong, and what is allowed"`
}

// Availability is how the devices that match a request are used. It is exported for huma, as PageInput.
type Availability struct {
	MatchingDevices    int        `json:"matching_devices" doc:"Devices that could satisfy the request"`
	LeasedDevices      int        `json:"leased_devices" doc:"Of these, leased"`
	MaintenanceDevices int        `json:"maintenance_devices" doc:"Of these, out of service"`
	FreeDevices        int        `json:"free_devices" doc:"Of these, free, but kept for requests before it in line, or too few"`
	NextEndTime        *time.Time `json:"next_end_time,omitempty" doc:"When the first of their leases ends, unless it is kept alive"`
	NextEndSeconds     *int64     `json:"next_end_seconds,omitempty" doc:"How long until then, rounded up"`
}

// Error, GetStatus, GetHeaders and ContentType make a Problem what huma writes.
func (p *Problem) Error() string { return string(p.Code) + ": " + p.Detail }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders returns Retry-After where it applies.
func (p *Problem) GetHeaders() http.Header {
	if p.RetryAfterSeconds == 0 {
		return nil
	}
	return http.Header{"Retry-After": {strconv.FormatInt(p.RetryAfterSeconds, 10)}}
}

// ContentType is the media type of a problem.
func (*Problem) ContentType(string) string { return "application/problem+json" }

// errorWriter is where errors become what leaves the process: the cause goes to the log, the rest to the client.
type errorWriter struct {
	log        *slog.Logger
	retryAfter time.Duration // of none_free, and of quota_exceeded when that can pass
}

// problem turns any error of a handler into one.
func (w *errorWriter) problem(ctx context.Context, err error) *Problem {
	var e *lease.Error
	if !errors.As(err, &e) {
		e = &lease.Error{Code: lease.CodeInternal, Cause: err}
	}
	p := newProblem(Status(e.Code), e.Code, e.Message)
	switch e.Code {
	case lease.CodeInternal:
		p.Detail = "something went wrong here; the log has the cause under this request's id"
		w.log.ErrorContext(ctx, "internal error", "error", err)
	case lease.CodeUnavailable:
		p.RetryAfterSeconds = seconds(max(storeRetry, e.RetryAfter+time.Second-1)) // rounded up
		w.log.WarnContext(ctx, "store unavailable", "error", err)
	case lease.CodeNotReplicated:
		p.RetryAfterSeconds = seconds(storeRetry)
		w.log.WarnContext(ctx, "too few replicas of Redis have the lease", "error", err)
	case lease.CodeOverloaded: // not logged: lease_overload_total counts it
		p.RetryAfterSeconds = seconds(storeRetry)
	case lease.CodeNoneFree:
		p.RetryAfterSeconds = seconds(w.retryAfter)
	case lease.CodeQuota:
		if e.Field == "" { // what the holder has may become less; a request that is too large stays so
			p.RetryAfterSeconds = seconds(w.retryAfter)
		}
	}
	if e.Field != "" {
		p.Errors = []FieldError{{e.Field, e.Message}}
	}
	if e.Ended != nil {
		p.EndedReason, p.EndedTime = e.Ended.Reason, &e.Ended.Time
	}
	if e.Availability != nil {
		a := presentAvailability(*e.Availability)
		p.Availability = &a
	}
	return p
}

// respond writes a problem of the request itself outside huma, and ends the request.
func (w *errorWriter) respond(c *gin.Context, status int, detail string) {
	w.write(c, newProblem(status, codeOf(status), detail))
}

func (w *errorWriter) write(c *gin.Context, p *Problem) {
	for name, values := range p.GetHeaders() {
		c.Header(name, values[0])
	}
	c.Abort()
	w.send(c, p.Status, p.ContentType(""), p)
}

// send writes an answer outside huma.
func (w *errorWriter) send(c *gin.Context, status int, contentType string, body any) {
	c.Header("Content-Type", contentType)
	c.Status(status)
	if err := marshal(c.Writer, body); err != nil {
		w.log.WarnContext(c.Request.Context(), "write answer", "error", err) // the client has gone
	}
}

func newProblem(status int, code lease.Code, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// codeOf is the code of a status that huma or the router chose.
func codeOf(status int) lease.Code {
	switch {
	case status == http.StatusNotFound:
		return lease.CodeNotFound
	case status >= http.StatusInternalServerError:
		return lease.CodeInternal
	}
	return lease.CodeInvalid
}

func presentAvailability(a lease.Availability) Availability {
	out := Availability{MatchingDevices: a.Matching, LeasedDevices: a.Leased, MaintenanceDevices: a.Maintenance, FreeDevices: a.Free}
	if !a.NextEnd.IsZero() {
		left := int64(math.Ceil(max(0, a.NextEnd.Sub(a.Now).Seconds())))
		out.NextEndTime, out.NextEndSeconds = &a.NextEnd, &left
	}
	return out
}

// problemResponses documents the problems that an operation may answer with.
func problemResponses(schemas huma.Registry, statuses []int) map[string]*huma.Response {
	schema := schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	content := map[string]*huma.MediaType{"application/problem+json": {Schema: schema}}
	all := map[string]*huma.Response{}
	for _, status := range append(statuses, http.StatusUnprocessableEntity, http.StatusServiceUnavailable, http.StatusInternalServerError) {
		all[fmt.Sprint(status)] = &huma.Response{Description: http.StatusText(status), Content: content}
	}
	return all
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
