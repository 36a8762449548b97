package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// tokenHeader carries the token of a lease; it is never in a URL.
const tokenHeader = "Lease-Token"

// maxReply is the largest reply taken, in bytes: more than the largest page of a list.
const maxReply = 32 << 20

// The pauses between tries: the first, which doubles, and the longest.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// call is a request to a service.
type call struct {
	what   string // for errors
	method string
	url    string
	token  lease.Token   // "" for none
	body   any           // sent as JSON; nil for none
	into   any           // what the JSON of the reply is read into; nil for a reply without
	wait   time.Duration // how long the service was asked to wait before it answers
	within time.Duration // how long it may take beside that; 0 for answerWithin
	by     time.Time     // when an answer is of no use any more; zero for Options.RetryFor from now
}

// do makes a request until it is answered. sent is when the one was sent that was.
func (c *Client) do(ctx context.Context, to call) (sent time.Time, err error) {
	until := to.by
	if until.IsZero() {
		until = time.Now().Add(c.o.RetryFor)
	}
	for n := 0; ; n++ {
		if sent, err = c.once(ctx, to); !temporary(err) {
			c.recovered(n)
			return sent, err
		}
		pause := backoff(n, RetryAfter(err))
		if time.Until(until) < pause {
			return sent, err
		}
		if end := c.pause(ctx, pause, err); end != nil {
			return sent, fmt.Errorf("%s: %w; before that: %v", to.what, end, err) //nolint:errorlint // it is the context that ended the call
		}
	}
}

// once makes a request. sent is when.
func (c *Client) once(ctx context.Context, to call) (sent time.Time, err error) {
	within := to.wait + cmp.Or(to.within, answerWithin)
	if !to.by.IsZero() {
		within = min(within, time.Until(to.by))
	}
	limited, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("no answer within %s", within))
	defer cancel()
	sent = time.Now()
	if err = c.exchange(limited, to); err == nil {
		return sent, nil
	}
	if ctx.Err() != nil && !settled(err) {
		err = over(ctx)
	}
	return sent, fmt.Errorf("%s: %w", to.what, err)
}

func (c *Client) exchange(ctx context.Context, to call) error {
	request, err := to.request(ctx)
	if err != nil {
		return err
	}
	reply, err := c.http.Do(request)
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = reply.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(reply.Body, maxReply+1))
	switch {
	case err != nil:
		return unavailable(err)
	case len(body) > maxReply:
		return fmt.Errorf("the reply is longer than %d bytes", maxReply)
	}
	return to.read(reply, body)
}

func (to *call) request(ctx context.Context) (*http.Request, error) {
	var body io.Reader = http.NoBody
	if to.body != nil {
		text, err := json.Marshal(to.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, to.method, to.url, body)
	if err != nil {
		return nil, err
	}
	if to.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if to.token != "" {
		request.Header.Set(tokenHeader, string(to.token))
	}
	request.Header["Idempotency-Key"] = nil // tells net/http, not the service, that this may be sent again on a fresh connection
	return request, nil
}

// read reads a reply.
func (to *call) read(reply *http.Response, body []byte) error {
	switch {
	case reply.StatusCode >= http.StatusMultipleChoices:
		return refusal(reply, body, to.token)
	case to.into == nil && reply.StatusCode == http.StatusNoContent:
		return nil
	case to.into == nil || json.Unmarshal(body, to.into) != nil:
		return foreign(reply, body, to.token)
	}
	return nil
}

// pause waits before the next try. The error is why the context is over.
func (c *Client) pause(ctx context.Context, d time.Duration, why error) error {
	if c.o.OnRetry != nil {
		c.o.OnRetry(why, d)
	}
	if !sleep(ctx, d) {
		return over(ctx)
	}
	return nil
}

// recovered tells that there is an answer after so many failures.
func (c *Client) recovered(failures int) {
	if failures > 0 && c.o.OnRecover != nil {
		c.o.OnRecover()
	}
}

// sleep waits; false when the context was over before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// backoff is how long to wait after the nth failure in a row, counted from 0: as long as the service wants, and longer each time, but
// not everyone equally long.
func backoff(n int, wanted time.Duration) time.Duration {
	longest := min(firstPause<<min(n, 16), longestPause)
	return max(jitter(longest, longest/2), wanted+jitter(wanted/10, wanted/10))
}

// jitter is d, or up to so much less.
func jitter(d, less time.Duration) time.Duration {
	return d - rand.N(less+1) //nolint:gosec // no secret, only that not all ask at once
}
