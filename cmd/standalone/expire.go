package main

import (
	"context"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// tick is how late a key of the embedded Redis may expire: a lease's lock, too, hence a fraction of its grace.
const tick = 100 * time.Millisecond

// expire has the keys of the embedded Redis expire, until the context ends. With ClockTTL it would do so by itself, but by a look at
// every key at each command of each script: a lab of 300 devices then does not bear 20 leases a second (make load).
func expire(ctx context.Context, embedded *miniredis.Miniredis) {
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case now := <-ticks.C:
			embedded.FastForward(now.Sub(last))
			last = now
		}
	}
}
