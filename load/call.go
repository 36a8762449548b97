package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// answerWithin is how long an answer may take, beside what the service was asked to wait.
const answerWithin = 10 * time.Second

// Codes of what went wrong that are not the service's own.
const (
	codeTimeout   = "timeout"           // no answer within answerWithin
	codeRefused   = "refused"           // nobody listens there
	codeReset     = "reset"             // the connection broke
	codeNetwork   = "network"           // something else on the way
	codeUnclear   = "unclear_answer"    // a success that can't be read, or says nothing of what was asked
	codeNoDevice  = "no_device_in_time" // a holder stood in line for as long as it wanted to
	codeNoLease   = "no_lease"          // a keepalive that was due for a lease that is over
	codeCancelled = "cancelled"         // by the driver itself; counted nowhere
)

// request is a request to a service.
type request struct {
	method, url string
	token       lease.Token // "" for none
	body        string      // JSON; "" for none
	within      time.Duration
}

// reply is what became of a request.
type reply struct {
	sent, received time.Time // on the monotonic clock: just before it was sent, just after the answer was read
	code           string    // "" for a success, else the problem's, or a code from above
	status         int       // of HTTP; 0 without an answer
	body           replyBody
}

// replyBody is what the driver reads of any answer: a lease, a renewal, a list of devices, a problem.
type replyBody struct {
	State            lease.State `json:"state"`
	Devices          []deviceIn  `json:"devices"`
	Fence            int64       `json:"fence"`
	RemainingSeconds int64       `json:"remaining_seconds"`
	KeepaliveURL     string      `json:"keepalive_url"`
	NextPageToken    string      `json:"next_page_token"`
	Code             lease.Code  `json:"code"`
	Detail           string      `json:"detail"`
}

type deviceIn struct {
	Name  string            `json:"name"`
	State lease.DeviceState `json:"state"` // in a list only
}

// detail says what went wrong, "" when the service did not.
func (r *reply) detail() string {
	if r.body.Detail == "" {
		return ""
	}
	return r.code + ": " + r.body.Detail
}

// refused reports whether the service answered that it won't, so that nothing has come of the request.
func (r *reply) refused() bool {
	return r.code != "" && r.status >= http.StatusBadRequest && r.status < http.StatusInternalServerError
}

// unknown reports whether it is not known what came of the request: there was no answer, or that of a service in trouble.
func (r *reply) unknown() bool { return r.code != "" && r.code != codeCancelled && !r.refused() }

// over reports whether the service answered that the lease is over.
func (r *reply) over() bool {
	return r.code == string(lease.CodeEnded) || r.code == string(lease.CodeNotFound)
}

// remaining is how long the lease of the answer lives, from the sending of the request on, at the least.
func (r *reply) remaining() time.Duration {
	return time.Duration(r.body.RemainingSeconds) * time.Second
}

// newTransport returns the way to the services: as many connections as there are requests under way, all kept for the next.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, maxUnderWay
	t.DisableCompression = true
	return t
}

// call makes a request, once.
func (d *driver) call(ctx context.Context, q request) reply {
	limited, cancel := context.WithTimeout(ctx, q.within)
	defer cancel()
	r := reply{sent: time.Now()}
	err := d.exchange(limited, q, &r)
	r.received = time.Now()
	switch {
	case err != nil && ctx.Err() != nil:
		r.code = codeCancelled
	case err != nil:
		r.code = kindOf(err)
	}
	return r
}

func (d *driver) exchange(ctx context.Context, q request, into *reply) error {
	var body io.Reader = http.NoBody
	if q.body != "" {
		body = strings.NewReader(q.body)
	}
	r, err := http.NewRequestWithContext(ctx, q.method, q.url, body)
	if err != nil {
		return err
	}
	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.token != "" {
		r.Header.Set("Lease-Token", string(q.token))
	}
	answer, err := d.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	const longest = 16 << 20
	text, err := io.ReadAll(io.LimitReader(answer.Body, longest))
	if err != nil {
		return err
	}
	into.status = answer.StatusCode
	into.code = into.read(text)
	return nil
}

// read reads the body of an answer, and returns the code of what is wrong.
func (r *reply) read(text []byte) string {
	err := json.Unmarshal(text, &r.body)
	switch {
	case r.status >= http.StatusMultipleChoices && (err != nil || r.body.Code == ""):
		return fmt.Sprintf("http_%d", r.status)
	case r.status >= http.StatusMultipleChoices:
		const longest = 40
		return string(r.body.Code[:min(len(r.body.Code), longest)])
	case err != nil && r.status != http.StatusNoContent:
		return codeUnclear
	}
	return ""
}

// kindOf is the code of an error on the way.
func kindOf(err error) string {
	var network net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return codeTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return codeRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return codeReset
	}
	return codeNetwork
}
