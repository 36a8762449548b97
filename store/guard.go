package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	guardEvery = time.Second // how late it is noticed that Redis lost its state, or that its clock jumped

	// leastJump is by how much Redis's clock has to be off ours between two looks to have jumped, and drift how much more for the time
	// between them: NTP slews by 500 ppm, and quartz is off by less.
	leastJump = time.Second
	drift     = 1000 // a thousandth
)

// guard is what a process remembers of Redis, to know whether it still has what it had.
type guard struct {
	mu     sync.Mutex
	pools  map[string]*guarded
	clocks map[string]reading
}

// guarded is what is remembered of a pool.
type guarded struct {
	epoch   string        // ms when its state began, as Redis says; "" before it did
	ttl     time.Duration // of a lease that asks for none, where the inventory is known
	told    time.Duration // the longest TTL that a holder was told since the last look
	longest time.Duration // the longest that any was told lately, as Redis knew at the last look
	grace   time.Duration
	resume  time.Time // when grants go on, by our clock; the past when they are not paused
}

// reading is what Redis's clock said, some time between two moments of ours.
type reading struct {
	before, after time.Time // with monotonic parts
	theirs        time.Time
}

// Guard looks once a second whether Redis still has the state of the pools that this process has to do with, and pauses grants if
// not; and whether Redis's clock runs as ours. It ends with the context. In an outage it sees nothing.
func (s *Store) Guard(ctx context.Context) {
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = s.Look(ctx) // who asks for something is told of the outage
		}
	}
}

// Look is one look of Guard at every pool.
func (s *Store) Look(ctx context.Context) error {
	var failures []error
	for _, pool := range s.guard.known() {
		before := time.Now()
		r, err := s.runGuarded(ctx, s.scripts.guard, pool)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		s.compareClocks(pool, reading{before, time.Now(), r.now})
	}
	return errors.Join(failures...)
}

// runGuarded runs a script that begins with what guard in epoch.lua takes, and replies with what it gives.
func (s *Store) runGuarded(ctx context.Context, sc script, pool string, args ...any) (reply, error) {
	known := s.guard.take(pool)
	grace := max(s.grace, known.grace)
	pause := max(known.longest, known.told, known.ttl) + grace
	r, err := s.run(ctx, sc, pool, append([]any{
		known.epoch, pause.Milliseconds(), max(known.told, known.ttl).Milliseconds(), grace.Milliseconds(),
	}, args...)...)
	if err != nil {
		s.guard.note(pool, known.told)
		return reply{}, err
	}
	return r, s.learn(pool, known, r)
}

// learn remembers what a script told of a pool, and tells if Redis lost what was known before.
func (s *Store) learn(pool string, known guarded, r reply) error {
	longest, err1 := r.integer(1)
	grace, err2 := r.integer(2)
	left, err3 := r.integer(3)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	epoch, paused := text(r.rest[0]), time.Duration(left)*time.Millisecond
	lost := s.guard.learn(pool, known, guarded{
		epoch: epoch, longest: time.Duration(longest) * time.Millisecond, grace: time.Duration(grace) * time.Millisecond,
		resume: time.Now().Add(paused),
	})
	s.metrics.guarded(pool, paused, lost)
	if lost {
		wake(s.emptied)
		s.log.Warn("Redis came back without its state; devices may be in use by holders from before", "pool", pool,
			"grants_paused", paused.Round(time.Second).String(), "epoch_before", known.epoch, "epoch", epoch)
	}
	return nil
}

// Pauses returns the pools in which nothing is granted for now, since Redis lost its state, and when that is over.
func (s *Store) Pauses() map[string]time.Time {
	s.guard.mu.Lock()
	defer s.guard.mu.Unlock()
	found := map[string]time.Time{}
	for pool, g := range s.guard.pools {
		if time.Now().Before(g.resume) {
			found[pool] = g.resume
		}
	}
	return found
}

// compareClocks tells if Redis's clock jumped since the last look.
func (s *Store) compareClocks(pool string, now reading) {
	clock := "" // all pools have one
	if _, is := s.rdb.(*redis.ClusterClient); is {
		clock = pool
	}
	last, known := s.guard.read(clock, now)
	if !known {
		return
	}
	jump := now.jumped(last)
	if jump == 0 {
		return
	}
	s.metrics.jumped(jump)
	s.log.Warn("Redis's clock jumped: leases end that much earlier, or later if it went back",
		"pool", pool, "by", jump.Round(time.Millisecond).String())
}

// jumped is by how much Redis's clock went further than ours since a reading before, at least; negative when it went back, 0 when that may
// be nothing.
func (r reading) jumped(last reading) time.Duration {
	theirs := r.theirs.Sub(last.theirs)
	least, most := theirs-r.after.Sub(last.before), theirs-r.before.Sub(last.after)
	tolerance := leastJump + r.after.Sub(last.before)/drift
	switch {
	case least > tolerance:
		return least
	case most < -tolerance:
		return most
	}
	return 0
}

// known is the pools that there is something to remember of.
func (g *guard) known() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.pools))
}

// of is what is remembered of a pool, to be changed under mu.
func (g *guard) of(pool string) *guarded {
	known := g.pools[pool]
	if known == nil {
		known = &guarded{}
		if g.pools == nil {
			g.pools = map[string]*guarded{}
		}
		g.pools[pool] = known
	}
	return known
}

// note remembers that a holder was told a TTL.
func (g *guard) note(pool string, ttl time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := g.of(pool)
	known.told = max(known.told, ttl)
}

// inventory remembers the TTL of a pool.
func (g *guard) inventory(pool string, ttl time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.of(pool).ttl = ttl
}

// take is what is remembered of a pool; what holders were told counts from now on anew.
func (g *guard) take(pool string) guarded {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := g.of(pool)
	taken := *known
	known.told = 0
	return taken
}

// learn takes over what a look saw, and reports whether that is another state than the one known before.
func (g *guard) learn(pool string, before, seen guarded) (lost bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := g.of(pool)
	known.longest, known.grace, known.resume = seen.longest, seen.grace, seen.resume
	lost = before.epoch != "" && seen.epoch != before.epoch && known.epoch == before.epoch
	if known.epoch == before.epoch {
		known.epoch = seen.epoch
	}
	return lost
}

// read takes over what a clock says, and returns what it said before.
func (g *guard) read(clock string, now reading) (last reading, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	last, known = g.clocks[clock]
	if g.clocks == nil {
		g.clocks = map[string]reading{}
	}
	g.clocks[clock] = now
	return last, known
}
