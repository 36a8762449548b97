package store_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// alone is how many calls go to Redis by themselves before others gather.
const alone = 2

// gathering is a hook that holds the first calls to Redis back until so many have come, of which the others then go together. It notes how
// many leases were in one call at the most, and how many calls there were.
type gathering struct {
	all, come, held atomic.Int64
	together, calls atomic.Int64
}

func (*gathering) DialHook(next redis.DialHook) redis.DialHook { return next }

func (g *gathering) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			g.note(cmd)
		}
		return next(ctx, cmds)
	}
}

func (g *gathering) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "evalsha" && g.held.Add(1) <= alone {
			for g.come.Load() < g.all.Load() {
				runtime.Gosched()
			}
			for range 100 { // until they wait
				runtime.Gosched()
			}
		}
		g.note(cmd)
		return next(ctx, cmd)
	}
}

func (g *gathering) note(cmd redis.Cmder) {
	if cmd.Name() != "evalsha" {
		return
	}
	g.calls.Add(1)
	if leases := int64(len(cmd.Args())) - 4; leases > g.together.Load() { // evalsha, digest, 1, pool
		g.together.Store(leases)
	}
}

// renewal is what a keepalive was told.
type renewal struct {
	lease.Renewal
	err error
}

// renewTogether keeps leases alive, all but the first two in one call to Redis, and returns what they were told; after is the time
// that passes before. It may take several attempts: whether all come before the first is answered is up to the scheduler.
func (l *lab) renewTogether(t *testing.T, ids []lease.ID, after time.Duration) (told []renewal, gather *gathering, attempts int) {
	t.Helper()
	client, gather := storetest.Client(t, l.Addr), &gathering{}
	client.AddHook(gather)
	s := store.New(client, store.Options{Grace: grace, Timeout: 20 * time.Second})
	gather.all.Store(int64(len(ids)))
	for attempts = 1; attempts <= 50; attempts++ {
		l.Advance(after)
		gather.held.Store(0)
		gather.come.Store(0)
		gather.calls.Store(0)
		told = make([]renewal, len(ids))
		var all sync.WaitGroup
		for i, id := range ids {
			all.Go(func() {
				gather.come.Add(1)
				told[i].Renewal, told[i].err = s.Keepalive(t.Context(), id)
			})
		}
		all.Wait()
		if gather.together.Load() == int64(len(ids)-alone) {
			return told, gather, attempts
		}
	}
	t.Fatal("they never went together")
	return nil, nil, 0
}

// Leases that are kept alive together are each told, and get, what they would alone, whatever is the matter with others.
func TestKeepaliveTogether(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, plain(9)...)
		over := l.grant(t, lease.Request{MaxHold: 5 * time.Minute}).ID
		released := l.take(t, "d001").ID
		l.release(t, released)
		r.Advance(5*time.Minute + grace/2)
		lost := l.take(t, "d002").ID
		pair := l.grant(t, lease.Request{Demands: []lease.Demand{{Count: 2}}}).ID
		ids := []lease.ID{l.take(t, "d005").ID, over, l.take(t, "d006").ID, released, pair, lost, lease.NewToken().ID(pool), l.take(t, "d007").ID}
		codes := []lease.Code{1: lease.CodeEnded, 3: lease.CodeEnded, 5: lease.CodeEnded, 6: lease.CodeNotFound, 7: ""}
		if err := r.Client.Del(t.Context(), "lock:{default}:d002").Err(); err != nil {
			t.Fatal(err)
		}
		check := func() {
			t.Helper()
			all, _, _ := l.renewTogether(t, ids, time.Second)
			for i, told := range all {
				if codes[i] != "" {
					wantCode(t, told.err, codes[i])
					continue
				}
				if told.err != nil || !l.about(told.Expire.Sub(told.Now), ttl) || told.TTL != ttl {
					t.Errorf("lease %d: %+v", i, told)
				}
				if got := l.read(t, ids[i]); !l.about(got.Remaining(), ttl) {
					t.Errorf("lease %d: read to remain %s, want %s", i, got.Remaining(), ttl)
				}
			}
			checkLocks(t, l.dump(t))
		}
		check()

		broken := lease.NewToken().ID(pool) // Redis refuses the whole call
		if err := r.Client.Set(t.Context(), "lease:{default}:"+broken.String(), "no hash", 0).Err(); err != nil {
			t.Fatal(err)
		}
		ids, codes = slices.Insert(ids, 4, broken), slices.Insert(codes, 4, lease.CodeInternal)
		check()
	})
}

// Leases that are kept alive together within the grace leave a trace of being late, each of its own.
func TestKeepaliveTogetherLate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l, ids := newLab(t, r, plain(4)...), make([]lease.ID, 4)
		const short = 10 * time.Second
		for i := range ids {
			ids[i] = l.grant(t, lease.Request{TTL: short}).ID
		}
		all, _, attempts := l.renewTogether(t, ids, short+grace/2)
		late := map[string]int{}
		for _, event := range l.events(t, "renewed_late") {
			late[event["lease"]]++
		}
		for i, told := range all {
			if told.err != nil || late[ids[i].String()] != attempts {
				t.Errorf("lease %d: %v, late %d times of %d", i, told.err, late[ids[i].String()], attempts)
			}
		}
	})
}

// Leases of more devices than one script is to see to are kept alive all the same, the last of them by themselves.
func TestKeepaliveTogetherIsBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		const leases, inOne = 8, 128 / lease.MaxDevices
		l, ids := newLab(t, r, plain(leases*lease.MaxDevices)...), make([]lease.ID, leases)
		for i := range ids {
			ids[i] = l.grant(t, lease.Request{Demands: []lease.Demand{{Count: lease.MaxDevices}}}).ID
		}
		l.renew(t, ids[0]) // Redis has the script from now on
		all, gather, _ := l.renewTogether(t, ids, time.Second)
		for i, told := range all {
			if told.err != nil || !l.about(told.Expire.Sub(told.Now), ttl) {
				t.Errorf("lease %d: %+v", i, told)
			}
		}
		if calls, want := gather.calls.Load(), int64(leases-inOne+1); calls != want {
			t.Errorf("%d calls, want %d: %d leases together, the others alone", calls, want, inOne)
		}
		checkLocks(t, l.dump(t))
	})
}
