package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// berth is a place for a lease that is held all the time. A lease that is over is followed by another.
type berth struct {
	hold    atomic.Pointer[hold] // nil while there is none
	filling chan struct{}        // has an element while somebody asks for another
}

// moveInWithin is how long it may take to get the leases that are held all the time.
const moveInWithin = 2 * time.Minute

// moveIn gets the leases that are held all the time. Its requests are not measured, and repeated when the service is in trouble.
func (d *driver) moveIn(ctx context.Context) error {
	if d.scenario.keepalives == nil {
		return nil
	}
	for range d.scenario.keepalives.leases {
		d.berths = append(d.berths, &berth{filling: make(chan struct{}, 1)})
	}
	limited, cancel := context.WithTimeout(ctx, moveInWithin)
	defer cancel()
	var why atomic.Value
	failed := eachOf(d.berths, atOnce, func(b *berth) bool {
		r := d.fill(limited, b)
		for ; r.unknown(); r = d.fill(limited, b) {
			if !byTimer(limited, r.sent.Add(pause)) {
				break
			}
		}
		if r.code != "" {
			why.Store(r.code)
		}
		return r.code == ""
	})
	if failed > 0 {
		return fmt.Errorf("of %d leases to begin with, %d could not be had in %s: %v", len(d.berths), failed, short(moveInWithin), why.Load())
	}
	return nil
}

// fill gets a lease for a berth that has none. When somebody is about it already, it waits for them.
func (d *driver) fill(ctx context.Context, b *berth) reply {
	b.filling <- struct{}{}
	defer func() { <-b.filling }()
	if b.hold.Load() != nil {
		return reply{}
	}
	h, r := d.take(ctx, time.Now(), 0)
	if r.code == "" {
		b.hold.Store(h)
	}
	return r
}

// tend keeps the lease of the next berth alive, which was due at a moment.
func (d *driver) tend(shift context.Context, due time.Time) {
	turn := d.tended.Add(1) - 1
	b := d.berths[turn%int64(len(d.berths))]
	h := b.hold.Load()
	if h == nil {
		d.recorder.failed(opKeepalive, codeNoLease)
		d.fill(shift, b)
		return
	}
	if !d.keepAlive(context.WithoutCancel(shift), due, h) {
		b.hold.CompareAndSwap(h, nil)
	}
}
