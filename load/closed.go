package main

import (
	"context"
	"sync"
	"time"
)

// hammer is a closed loop: each connection does what the scenario does, again as soon as it is done, until the shift is over.
func (d *driver) hammer(shift context.Context) {
	do := d.cycle
	if d.scenario.keepalives != nil {
		do = d.tend
	}
	var connections sync.WaitGroup
	for range d.scenario.closed.connections {
		connections.Go(func() {
			for shift.Err() == nil {
				do(shift, time.Now())
			}
		})
	}
	connections.Wait()
}
