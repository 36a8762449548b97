package faults_test

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// request is what a client asks.
type request int

const (
	allocate request = iota
	keepalive
	release
	revoke // somebody removes the lock by hand
)

func (r request) String() string { return [...]string{"allocate", "keepalive", "release", "revoke"}[r] }

// outcome is what a client learnt.
type outcome int

const (
	unknown outcome = iota // it may have happened, or may yet
	done                   // granted, renewed, released, revoked
	refused                // nobody can have the device now
	gone                   // the lease is over, or there is none
	unsent                 // nobody got the request
)

func (o outcome) String() string {
	return [...]string{"unknown", "done", "refused", "gone", "unsent"}[o]
}

// operation is one request, as its client saw it. Times are since the history began.
type operation struct {
	client    int
	request   request
	device    string
	lease     int // one number for each token, from 1
	call, ret time.Duration
	outcome   outcome
	fence     int64         // of a grant
	until     time.Duration // until when the lease is certain, of a grant or renewal
	code      string        // of an error
}

func (o operation) String() string {
	return fmt.Sprintf("client %d: %s lease %d of %s from %.3f to %.3f s: %s %s, fence %d, certain until %.3f s",
		o.client, o.request, o.lease, o.device, o.call.Seconds(), o.ret.Seconds(), o.outcome, o.code, o.fence, o.until.Seconds())
}

// history is operations as they happen. It is safe for concurrent use.
type history struct {
	begin time.Time

	mu         sync.Mutex
	operations []operation
	leases     int
}

func newHistory() *history { return &history{begin: time.Now()} }

// now is the time since the history began.
func (h *history) now() time.Duration { return time.Since(h.begin) }

// lease numbers a new token.
func (h *history) lease() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leases++
	return h.leases
}

func (h *history) add(o operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, o)
}

// all returns the operations so far, in the order of their calls.
func (h *history) all() []operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	sorted := slices.Clone(h.operations)
	slices.SortStableFunc(sorted, func(a, b operation) int { return int(a.call - b.call) })
	return sorted
}

// count is how many such operations were sent after a time.
func (h *history) count(after time.Duration, such func(operation) bool) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, o := range h.operations {
		if o.call >= after && such(o) {
			n++
		}
	}
	return n
}
