package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// ledger is what the driver is certain of about who has which device, by its own monotonic clock. Where it can't be certain, it
// decides for the service. It is for use by several goroutines.
type ledger struct {
	mu       sync.Mutex
	devices  map[string]*custody
	accounts accounts
}

// accounts are what became of the leases, and which promises were broken.
type accounts struct {
	Granted          int      `json:"granted"`
	Released         int      `json:"released"`
	Crashed          int      `json:"crashed"`           // whose holders died, as the scenario has it
	Lapsed           int      `json:"lapsed"`            // that ended since no keepalive got through in time
	Lost             int      `json:"lost"`              // that the service said were over while they certainly lived
	DoubleGranted    int      `json:"double_granted"`    // that got a device which another one certainly had
	FenceRegressions int      `json:"fence_regressions"` // whose fence was not above that of the lease before on the device
	Unjudged         int      `json:"unjudged"`          // whose grant took so long to arrive that they may have been over
	Findings         []string `json:"findings"`          // the first broken promises, in words
}

// broken is how many promises were broken.
func (a accounts) broken() int { return a.Lost + a.DoubleGranted + a.FenceRegressions }

// custody is who has a device, and had it last.
type custody struct {
	current []*tenure // that have it, as far as anybody knows; more than one only after a double grant
	last    *tenure   // whose grant came last
	fence   int64     // the highest seen
}

// tenure is a lease as its holder knows it.
type tenure struct {
	id      string
	devices []string
	fence   int64
	queued  time.Time // since when its holder stood in line for it; zero for not at all
	renewed time.Time // when the last request was sent that is known to have extended it
	until   time.Time // it certainly lives until then, unless it is given up before
	left    time.Time // when its holder gave it up: just before the release was sent; zero while it has not
	crashed bool      // its holder died
	over    bool      // the service said that it is over
}

// succession is how a device came from one holder to one who had been waiting for it.
type succession struct {
	op   operation
	from time.Time
}

func newLedger() *ledger { return &ledger{devices: map[string]*custody{}} }

// granted enters a lease whose grant was received at a moment, and tells how each of its devices came from a holder before.
func (l *ledger) granted(t *tenure, received time.Time) []succession {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accounts.Granted++
	certain := received.Before(t.until)
	if !certain {
		l.accounts.Unjudged++
	}
	var handed []succession
	double, regressed := "", ""
	for _, device := range t.devices {
		c := l.devices[device]
		if c == nil {
			c = &custody{}
			l.devices[device] = c
		}
		if other := c.holder(t, received); certain && other != nil {
			double = fmt.Sprintf("%s: granted to lease %s, fence %d, while lease %s, fence %d, had it for %s more",
				device, t.id, t.fence, other.id, other.fence, latency(other.until.Sub(received)))
		}
		if certain && c.last != nil && c.last.id != t.id && t.fence <= c.fence {
			regressed = fmt.Sprintf("%s: lease %s has fence %d, not above %d of the lease before", device, t.id, t.fence, c.fence)
		}
		handed = append(handed, c.take(t)...)
	}
	l.find(double, &l.accounts.DoubleGranted)
	l.find(regressed, &l.accounts.FenceRegressions)
	return handed
}

// holder is another lease that certainly has the device at a moment; nil when there is none. Those that don't are forgotten.
func (c *custody) holder(t *tenure, at time.Time) *tenure {
	c.current = slices.DeleteFunc(c.current, func(o *tenure) bool {
		return o.id == t.id || o.over || !o.left.IsZero() || !at.Before(o.until)
	})
	if len(c.current) == 0 {
		return nil
	}
	return c.current[0]
}

// take enters the lease as the one that has the device now.
func (c *custody) take(t *tenure) []succession {
	before := c.last
	c.current, c.last, c.fence = append(c.current, t), t, max(c.fence, t.fence)
	switch {
	case before == nil || before.over || t.queued.IsZero():
	case !before.left.IsZero() && t.queued.Before(before.left):
		return []succession{{opHandoff, before.left}}
	case before.crashed && t.queued.Before(before.until):
		return []succession{{opRecovery, before.renewed}}
	}
	return nil
}

// renewed enters the success of a keepalive that was sent at a moment, and told how long the lease lives from then on at the least.
func (l *ledger) renewed(t *tenure, sent time.Time, remaining time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := sent.Add(remaining); until.After(t.until) {
		t.renewed, t.until = sent, until
	}
}

// leaving enters that the holder is about to give the lease up. Call it before the release is sent.
func (l *ledger) leaving(t *tenure, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.left = at
}

// released enters that a release succeeded.
func (l *ledger) released() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accounts.Released++
}

// crash enters that the holder has died: it will neither keep the lease alive nor give it up.
func (l *ledger) crash(t *tenure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.crashed = true
	l.accounts.Crashed++
}

// ended enters that the service said, in an answer received at a moment to this operation, that the lease is over. After the holder
// gave it up, that is what a keepalive hears which was still under way.
func (l *ledger) ended(t *tenure, op operation, code string, received time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.over || op == opKeepalive && !t.left.IsZero() {
		return
	}
	t.over = true
	if !received.Before(t.until) {
		l.accounts.Lapsed++
		return
	}
	l.find(fmt.Sprintf("%s: the %s of lease %s, fence %d, was answered %s, though it had %s more",
		t.devices[0], op, t.id, t.fence, code, latency(t.until.Sub(received))), &l.accounts.Lost)
}

// find counts a broken promise, "" for none; the caller has the lock.
func (l *ledger) find(what string, count *int) {
	const most = 20
	if what == "" {
		return
	}
	*count++
	if len(l.accounts.Findings) < most {
		l.accounts.Findings = append(l.accounts.Findings, what)
	}
}

// sum is what the accounts are now.
func (l *ledger) sum() accounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := l.accounts
	sum.Findings = append([]string{}, l.accounts.Findings...) // never null in the record
	return sum
}
