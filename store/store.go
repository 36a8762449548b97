// Package store keeps leases in Redis. Every change is one Lua script, so any number of processes may use one Redis, and
// every decision is made by Redis's clock. The keys are described at poolKeys, the scripts in scripts/*.lua.
//
// Errors are of type *lease.Error. An outage is never taken for an absence: whatever keeps Redis from answering is
// lease.CodeUnavailable, within Options.Timeout.
package store

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"github.com/automation-infra/automation-infra/lease"
)

// batch is how many things one script is given to look at.
const batch = 32

// Options are the choices of a Store.
type Options struct {
	Timeout    time.Duration         // how long one call to Redis may take; 0 for 800 ms
	Grace      time.Duration         // how long a lock outlives what its holder was told, so that the holder stops first
	Confirm    int                   // how many replicas of Redis must have what a holder is told, before it is; 0 for none
	Registerer prometheus.Registerer // where metrics are registered; nil for nowhere
	Log        *slog.Logger          // for what Guard finds out about Redis; nil for nowhere
}

// Store is the leases, in Redis. It is safe for concurrent use.
type Store struct {
	rdb          redis.UniversalClient
	pipeline     pipeline
	loading      singleflight.Group // of scripts
	timeout      time.Duration
	grace        time.Duration
	confirmation confirmation
	scripts      *scripts
	metrics      *metrics
	bells        bells
	guard        guard
	log          *slog.Logger
	joined       chan struct{} // holds one element after a lease joined a line
	emptied      chan struct{} // holds one element after it was seen that Redis lost its state
}

// New returns a store that uses a Redis. The client should have ContextTimeoutEnabled with ReadTimeout and WriteTimeout -1, so
// that Options.Timeout holds, and MaxRetries -1, because a script may have run though its reply was lost.
func New(rdb redis.UniversalClient, o Options) *Store { return newStore(rdb, o, loadScripts()) }

func newStore(rdb redis.UniversalClient, o Options, sc *scripts) *Store {
	if o.Timeout == 0 {
		o.Timeout = 800 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Store{
		rdb: rdb, pipeline: pipeline{rdb: rdb, timeout: o.Timeout}, timeout: o.Timeout, grace: o.Grace, confirmation: confirmation{replicas: o.Confirm, patience: o.Timeout / 4},
		scripts: sc, metrics: newMetrics(o.Registerer), joined: make(chan struct{}, 1), emptied: make(chan struct{}, 1), log: o.Log,
	}
}

// Ping says whether Redis answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.call(ctx, "ping", func(ctx context.Context) error { return s.rdb.Ping(ctx).Err() })
}

// call runs one exchange with Redis under the store's timeout, and measures it.
func (s *Store) call(ctx context.Context, operation string, exchange func(context.Context) error) error {
	return s.measure(operation, func() error {
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		return exchange(ctx)
	})
}

// measure runs one exchange with Redis.
func (s *Store) measure(operation string, exchange func() error) error {
	start := time.Now()
	err := classify(operation, exchange())
	s.metrics.called(operation, time.Since(start), err)
	return err
}

// run calls a script on a pool, and then reaps as long as there is more to do than one script should.
func (s *Store) run(ctx context.Context, sc script, pool string, args ...any) (reply, error) {
	r, err := s.once(ctx, sc, pool, args...)
	if err == nil && r.more {
		// That this may fail is not to spoil what succeeded: the reaper does the same.
		_, _ = s.Reap(ctx, pool)
	}
	return r, err
}

// once calls a script on a pool.
func (s *Store) once(ctx context.Context, sc script, pool string, args ...any) (reply, error) {
	var raw []any
	replicated := true
	err := s.measure(sc.name, func() (err error) {
		if sc.promises && s.confirmation.replicas > 0 {
			raw, replicated, err = s.runConfirmed(ctx, sc, poolKeys(pool), args)
		} else {
			raw, err = s.eval(ctx, sc, poolKeys(pool), args)
		}
		return err
	})
	if err != nil {
		return reply{}, err
	}
	r, err := parseReply(sc.name, raw)
	if err != nil {
		return reply{}, err
	}
	r.replicated = replicated
	if s.confirmation.replicas > 0 && sc.promises && r.denies() && (!replicated || !s.follows(ctx, pool)) {
		return reply{}, notReplicated(nil)
	}
	s.metrics.report(pool, r)
	return r, nil
}

