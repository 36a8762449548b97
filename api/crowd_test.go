package api_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// crowd is many clients who wait at two replicas, and return what they get at the other one at once.
type crowd struct {
	replicas [2]*lab
	client   *http.Client

	mu       sync.Mutex
	holds    map[string]int       // who has each device
	returned map[string]time.Time // when each device was last returned
	grants   []handed
	mistakes []string
}

// handed is a grant as the client saw it.
type handed struct {
	to    int // the place in line at which it joined
	fence int64
	after time.Duration // the device was returned
}

// TestCrowd proves that whoever waits in line is served in the order of joining, each once and no two at a time, whichever
// replica takes the request and whichever the return; that waiting takes no connection to Redis; and that what is returned is
// handed on in less than 10 ms, or on a machine that is too busy for anything, than ten plain requests take.
func TestCrowd(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		c, n := newCrowd(t, r), 1_000
		if r.Slack == 0 {
			n = 100 // the embedded Redis takes a millisecond for what a real one does in some dozen µs
		}
		probe := c.probe(t)
		handedOn := c.run(t, n)
		plain := probe()
		t.Logf("a plain request took %s", plain)
		if limit := max(10*time.Millisecond, 10*plain); r.Slack > 0 && handedOn > limit {
			t.Errorf("half of the devices were handed on after more than %s, want less than %s", handedOn, limit)
		}
	})
}

// probe makes plain requests, a hundred a second, until it is told to stop; then it says how long half of them took at most.
func (c *crowd) probe(t *testing.T) (stop func() time.Duration) {
	ctx, cancel := context.WithCancel(t.Context())
	var took []time.Duration
	var probing sync.WaitGroup
	probing.Go(func() {
		again := time.NewTicker(10 * time.Millisecond)
		defer again.Stop()
		for ctx.Err() == nil {
			start := time.Now()
			if err := c.call(http.MethodGet, c.replicas[0].allocator+"/v1/devices/board-1", "", nil); err != nil {
				c.mistake("probe: %v", err)
				return
			}
			took = append(took, time.Since(start))
			<-again.C
		}
	})
	return func() time.Duration {
		cancel()
		probing.Wait()
		slices.Sort(took)
		return took[len(took)/2]
	}
}

func newCrowd(t *testing.T, r *storetest.Redis) *crowd {
	t.Helper()
	boards := lease.NewInventory([]lease.Pool{{Name: "default", TTL: maxHold, MaxHold: maxHold, Devices: []lease.Device{
		{Name: "board-1"}, {Name: "board-2"}, {Name: "board-3"},
	}}})
	replica := func(o *labOptions) { o.inventory, o.client = boards, storetest.Client(t, r.Addr) }
	c := &crowd{
		replicas: [2]*lab{newLab(t, r, replica), newLab(t, r, replica)}, client: &http.Client{Transport: &http.Transport{}},
		holds: map[string]int{}, returned: map[string]time.Time{},
	}
	t.Cleanup(c.client.CloseIdleConnections)
	return c
}

// run has n clients wait, and returns how long it took half of the devices at most to be handed on.
func (c *crowd) run(t *testing.T, n int) (median time.Duration) {
	first := make([]*answer, 3)
	for i := range first {
		first[i] = c.replicas[0].allocate("").want(http.StatusCreated)
	}
	tickets := make([]*answer, n)
	for i := range tickets {
		a := c.replicas[i%2]
		tickets[i] = a.do("POST", a.allocator+"/v1/leases?wait=0s", "").want(http.StatusAccepted)
	}
	var waiters sync.WaitGroup
	for i, ticket := range tickets {
		waiters.Go(func() { c.wait(i, ticket) })
	}
	c.checkConnections(t)
	for _, held := range first {
		c.giveBack(held.device(), -1, held.str("id"), held.str("token"))
	}
	waiters.Wait()
	c.checkConnections(t)
	return c.check(t, n)
}

// wait waits for a ticket at one replica, and returns the device at the other.
func (c *crowd) wait(i int, ticket *answer) {
	id, token := ticket.str("id"), ticket.str("token")
	var l struct {
		State   string
		Fence   int64
		Devices []struct{ Name string }
	}
	for l.State != "active" {
		if err := c.call(http.MethodGet, c.replicas[i%2].allocator+"/v1/leases/"+id+"?wait=5m", token, &l); err != nil {
			c.mistake("client %d waits: %v", i, err)
			return
		}
	}
	device := l.Devices[0].Name
	c.mu.Lock()
	if other, taken := c.holds[device]; taken {
		c.mistakes = append(c.mistakes, fmt.Sprintf("%s is granted to %d, and %d has it", device, i, other))
	}
	c.holds[device] = i
	c.grants = append(c.grants, handed{i, l.Fence, time.Since(c.returned[device])})
	c.mu.Unlock()
	c.giveBack(device, i, id, token)
}

// giveBack returns a device at the replica at which its holder did not wait.
func (c *crowd) giveBack(device string, i int, id, token string) {
	c.mu.Lock()
	delete(c.holds, device)
	c.returned[device] = time.Now()
	c.mu.Unlock()
	if err := c.call(http.MethodDelete, c.replicas[(i+3)%2].allocator+"/v1/leases/"+id, token, nil); err != nil {
		c.mistake("client %d returns %s: %v", i, device, err)
	}
}

func (c *crowd) mistake(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mistakes = append(c.mistakes, fmt.Sprintf(format, args...))
}

func (c *crowd) call(method, url, token string, out any) error {
	req, err := http.NewRequestWithContext(context.Background(), method, url, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Lease-Token", token)
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// checkConnections proves that those who wait share the connections of their replica.
func (c *crowd) checkConnections(t *testing.T) {
	t.Helper()
	most := 2*(10*runtime.GOMAXPROCS(0)+1) + 10*runtime.GOMAXPROCS(0) // the pool and the subscription of each replica, and the fixture's pool
	clients, err := c.replicas[0].redis.Client.ClientList(t.Context()).Result()
	if err != nil {
		return // the embedded Redis has no such command
	}
	if n := strings.Count(clients, "\n"); n > most {
		t.Errorf("%d connections to Redis, want at most %d", n, most)
	}
}

// check proves that each client was served once, in the order in which they joined, and returns the median of how long the
// devices took to be handed on.
func (c *crowd) check(t *testing.T, n int) time.Duration {
	t.Helper()
	for _, m := range c.mistakes {
		t.Error(m)
	}
	if len(c.grants) != n {
		t.Fatalf("%d grants, want %d", len(c.grants), n)
	}
	slices.SortFunc(c.grants, func(a, b handed) int { return cmp.Compare(a.fence, b.fence) })
	for i, g := range c.grants {
		if g.to != i {
			t.Fatalf("grant %d is to the client who joined at place %d", i, g.to)
		}
	}
	slices.SortFunc(c.grants, func(a, b handed) int { return cmp.Compare(a.after, b.after) })
	t.Logf("handed on after %s (median), %s (99 of 100)", c.grants[n/2].after, c.grants[n*99/100].after)
	return c.grants[n/2].after
}
