package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// How long one request waits in line: usually, and when somebody wants to know of each change.
const (
	pollWait     = 30 * time.Second
	pollWaitTold = 5 * time.Second
)

// Acquire gets a lease that is active: keep it alive, with [Client.Hold] or by yourself, and release it. [Client.Run] does all that.
//
// Without waiting, it asks until it is answered, for Options.RetryFor. With waiting it stands in line until the lease is granted, the
// time is over, which is lease.ErrNoneFree, or the context is. An outage in that time is waited out; should it cost the place in line,
// or a lease that was granted in it, then Acquire asks for another. lease.ErrQuota is waited out if returning something helps.
//
// With an error, Acquire leaves nothing behind: the place in line, or the lease whose grant it did not hear of, is given up, for which
// it takes up to 5 s after the context is over.
func (c *Client) Acquire(ctx context.Context, r Request, w Waiting) (*Lease, error) {
	body, err := r.body()
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("allocate: %w", over(ctx))
	}
	a := &acquisition{c: c, request: r, body: body, waiting: w, until: time.Now().Add(w.For)}
	if w.For <= 0 {
		a.until = time.Now().Add(c.o.RetryFor)
	}
	a.begin()
	l, err := a.get(ctx)
	if err != nil && a.doubt {
		if left := a.giveUp(ctx); left != nil {
			err = fmt.Errorf("%w (what was asked for could not be given up, and ends by itself: %v)", err, left) //nolint:errorlint // not why it failed
		}
	}
	return l, err
}

// acquisition is one Acquire.
type acquisition struct {
	c       *Client
	request Request
	body    *requestBody
	waiting Waiting
	until   time.Time // how long to try
	by      time.Time // how long to try to give up; zero until then

	token    lease.Token
	id       string
	doubt    bool   // whether there may be a lease or a place in line of this token
	failures int    // in a row
	outages  int    // of these, without an answer
	told     *Queue // what OnQueue was told last
}

// begin begins with a fresh token, when nothing is left of the one before.
func (a *acquisition) begin() {
	pool := a.request.Pool
	if pool == "" {
		pool = lease.DefaultPool
	}
	a.token, a.doubt = lease.NewToken(), false
	a.id = a.token.ID(pool).String()
}