// Allocate grants a lease, or returns the one that the same id has already; granted tells which. With g.Wait a lease that
// can't be granted now waits in line: it is pending. The errors are lease.CodeNoneFree; lease.CodeQuota when the holder has as
// much as the pool allows; lease.CodeInvalid when the id is that of another request; lease.CodeEnded when its lease is over;
// lease.CodeNotReplicated when too few replicas have it, after which the same call may succeed; lease.CodeUnavailable with
// RetryAfter while nothing is granted since Redis lost its state.
func (s *Store) Allocate(ctx context.Context, g lease.Grant) (l *lease.Lease, granted bool, err error) {
	args := s.allocateArgs(g)
	reply, err := s.run(ctx, s.scripts.allocate, g.ID.Pool(), args...)
	for err == nil && reply.more && reply.outcome == "none_free" { // what was due then is free now
		reply, err = s.run(ctx, s.scripts.allocate, g.ID.Pool(), args...)
	}
	if err != nil {
		return nil, false, err
	}
	switch reply.outcome {
	case "granted", "waits", "existing":
		if reply.outcome == "waits" {
			wake(s.joined)
		}
		l, err := reply.lease(0, g.ID)
		s.guard.note(g.ID.Pool(), g.TTL)
		if errors.Is(err, lease.ErrNotReplicated) && reply.outcome == "granted" {
			err = notReplicated(s.Retract(ctx, g.ID))
		}
		return l, reply.outcome == "granted", err
	case "other_request":
		return nil, false, lease.Invalid("Lease-Token", "this token already holds a lease for a different request; use a fresh token for each request")
	case "quota":
		return nil, false, reply.quota(g)
	case "none_free":
		return nil, false, reply.noneFree(g.Matching)
	case "paused":
		return nil, false, reply.paused(g.ID.Pool())
	}
	return nil, false, reply.fault()
}

func (s *Store) allocateArgs(g lease.Grant) []any {
	r := g.Request
	return []any{
		g.ID.String(), r.Digest(), g.TTL.Milliseconds(), g.MaxHold.Milliseconds(), s.grace.Milliseconds(),
		r.Holder, r.Purpose, r.Link, demandsText(r.Demands), wantsText(g.Wants), g.Matching,
		r.Priority, g.Queueing.Ageing.Milliseconds(), g.Queueing.AskWithin.Milliseconds(), g.Wait,
		g.Limits.LeasesPerHolder, g.Limits.DevicesPerHolder,
	}
}

// Poll asks for a lease. One that waits in line does so for another lease.Queueing.AskWithin, and is granted if it can be. The
// errors are lease.CodeNotFound when it has no record, and lease.CodeNotReplicated when too few replicas have it.
func (s *Store) Poll(ctx context.Context, id lease.ID) (*lease.Lease, error) {
	reply, err := s.run(ctx, s.scripts.poll, id.Pool(), id.String())
	if err != nil {
		return nil, err
	}
	if reply.outcome == "polled" {
		l, err := reply.lease(0, id)
		if l != nil {
			s.guard.note(id.Pool(), l.TTL)
		}
		return l, err
	}
	return nil, reply.fault()
}

// Keepalive extends a lease to now + TTL, never past its deadline. When too few replicas have that, the holder is promised no
// more than they were known to have before. The errors are lease.CodeNotFound and lease.CodeEnded.
func (s *Store) Keepalive(ctx context.Context, id lease.ID) (lease.Renewal, error) {
	reply, err := s.run(ctx, s.scripts.keepalive, id.Pool(), id.String())
	if err != nil {
		return lease.Renewal{}, err
	}
	if reply.outcome != "renewed" {
		return lease.Renewal{}, reply.fault()
	}
	r, err := reply.renewal()
	s.guard.note(id.Pool(), r.TTL)
	if s.confirmation.replicas > 0 && err == nil {
		r.Replicated = &reply.replicated
		r.Expire, err = s.confirmed(ctx, id, r.Expire, reply.replicated)
	}
	return r, err
}

// Release ends a lease because its holder returns it; again is no error. The errors are lease.CodeNotFound, and
// lease.CodeEnded when it was over otherwise before.
func (s *Store) Release(ctx context.Context, id lease.ID) error { return s.release(ctx, id, false) }

// Retract takes a grant back as if it had never been, so that the same id can be granted again; not if its holder, who may use it,
// was told of it since.
func (s *Store) Retract(ctx context.Context, id lease.ID) error { return s.release(ctx, id, true) }

func (s *Store) release(ctx context.Context, id lease.ID, retract bool) error {
	reply, err := s.run(ctx, s.scripts.release, id.Pool(), id.String(), retract)
	if err != nil {
		return err
	}
	if reply.outcome == "released" || reply.outcome == "kept" {
		return nil
	}
	return reply.fault()
}

// Reap ends leases and tickets of the pool that are due, hands what is free to its line, and forgets old leases. next is how
// long until another lease is due, 0 when nobody waits for that.
func (s *Store) Reap(ctx context.Context, pool string) (next time.Duration, err error) {
	reply, err := s.once(ctx, s.scripts.reap, pool)
	for err == nil && reply.more {
		reply, err = s.once(ctx, s.scripts.reap, pool)
	}
	if err != nil || len(reply.rest) == 1 && reply.rest[0] == "" {
		return 0, err
	}
	ms, err := reply.integer(0)
	return time.Duration(max(1, ms)) * time.Millisecond, err
}
