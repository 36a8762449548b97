package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// Hold keeps an active lease, as Acquire or Get returned it, alive in the background, until stop or until it is lost.
//
// held is over when the lease is lost, when stop is called, or when ctx is; context.Cause tells which. A lease is lost when the service
// says so: lease.ErrEnded, with the reason; lease.ErrNotFound, lease.ErrForbidden. It is also lost when its time is over here, by the
// monotonic clock, since the last answer: ErrLapsed, or lease.ErrEnded with lease.ReasonDeadline when it can't be extended any more. Stop
// using the devices at once; another holder may get them.
//
// The end of ctx is the end of held, but not of the lease: it is kept alive until stop, so that a device can be left in good order.
//
// stop has to be called, when the devices are used no longer: it releases the lease, for which it takes up to 5 s. It returns why the
// lease was lost before that, or else why it could not be released; then it ends by itself. Calling it again returns the same.
func (c *Client) Hold(ctx context.Context, l *Lease) (held context.Context, stop func() error) {
	h, held := c.hold(ctx, l)
	return held, sync.OnceValue(func() error {
		lost, left := h.stop(ctx)
		return cmp.Or(lost, left)
	})
}

// Run acquires a lease, calls f while it is held, and releases it, also when f panics. It returns the error of f, joined with why the
// lease was lost, if it was. The context of f is that of Hold: over when the lease is lost. That a lease could not be released is no
// error here, since it ends by itself; Options.OnRetry is told.
func (c *Client) Run(ctx context.Context, r Request, w Waiting, f func(ctx context.Context, l *Lease) error) (err error) {
	l, err := c.Acquire(ctx, r, w)
	if err != nil {
		return err
	}
	h, held := c.hold(ctx, l)
	defer func() {
		if lost, _ := h.stop(ctx); lost != nil {
			err = errors.Join(err, lost)
		}
	}()
	return f(held, l)
}

// holding is a lease that is held.
type holding struct {
	c    *Client
	own  Lease                   // of keep alone, and of stop after it
	lose context.CancelCauseFunc // ends held
	quit context.CancelFunc      // ends keep
	kept chan struct{}           // closed when keep has ended

	mu    sync.Mutex
	until time.Time   // when it lapses
	over  error       // why, if it does
	timer *time.Timer // calls lapse then
	last  error       // the last keepalive's; nil when it got through
	lost  error       // why it was lost; nil while it is not
}

func (c *Client) hold(ctx context.Context, l *Lease) (*holding, context.Context) {
	held, lose := context.WithCancelCause(ctx)
	work, quit := context.WithCancel(context.WithoutCancel(ctx))
	h := &holding{c: c, own: *l, lose: lose, quit: quit, kept: make(chan struct{})}
	if err := l.unfit(); err != nil {
		h.end(err)
		close(h.kept)
		return h, held
	}
	h.until, h.over = h.own.lapse(), h.own.whyLapsed()
	h.timer = time.AfterFunc(time.Until(h.until), h.lapse)
	go h.keep(work)
	return h, held
}

// unfit is why a lease can't be held, nil if it can.
func (l *Lease) unfit() error {
	switch {
	case l.Ended != nil:
		return lease.EndedError(l.Ended.Reason, l.Ended.Time)
	case l.State != lease.StateActive || l.Token == "" || l.KeepaliveURL == "":
		return &lease.Error{Code: lease.CodeConflict, Message: fmt.Sprintf("lease %s can't be held: its state is %q", l.ID, l.State)}
	case l.asked.IsZero():
		return &lease.Error{Code: lease.CodeConflict, Message: fmt.Sprintf("lease %s can't be held: nobody knows how old this is; get it anew", l.ID)}
	}
	return nil
}

// keep keeps the lease alive until it is lost or the context is over.
func (h *holding) keep(ctx context.Context) {
	defer close(h.kept)
	for sleep(ctx, h.next()) && h.renew(ctx) {
		h.extend()
	}
}

// next is how long until the next keepalive: a third of what the lease has to live, but not for everyone the same.
func (h *holding) next() time.Duration {
	interval := cmp.Or(h.own.KeepaliveInterval, h.own.TTL/3)
	if !h.own.final() {
		interval = min(interval, h.own.Remaining/3)
	}
	return max(firstPause, jitter(interval, interval/5)-time.Since(h.own.asked))
}

// renew sends keepalives until one gets through, or the lease is lost, or the context is over.
func (h *holding) renew(ctx context.Context) bool {
	for failures := 0; ; failures++ {
		within := min(h.own.TTL/6, answerWithin) * time.Duration(min(failures, 9)+1) // longer each time, in case it is the network that is slow
		err := h.c.keepalive(ctx, &h.own, min(within, answerWithin))
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil:
			return false
		case settled(err):
			h.end(err)
			return false
		}
		if h.c.pause(ctx, h.failed(failures, err), err) != nil {
			return false
		}
	}
}

// failed is how long to wait after a keepalive that did not get through: often enough, whatever the service wants, that another
// can in the time that is left.
func (h *holding) failed(failures int, err error) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = err
	return max(firstPause/2, min(backoff(failures, RetryAfter(err)), time.Until(h.until)/4))
}

// extend takes note of a keepalive that got through.
func (h *holding) extend() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until, h.over, h.last = h.own.lapse(), h.own.whyLapsed(), nil
	if h.lost == nil {
		h.timer.Reset(time.Until(h.until))
	}
}

// lapse loses the lease because its time is over, unless it was extended at the last moment.
func (h *holding) lapse() {
	h.mu.Lock()
	left, err := time.Until(h.until), h.over
	if h.last != nil {
		err = fmt.Errorf("%w; the last one: %v", err, h.last) //nolint:errorlint // not why it was lost
	}
	h.mu.Unlock()
	if left <= 0 {
		h.end(err)
	}
}

// end loses the lease.
func (h *holding) end(why error) {
	h.mu.Lock()
	h.lost = cmp.Or(h.lost, why)
	h.mu.Unlock()
	h.lose(why)
	h.quit()
}

// stop releases the lease, and says why it was lost before, or else why it is left to end by itself.
func (h *holding) stop(ctx context.Context) (lost, left error) {
	h.lose(context.Canceled)
	h.quit()
	<-h.kept
	if h.timer == nil {
		return h.lost, nil
	}
	h.timer.Stop()
	left = h.c.release(context.WithoutCancel(ctx), &h.own, time.Now().Add(partingTime))
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost == nil && settled(left) {
		return left, nil // it was lost since the last keepalive
	}
	return h.lost, left
}
