package store

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/lease"
)

// confirmation is how many replicas of Redis are to have what a holder is told, before it is: what only the master has is lost
// with it.
type confirmation struct {
	replicas int           // 0 for none
	patience time.Duration // how long a call waits for them, twice when Redis has to be given the script first

	behind  atomic.Bool // whether they did not have what was last asked about
	waiting atomic.Bool // whether a call waits in full, though they are behind
}

// impatience is how long a call waits for replicas that are behind while another waits in full. All would otherwise sit on
// their connections, until there is none left.
const impatience = 10 * time.Millisecond

// begin returns how long to wait for the replicas now; the caller then says by end whether they had it all.
func (c *confirmation) begin() (patience time.Duration, end func(replicated bool)) {
	if c.behind.Load() && !c.waiting.CompareAndSwap(false, true) {
		return impatience, c.learn
	}
	return c.patience, func(replicated bool) {
		c.learn(replicated)
		c.waiting.Store(false)
	}
}

func (c *confirmation) learn(replicated bool) { c.behind.Store(!replicated) }

// runConfirmed runs a script, and reports whether the replicas have what it wrote, and whatever was written before.
//
// WAIT is about what its own connection wrote, so it goes with the script in one pipeline, to the one master of the keys: see
// https://redis.io/docs/latest/commands/wait/.
func (s *Store) runConfirmed(ctx context.Context, sc script, keys []string, args []any) (raw []any, replicated bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	master, err := s.master(ctx, keys[0])
	if err != nil {
		return nil, false, err
	}
	patience, end := s.confirmation.begin()
	defer func() { end(replicated) }()
	exchange := func(eval func(context.Context, redis.Scripter, []string, ...any) *redis.Cmd) (answer, have *redis.Cmd) {
		p := master.Pipeline()
		answer = eval(ctx, p, keys, args...)
		have = p.Do(ctx, "WAIT", s.confirmation.replicas, patience.Milliseconds())
		_, _ = p.Exec(ctx) // each command has its error
		return answer, have
	}
	answer, have := exchange(sc.EvalSha)
	if redis.HasErrorPrefix(answer.Err(), "NOSCRIPT") {
		answer, have = exchange(sc.Eval)
	}
	raw, err = answer.Slice()
	if err != nil {
		s.relocate(ctx)
		return nil, false, err
	}
	n, err := have.Int64()
	return raw, n >= int64(s.confirmation.replicas), err
}

// master is the Redis that a key is written to.
func (s *Store) master(ctx context.Context, key string) (redis.UniversalClient, error) {
	if cluster, is := s.rdb.(*redis.ClusterClient); is {
		return cluster.MasterForKey(ctx, key)
	}
	return s.rdb, nil
}

// relocate has the client of a Cluster look anew where the keys are, which it does by itself only for what it sends itself.
func (s *Store) relocate(ctx context.Context) {
	if cluster, is := s.rdb.(*redis.ClusterClient); is {
		cluster.ReloadState(ctx)
	}
}

// follows reports whether the replicas take what is written now. A script that wrote nothing proves nothing by its WAIT.
func (s *Store) follows(ctx context.Context, pool string) bool {
	key := pulseKey(pool)
	var have int64
	err := s.call(ctx, "pulse", func(ctx context.Context) error {
		master, err := s.master(ctx, key)
		if err != nil {
			return err
		}
		p := master.Pipeline()
		beat := p.Set(ctx, key, "", time.Second)
		acknowledged := p.Do(ctx, "WAIT", s.confirmation.replicas, s.confirmation.patience.Milliseconds())
		_, _ = p.Exec(ctx) // each command has its error
		if err := beat.Err(); err != nil {
			return err
		}
		have, err = acknowledged.Int64()
		return err
	})
	return err == nil && have >= int64(s.confirmation.replicas)
}

// notReplicated is the error of an active lease that too few replicas have, so that nobody may be told of it.
func notReplicated(cause error) error {
	return &lease.Error{
		Code: lease.CodeNotReplicated, Cause: cause,
		Message: "too few replicas of the lease store have the lease, which might be lost with the master; try again with the same token",
	}
}

// confirmed returns until when the replicas know a lease to live that was just extended: as the master does when they have that, which
// is recorded then, and as far as it was recorded before when not.
func (s *Store) confirmed(ctx context.Context, id lease.ID, expire time.Time, replicated bool) (time.Time, error) {
	keys := poolKeys(id.Pool())
	if replicated {
		// That this may fail only has less promised the next time.
		_ = s.call(ctx, s.scripts.confirm.name, func(ctx context.Context) error {
			return s.scripts.confirm.Run(ctx, s.rdb, keys, id.String(), expire.UnixMilli()).Err()
		})
		return expire, nil
	}
	var before int64
	err := s.call(ctx, s.scripts.confirmed.name, func(ctx context.Context) (err error) {
		before, err = s.scripts.confirmed.Run(ctx, s.rdb, keys, id.String()).Int64()
		return err
	})
	if known := time.UnixMilli(before).UTC(); known.Before(expire) {
		expire = known
	}
	return expire, err
}
