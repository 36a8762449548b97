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

// Hold keeps an active lease, as Acquire or Get returned it, alive in the background, until it is released, stopped or lost.
//
// The end of ctx is the end of [Holding.Context], but not of the lease: it is kept alive until Release, so that a device can be left
// in good order.
func (c *Client) Hold(ctx context.Context, l *Lease) *Holding {
	held, lose := context.WithCancelCause(ctx)
	work, quit := context.WithCancel(context.WithoutCancel(ctx))
	h := &Holding{c: c, own: *l, held: held, lose: lose, quit: quit, kept: make(chan struct{})}
	h.release = sync.OnceValues(h.part)
	if err := l.unfit(); err != nil {
		h.end(err)
		close(h.kept)
		return h
	}
	h.lapses, h.final, h.over = h.own.lapse(), h.own.final(), h.own.whyLapsed()
	h.timer = time.AfterFunc(time.Until(h.lapses), h.lapse)
	go h.keep(work)
	return h
}

// Run acquires a lease, calls f while it is held, and releases it, also when f panics. It returns the error of f, joined with why the
// lease was lost, if it was. The context of f is that of Holding: over when the lease is lost. That a lease could not be released is no
// error here, since it ends by itself; Options.OnRetry is told.
func (c *Client) Run(ctx context.Context, r Request, w Waiting, f func(ctx context.Context, l *Lease) error) (err error) {
	l, err := c.Acquire(ctx, r, w)
	if err != nil {
		return err
	}
	h := c.Hold(ctx, l)
	defer func() {
		if lost, _ := h.release(); lost != nil {
			err = errors.Join(err, lost)
		}
	}()
	return f(h.Context(), l)
}

// Holding is a lease that is kept alive, by [Client.Hold]. Release or Stop has to be called in the end. It is safe for concurrent use.
type Holding struct {
	c       *Client
	own     Lease // of keep alone, and of part after it
	held    context.Context
	lose    context.CancelCauseFunc // ends held
	quit    context.CancelFunc      // ends keep
	kept    chan struct{}           // closed when keep has ended
	release func() (lost, left error)

	mu     sync.Mutex
	lapses time.Time   // when it does
	final  bool        // whether no keepalive changes that
	over   error       // why it is lost then
	timer  *time.Timer // calls lapse then; nil for a lease that can't be held
	last   error       // the last keepalive's; nil when it got through
	lost   error       // why it was lost; nil while it is not
}

// Context is over when the lease is lost, when Release or Stop is called, or when the context of Hold is; context.Cause tells which. A
// lease is lost when the service says so: lease.ErrEnded, with the reason; lease.ErrNotFound, lease.ErrForbidden. It is also lost when
// its time is over here, by the monotonic clock, since the last answer: ErrLapsed, or lease.ErrEnded with lease.ReasonDeadline when
// it can't be extended any more. Stop using the devices at once; another holder may get them.
func (h *Holding) Context() context.Context { return h.held }

// Lapse is the moment, on the local monotonic clock, at which the lease is lost unless a keepalive gets through before, and whether
// it is final: the lease's deadline, which no keepalive moves. It is zero for a lease that could not be held.
func (h *Holding) Lapse() (at time.Time, final bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lapses, h.final
}

// Release releases the lease, when the devices are used no longer, for which it takes up to 5 s. It returns why the lease was lost
// before that, or else why it could not be released; then it ends by itself. Calling it again returns the same.
func (h *Holding) Release() error {
	lost, left := h.release()
	return cmp.Or(lost, left)
}

// Stop ends the keepalives but not the lease, which somebody else keeps alive, or which ends by itself. It returns why the lease was
// lost before that.
func (h *Holding) Stop() error {
	h.lose(context.Canceled)
	h.quit()
	<-h.kept
	if h.timer != nil {
		h.timer.Stop()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lost
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
func (h *Holding) keep(ctx context.Context) {
	defer close(h.kept)
	for sleep(ctx, h.next()) && h.renew(ctx) {
		h.extend()
	}
}

// next is how long until the next keepalive: a third of what the lease has to live, but not for everyone the same.
func (h *Holding) next() time.Duration {
	interval := cmp.Or(h.own.KeepaliveInterval, h.own.TTL/3)
	if !h.own.final() {
		interval = min(interval, h.own.Remaining/3)
	}
	return max(firstPause, jitter(interval, interval/5)-time.Since(h.own.asked))
}

// renew sends keepalives until one gets through, or the lease is lost, or the context is over.
func (h *Holding) renew(ctx context.Context) bool {
	for failures := 0; ; failures++ {
		within := min(h.own.TTL/6, answerWithin) * time.Duration(min(failures, 9)+1) // longer each time, in case it is the network that is slow
		err := h.c.keepalive(ctx, &h.own, min(within, answerWithin))
		switch {
		case err == nil:
			h.c.recovered(failures)
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
func (h *Holding) failed(failures int, err error) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = err
	return max(firstPause/2, min(backoff(failures, RetryAfter(err)), time.Until(h.lapses)/4))
}

// extend takes note of a keepalive that got through.
func (h *Holding) extend() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lapses, h.final, h.over, h.last = h.own.lapse(), h.own.final(), h.own.whyLapsed(), nil
	if h.lost == nil {
		h.timer.Reset(time.Until(h.lapses))
	}
}

// lapse loses the lease because its time is over, unless it was extended at the last moment.
func (h *Holding) lapse() {
	h.mu.Lock()
	left, err := time.Until(h.lapses), h.over
	if h.last != nil {
		err = fmt.Errorf("%w; the last one: %v", err, h.last) //nolint:errorlint // not why it was lost
	}
	h.mu.Unlock()
	if left <= 0 {
		h.end(err)
	}
}

// end loses the lease.
func (h *Holding) end(why error) {
	h.mu.Lock()
	h.lost = cmp.Or(h.lost, why)
	h.mu.Unlock()
	h.lose(why)
	h.quit()
}

// part releases the lease, and says why it was lost before, or else why it is left to end by itself.
func (h *Holding) part() (lost, left error) {
	lost = h.Stop()
	if h.timer == nil {
		return lost, nil
	}
	left = h.c.release(context.WithoutCancel(h.held), &h.own, time.Now().Add(partingTime))
	if lost == nil && settled(left) {
		return left, nil // it was lost since the last keepalive
	}
	return lost, left
}
