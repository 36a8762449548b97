package faults_test

import (
	"sync"
	"testing"
	"time"
)

// generations is how many clients in a row crash with each device, in a lab of crashing clients.
const generations = 5

// crash has clients take a lease and crash, on all devices at once, each while the next one waits in line. It measures how long after
// the death of a holder, TTL and grace, the next one has the device.
func (l *lab) crash(t *testing.T) figures {
	t.Helper()
	c := newCaller(l)
	var clients sync.WaitGroup
	var mu sync.Mutex
	var handOvers []time.Duration
	for i := range l.devices {
		clients.Go(func() {
			var before operation
			for generation := range generations {
				got := c.waitFor(t, c.newHolding(i, device(i)))
				if got.outcome != done {
					return
				}
				if generation > 0 {
					mu.Lock()
					handOvers = append(handOvers, got.ret-before.ret-l.ttl-grace)
					mu.Unlock()
				}
				before = got
			}
		})
	}
	clients.Wait()
	c.http.CloseIdleConnections()
	got := l.figures(t, c)
	got.handOvers = handOvers
	return got
}

// waitFor stands in line until the lease is granted, unless that takes all too long.
func (c *caller) waitFor(t *testing.T, h *holding) operation {
	t.Helper()
	var o operation
	for began := c.lab.history.now(); c.lab.history.now() < began+c.lab.ttl+grace+c.lab.recovers; {
		if o = c.allocate(t.Context(), h, c.lab.ttl+2*grace); o.outcome != unknown {
			return o
		}
	}
	return o
}
