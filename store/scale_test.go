package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// crowd is a big lab on a busy morning: 10,000 devices in 20 classes, almost all of them leased, and 1,000 requests of all
// kinds that wait.
type crowd struct {
	*lab
	held    []*lease.Lease
	waiting []*lease.Lease
}

func newCrowd(t testing.TB, r *storetest.Redis) *crowd {
	const devices, classes, waiting = 10_000, 20, 1_000
	c := &crowd{lab: newLab(t, r)}
	c.queueing = lease.Queueing{AskWithin: time.Hour}
	all := make([]lease.Device, devices)
	for i := range all {
		all[i] = device(fmt.Sprintf("d%05d", i), fmt.Sprintf("m%02d", i%classes))
	}
	c.reconcile(t, all...)
	for i := range devices {
		if i%classes == 0 && i >= devices/2 {
			continue // these stay free, for requests that wait for something else as well
		}
		c.held = append(c.held, c.take(t, all[i].Name))
	}
	for i := range waiting {
		c.waiting = append(c.waiting, c.queue(t, c.request(i)))
	}
	return c
}

// request is the i-th of those that wait.
func (c *crowd) request(i int) lease.Request {
	class := fmt.Sprintf("model=m%02d", 1+i%19)
	r := lease.Request{Priority: i % 10, Holder: fmt.Sprintf("holder %d", i%50)}
	switch i % 10 {
	case 0: // any device but the free ones
		r.Demands = []lease.Demand{{Selector: "model!=m00"}}
	case 1:
		r.Demands = []lease.Demand{{Name: fmt.Sprintf("d%05d", 1+20*i%4000)}}
	case 2: // keeps one that is free
		r.Demands = []lease.Demand{{Selector: "model=m00"}, {Selector: class, Count: 2}}
	case 3:
		r.Demands = []lease.Demand{{Selector: class + ",model!=m00", Count: 2}, {Selector: "model!=m00", Count: 2}, {Selector: class}}
	case 4:
		r.Demands = []lease.Demand{{Selector: "model!=m00", Count: lease.MaxDevices}}
	default:
		r.Demands = []lease.Demand{{Selector: class}}
	}
	return r
}

// morning is what a big lab does: each kind of script, when it has the most to do.
func (c *crowd) morning(t testing.TB) {
	for i := range 200 {
		c.refused(t, selecting(fmt.Sprintf("model=m%02d", 1+i%19)))
		c.release(t, c.held[i].ID)
		c.renew(t, c.held[len(c.held)-1-i].ID)
	}
	for _, waiting := range c.waiting {
		if _, err := c.Poll(t.Context(), waiting.ID); err != nil {
			t.Fatal(err)
		}
	}
	for _, state := range lease.States() {
		for after := ""; ; {
			_, next, err := c.Leases(t.Context(), pool, state, after, 128)
			if err != nil {
				t.Fatal(err)
			}
			if after = next; after == "" {
				break
			}
		}
	}
	p := c.inventory.Pool(pool)
	if _, err := c.Devices(t.Context(), pool, namesOf(p.Devices)); err != nil {
		t.Fatal(err)
	}
	if err := c.Reconcile(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for _, waiting := range c.waiting[:200] {
		if err := c.Release(t.Context(), waiting.ID); err != nil && !errors.Is(err, lease.ErrEnded) {
			t.Fatal(err)
		}
	}
	c.Advance(ttl + grace + time.Minute) // nearly all leases are due at once
	c.reap(t)
	c.Advance(time.Hour) // and what waits still is abandoned
	c.reap(t)
}

// No script keeps Redis from others for longer than 2 ms, as its slow log says, however big the lab and whatever happens in it.
// A machine that does other things as well may stop Redis in the middle of a script; but not five times in the same one.
func TestNoScriptIsSlow(t *testing.T) {
	t.Parallel()
	var slow []string
	for round := range 5 {
		r := realRedis(t, "--slowlog-log-slower-than", "2000")
		log := &slowLog{Client: storetest.Client(t, r.Addr), runs: map[string]int{}}
		r.Client.AddHook(log)
		newCrowd(t, r).morning(t)
		if log.runs["allocate"] < 10_000 || log.runs["reap"] < 1_000 {
			t.Fatalf("too little happened: %v", log.runs)
		}
		if round == 0 {
			slow = log.slow
		}
		slow = slices.DeleteFunc(slow, func(run string) bool { return !slices.Contains(log.slow, run) })
		if len(slow) == 0 {
			return
		}
	}
	t.Errorf("slow each time: %v", slow)
}

// slowLog asks Redis after each script whether it was slow. A crowd's morning runs the same scripts in the same order each time.
type slowLog struct {
	*redis.Client
	runs map[string]int
	slow []string // the script, and which run of it
	len  int64
}

// ProcessHook watches commands.
func (l *slowLog) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	names := store.ScriptNames()
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		n, failed := l.Do(ctx, "slowlog", "len").Int64()
		if name, ours := names[fmt.Sprint(cmd.Args()[min(1, len(cmd.Args())-1)])]; ours {
			if l.runs[name]++; n > l.len {
				l.slow = append(l.slow, fmt.Sprintf("%s %d", name, l.runs[name]))
			}
		}
		if l.len = n; n > 64 { // it is cut off at 128
			failed = errors.Join(failed, l.Do(ctx, "slowlog", "reset").Err())
			l.len = 0
		}
		return errors.Join(err, failed)
	}
}

// DialHook and ProcessPipelineHook leave everything as it is.
func (*slowLog) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook does too.
func (*slowLog) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
