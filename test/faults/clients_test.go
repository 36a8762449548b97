package faults_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// pace is how long a client lies idle between its requests: together they make up to 1,500 a second.
const pace = 16 * time.Millisecond

// crowd is clients that are busy until they are stopped.
type crowd struct {
	*caller
	stop    context.CancelFunc
	running sync.WaitGroup
}

// begin lets the clients begin.
func (l *lab) begin(ctx context.Context) *crowd {
	c := &crowd{caller: newCaller(l)}
	ending, stop := context.WithCancel(ctx)
	c.stop = stop
	for i := range l.clients {
		c.running.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			s := session{caller: c.caller, client: i, ctx: ctx, ending: ending, tick: tick}
			for ending.Err() == nil {
				s.run()
			}
		})
	}
	return c
}

// end stops the clients, once each has ended its session.
func (c *crowd) end() {
	c.stop()
	c.running.Wait()
	c.http.CloseIdleConnections()
}

// session is what one client does with one token after the other.
type session struct {
	*caller
	client int
	ctx    context.Context // of requests
	ending context.Context // ended when the client is to stop
	tick   *time.Ticker
}

// odds are how often a client does what is not usual, in thousandths.
const (
	waits     = 40 // it stands in line
	leaves    = 50 // it leaves the line each time that it could ask again
	givesUp   = 5  // it forgets an allocation of unknown outcome
	crashes   = 5  // it forgets its lease
	dawdles   = 4  // it keeps its lease alive at the last moment, in the grace
	afterwork = 50 // it keeps its lease alive after it has released it
)

func happens(odds int) bool { return rand.IntN(1000) < odds }

// pause waits for the next turn of the client; false when it is to stop.
func (s *session) pause() bool {
	select {
	case <-s.tick.C:
		return s.ending.Err() == nil
	case <-s.ending.Done():
		return false
	}
}

// idle does nothing for a while; false when the client is to stop.
func (s *session) idle(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ending.Done():
		return false
	}
}

// run takes a lease, uses it, and returns it or not.
func (s *session) run() {
	h := s.newHolding(s.client, device(rand.IntN(s.lab.devices)))
	s.pause()
	if !s.get(h) || !s.use(h) || happens(crashes) {
		return
	}
	s.giveBack(h)
}

// get allocates, with the same token again as long as the outcome is unknown; a refusal after that is one of a later request. When
// the client is to stop it tries a few times more to learn what became of its requests.
func (s *session) get(h *holding) bool {
	wait := time.Duration(0)
	if happens(waits) {
		wait = time.Duration(50+rand.IntN(500)) * time.Millisecond
	}
	asked := false
	for tries, late := 0, 0; tries < mostTries && late < lateTries; tries++ {
		o := s.allocate(s.ctx, h, wait)
		asked = asked || o.outcome == unknown
		switch {
		case o.outcome == done:
			return true
		case o.outcome == gone, !asked, happens(givesUp):
			return false
		case o.code == "pending" && (s.ending.Err() != nil || happens(leaves)):
			s.giveBack(h)
			return false
		}
		if !s.pause() {
			wait = 0
			late++
		}
	}
	return false
}

// How often a client tries to learn what became of an allocation: at all, and when it is to stop.
const (
	mostTries = 60
	lateTries = 5
)

// use keeps the lease alive for a while; false when it is over.
func (s *session) use(h *holding) bool {
	beats, each := 1+rand.IntN(6), time.Duration(0)
	switch {
	case happens(dawdles):
		beats, each = 1, s.lab.ttl+grace/2
	case happens(s.lab.lingers):
		beats, each = 5, s.lab.ttl/3
	}
	for range beats {
		if each > 0 && !s.idle(each) || !s.pause() {
			return true
		}
		if o := s.keepalive(s.ctx, h); o.outcome == gone {
			return false
		}
	}
	return true
}

// giveBack releases, until somebody has heard it, unless that takes long.
func (s *session) giveBack(h *holding) {
	for range mostTries {
		o := s.release(s.ctx, h)
		switch {
		case o.outcome == done && happens(afterwork):
			s.keepalive(s.ctx, h)
			return
		case o.outcome == done, o.outcome == gone, happens(givesUp):
			return
		}
		select {
		case <-s.tick.C:
		case <-s.ctx.Done():
			return
		}
	}
}