// get asks until it has the lease, or an error that asking again does not change. It joins the line at once, to learn its place, and then
// waits. A lease that was granted while a request waited is asked for once more: how long it lives is known from when that was sent,
// and the request that waited was sent too long ago.
func (a *acquisition) get(ctx context.Context) (*Lease, error) {
	var wait time.Duration
	for {
		l, err := a.ask(ctx, wait)
		switch {
		case err == nil && l.State == lease.StateActive && wait == 0:
			return l, nil
		case err == nil && l.State == lease.StateActive:
			wait = 0
		case err == nil:
			if wait, err = a.queued(ctx, l, wait); err != nil {
				return nil, err
			}
		case a.again(err):
			wait = 0
			if err := a.pause(ctx, err); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
	}
}

// queued takes note of a pending lease, for which a request waited so long, and says how long the next one is to wait. The error is
// that it waits no longer.
func (a *acquisition) queued(ctx context.Context, l *Lease, waited time.Duration) (time.Duration, error) {
	a.tell(l)
	switch {
	case waited > 0 && time.Since(l.asked) < waited/2: // a service that does not wait is not to be asked all the time
		if a.failures++; !sleep(ctx, backoff(a.failures, 0)) {
			return 0, fmt.Errorf("allocate: %w", over(ctx))
		}
	case waited > 0:
		a.failures = 0
	}
	wait := min(time.Until(a.until), a.longestWait())
	if wait <= 0 {
		return 0, a.notGranted(l)
	}
	return wait, nil
}

// ask asks for the lease, which joins the line if need be, and lets the service wait.
func (a *acquisition) ask(ctx context.Context, wait time.Duration) (*Lease, error) {
	to := call{
		what: "allocate", method: http.MethodPost, url: a.c.base + "/v1/leases", token: a.token, body: a.body,
		wait: wait, by: a.by,
	}
	if a.waiting.For > 0 {
		to.url += "?wait=" + to.wait.Truncate(time.Millisecond).String()
	}
	l := &Lease{}
	to.into = l
	before := a.doubt
	a.doubt = true
	sent, err := a.c.once(ctx, to)
	if !temporary(err) {
		a.c.recovered(a.outages)
		a.outages = 0
	}
	switch {
	case settled(err):
		a.doubt = before && !errors.Is(err, lease.ErrEnded)
	case unsent(err):
		a.doubt = before
	case err == nil && (l.ID != a.id || l.State != lease.StateActive && l.State != lease.StatePending):
		err = fmt.Errorf("allocate: %w", errOther)
	}
	l.Token, l.asked = a.token, sent
	return l, err
}

// longestWait is how long one request may wait: no longer than the HTTP client of the options has patience for.
func (a *acquisition) longestWait() time.Duration {
	longest := pollWait
	if a.waiting.OnQueue != nil {
		longest = pollWaitTold
	}
	if patience := a.c.http.Timeout; patience > 0 {
		return min(longest, patience/2)
	}
	return longest
}

// again reports whether to ask again after an error. What has ended unseen is asked for anew.
func (a *acquisition) again(err error) bool {
	var e *lease.Error
	switch {
	case temporary(err):
		return true
	case errors.As(err, &e) && e.Ended != nil && (e.Ended.Reason == lease.ReasonAbandoned || e.Ended.Reason == lease.ReasonExpired):
		a.begin()
		return true
	}
	return a.waiting.For > 0 && RetryAfter(err) > 0 && (errors.Is(err, lease.ErrNoneFree) || errors.Is(err, lease.ErrQuota))
}

// pause waits before asking again, at most until the time is over, to ask a last time then. After that, it returns the error.
func (a *acquisition) pause(ctx context.Context, why error) error {
	left := time.Until(a.until)
	if left <= 0 {
		return why
	}
	if end := a.c.pause(ctx, min(backoff(a.failures, RetryAfter(why)), left), why); end != nil {
		return fmt.Errorf("allocate: %w; before that: %v", end, why) //nolint:errorlint // it is the context that ended the call
	}
	a.failures++
	if temporary(why) {
		a.outages++
	}
	return nil
}

// tell tells of a pending lease if how it waits has changed. That the end of a lease it waits for has moved is no change.
func (a *acquisition) tell(l *Lease) {
	q := l.Queue
	if a.waiting.OnQueue == nil || q == nil {
		return
	}
	seen := *q
	seen.Reason, seen.Availability.NextEnd, seen.Availability.Now = "", time.Time{}, time.Time{}
	if a.told == nil || *a.told != seen {
		a.told = &seen
		a.waiting.OnQueue(l)
	}
}

// notGranted is the error of having waited in vain.
func (a *acquisition) notGranted(l *Lease) error {
	e := &lease.Error{Code: lease.CodeNoneFree, Message: fmt.Sprintf("not granted within %s", a.waiting.For)}
	if q := l.Queue; q != nil {
		e.Message += fmt.Sprintf(": place %d of %d in line; %s", q.Place, q.Length, q.Reason)
		e.Availability = &q.Availability
	}
	return fmt.Errorf("allocate: %w", e)
}

// giveUp gives up the place in line, or the lease, if there is one. If there is none though a request for it may be on its way still,
// its place is taken before it gets there, and given up: the token is used up then.
func (a *acquisition) giveUp(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	a.by, a.waiting = time.Now().Add(partingTime), Waiting{For: partingTime}
	for failures := 0; ; failures++ {
		switch err := a.c.release(ctx, &Lease{ID: a.id, Token: a.token}, a.by); {
		case settled(err) && !errors.Is(err, lease.ErrNotFound):
			return nil // it is over
		case !errors.Is(err, lease.ErrNotFound):
			return err
		}
		_, err := a.ask(ctx, 0)
		switch pause := backoff(failures, RetryAfter(err)); {
		case settled(err):
			return nil // nobody would grant it
		case err != nil && time.Until(a.by) < pause:
			return err
		case err != nil:
			_ = a.c.pause(ctx, pause, err) // which can't be over
		}
	}
}
