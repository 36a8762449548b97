package api

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"github.com/automation-infra/automation-infra/lease"
)

// MaxWait is the longest that a request may wait in line; a client that wants to wait longer asks again.
const MaxWait = 10 * time.Minute

// defaultReread is AllocatorOptions.Reread when it is 0.
const defaultReread = 5 * time.Second

// WaitInput is what a request takes that may wait in line. It is exported for huma, as PageInput.
type WaitInput struct {
	Wait string `query:"wait" example:"30s" doc:"How long to wait in line if there is no device now, 0s to 10m; 0s joins the line and answers at once"`

	given bool // whether the request has it at all
	wait  time.Duration
}

// Resolve reads the wait, and gives the answer as much more time: of this request only, since net/http sets its deadline anew for
// each. How long reading may take needs no change: it ends with the body.
func (in *WaitInput) Resolve(ctx huma.Context) []error {
	c := humagin.Unwrap(ctx)
	text, given := c.GetQuery("wait")
	if !given {
		return nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 || wait > MaxWait {
		return []error{&huma.ErrorDetail{Location: "query.wait", Message: "a wait is a duration of 0s to 10m, such as 30s or 2m", Value: text}}
	}
	in.given, in.wait = true, wait
	c.Set(waitKey, true)
	// This fails where there is no connection, as in tests, or none any more.
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(wait + writeTimeout))
	return nil
}

// waitKey marks a request that may wait.
const waitKey = "wait"

// mayWait reports whether a request asked to wait, so that how long it took says nothing of how fast the service is.
func mayWait(c *gin.Context) bool { return c.GetBool(waitKey) }

// line is where requests wait. Each waits in its own goroutine, for what the store tells of its lease, and holds nothing else: not even
// its place among the requests that are served at once.
type line struct {
	store    Allocator
	stopping <-chan struct{}
	reread   time.Duration // how often to look without being told
	waiting  *limit
}

// await asks for a lease, and again whenever it may have changed, until it is pending no longer or the wait is over. It returns
// what it learnt last, and whether the lease was pending before; at the end of the wait it asks once more. When the service stops,
// or the client has gone, it returns at once. An outage during the wait costs no ticket: it is an error only if it lasts to the end.
func (w *line) await(ctx context.Context, id lease.ID, wait time.Duration, ask func(again bool) (*lease.Lease, error)) (l *lease.Lease, waited bool, err error) {
	if wait == 0 {
		l, err = ask(false)
		return l, false, err
	}
	changed, stop := w.store.Watch(id) // before asking, so that no change after the answer goes unnoticed
	defer stop()
	if l, err = ask(false); err != nil || l.State != lease.StatePending {
		return l, false, err
	}
	if !w.waiting.enter() { // it is asked again after Retry-After; the place in line is kept until then
		return l, false, nil
	}
	defer w.waiting.leave()
	leavePlace(ctx)
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		switch w.pause(ctx, l, changed, over.C) {
		case endOfWait:
			l, err = ask(true)
			return l, true, err
		case endOfCall:
			return l, true, nil
		}
		now, err := ask(true)
		switch {
		case errors.Is(err, lease.ErrUnavailable), errors.Is(err, lease.ErrNotReplicated):
			continue // the ticket lives on, and so does a lease that is to be confirmed yet
		case err != nil || now.State != lease.StatePending:
			return now, true, err
		}
		l = now
	}
}

// event is what ended a pause.
type event int

const (
	askAgain  event = iota // the lease may have changed
	endOfWait              // the client wants an answer now
	endOfCall              // nobody wants an answer any more, or nobody can wait for one
)

// pause waits for the next event.
func (w *line) pause(ctx context.Context, l *lease.Lease, changed <-chan struct{}, over <-chan time.Time) event {
	longest := min(w.reread, askInterval(l))
	reread := time.NewTimer(longest/2 + rand.N(longest/2+1)) //nolint:gosec // no secret, only that not all ask at once
	defer reread.Stop()
	select {
	case <-ctx.Done():
		return endOfCall
	case <-w.stopping:
		return endOfCall
	case <-over:
		return endOfWait
	case <-changed:
	case <-reread.C:
	}
	return askAgain
}

// askInterval is how often to ask for a pending lease: often enough, even if two askings are lost, that neither the ticket is dropped
// nor the lease, once granted, has expired unseen.
func askInterval(l *lease.Lease) time.Duration { return min(l.Queue.AskWithin, l.TTL) / 3 }

// retryAfter is askInterval as clients are told it.
func retryAfter(l *lease.Lease) int64 { return max(1, seconds(askInterval(l))) }
