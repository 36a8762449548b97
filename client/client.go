package client

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// DefaultURL is the allocator of a standalone on this machine.
const DefaultURL = "http://localhost:8080"

// defaultRetryFor is Options.RetryFor when it is 0.
const defaultRetryFor = 30 * time.Second

// answerWithin is how long a service may take for an answer, beside what it was asked to wait.
const answerWithin = 10 * time.Second

// partingTime is how long it may take to give back what nobody wants any more, whatever the context of who wanted it.
const partingTime = 5 * time.Second

// Options are the choices of a Client. The zero Options will do.
type Options struct {
	// HTTP makes the requests; nil for a client like http.DefaultClient. Unless it has a CheckRedirect, redirects are not
	// followed: they would take tokens to hosts that nobody named.
	HTTP *http.Client

	// RetryFor is how long one call asks a service again that does not answer, or answers 503; 0 for 30 s, negative for not
	// at all. It is not for Keepalive, which asks once, and not for what has a time of its own: Acquire with Waiting.For,
	// and Hold.
	RetryFor time.Duration

	// OnRetry is told why a call has to be made again, and in how long that will be; nil for nobody. It is called by
	// whoever made the call, and by the goroutines of Hold.
	OnRetry func(err error, in time.Duration)

	// OnRecover is told, by the same, when what OnRetry was told of is answered; nil for nobody.
	OnRecover func()
}

// Client talks with the services of one lab. It is safe for concurrent use.
//
// Its errors are of type [lease.Error] where a service answered with one, or did not answer, which is lease.ErrUnavailable. When
// the context of a call is over, the error is the context's, and its cause.
type Client struct {
	base string
	http *http.Client
	o    Options
}

// New returns a client of the allocator at a URL, "" for DefaultURL. It connects to nothing yet. The keepalive service is where each
// lease says.
func New(allocator string, o Options) (*Client, error) {
	u, err := url.Parse(cmp.Or(allocator, DefaultURL))
	if err != nil {
		return nil, fmt.Errorf("URL of the allocator: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is no URL of an allocator; one is like %s", allocator, DefaultURL)
	}
	var h http.Client
	if o.HTTP != nil {
		h = *o.HTTP
	}
	if h.CheckRedirect == nil {
		h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	o.RetryFor = cmp.Or(o.RetryFor, defaultRetryFor)
	return &Client{base: strings.TrimRight(u.String(), "/"), http: &h, o: o}, nil
}

// Get reads a lease. With its token, that shows how to reach its devices, and if it is pending, keeps its place in line; without,
// "", it only looks. A lease that is over is no error; lease.ErrNotFound is one that there never was, or that ended over an hour ago.
func (c *Client) Get(ctx context.Context, id string, token lease.Token) (*Lease, error) {
	l := &Lease{}
	sent, err := c.do(ctx, call{what: "read lease " + id, method: http.MethodGet, url: c.leaseURL(id), token: token, into: l})
	if err != nil {
		return nil, err
	}
	if l.ID != id {
		return nil, fmt.Errorf("read lease %s: %w", id, errOther)
	}
	l.Token, l.asked = token, sent
	return l, nil
}

// Release ends a lease, so that the next one gets its devices at once; a pending one leaves the line. It needs the lease's ID and
// Token, nothing else of it. Releasing again is no error; a lease that ended otherwise is lease.ErrEnded.
func (c *Client) Release(ctx context.Context, l *Lease) error {
	return c.release(ctx, l, time.Time{})
}

// release releases a lease, until the time by which it has to have happened.
func (c *Client) release(ctx context.Context, l *Lease, by time.Time) error {
	_, err := c.do(ctx, call{what: "release lease " + l.ID, method: http.MethodDelete, url: c.leaseURL(l.ID), token: l.Token, by: by})
	return err
}

// Keepalive extends a lease to its TTL from now, never past its deadline, and writes the news into it: Expire, Remaining, Deadline
// and KeepaliveInterval. It asks once. The errors are lease.ErrEnded, lease.ErrForbidden, lease.ErrNotFound, lease.ErrConflict
// while the lease is pending, and lease.ErrUnavailable, after which it lives on until its Expire. [Client.Hold] does it for you.
func (c *Client) Keepalive(ctx context.Context, l *Lease) error {
	return c.keepalive(ctx, l, answerWithin)
}

func (c *Client) keepalive(ctx context.Context, l *Lease, within time.Duration) error {
	if l.KeepaliveURL == "" {
		return lease.Invalid("keepalive_url", "lease %s does not say where to keep it alive: it is %s", l.ID, cmp.Or(string(l.State), "not read yet"))
	}
	var r renewalBody
	sent, err := c.once(ctx, call{what: "keep lease " + l.ID + " alive", method: http.MethodPost, url: l.KeepaliveURL, token: l.Token, into: &r, within: within})
	if err != nil {
		return err
	}
	l.renew(r, sent)
	return nil
}

func (c *Client) leaseURL(id string) string { return c.base + "/v1/leases/" + url.PathEscape(id) }
