package main

import (
	"context"
	"errors"
	"time"

	"github.com/automation-infra/automation-infra/client"
)

// The ways in which a lease is lost that only leasectl sees coming.
var (
	errSilence  = errors.New("no keepalive gets through, and its time is nearly over")
	errDeadline = errors.New("it was held nearly as long as it may be")
)

// end is how a command ended.
type end struct {
	code int
	lost error // why the lease was lost before; nil when it was not
}

// supervision runs a command while its lease is held, and not longer.
type supervision struct {
	child     *child
	lease     *client.Holding
	signals   signals
	killAfter time.Duration // how long the command has between TERM and KILL
	lead      time.Duration // how long before the end of the lease the command gets TERM

	lost error
	kill <-chan time.Time // when the command gets KILL; nil while it was not terminated
}

// run supervises the command until nothing is left of it.
func (s *supervision) run() end {
	defer s.child.terminal.take()
	early := time.NewTimer(s.untilEarly())
	defer early.Stop()
	over := s.lease.Context().Done()
	for {
		select {
		case sig := <-s.signals:
			s.child.signal(sig)
		case <-early.C:
			early.Reset(s.warn())
		case <-over:
			over = nil
			s.lapsed()
		case <-s.kill:
			s.child.kill()
		case c := <-s.child.changes:
			if !c.stopped {
				s.clear()
				return end{code: c.code, lost: s.lost}
			}
			if s.lost == nil {
				s.child.stopAlong(s.lease.Context().Done())
			}
		}
	}
}

// untilEarly is how long until the command is to be terminated, unless a keepalive gets through.
func (s *supervision) untilEarly() time.Duration {
	until, _ := s.lease.Lapse()
	return time.Until(until) - s.lead
}

// warn terminates the command if the end of the lease is so near, and returns when to look again.
func (s *supervision) warn() time.Duration {
	if left := s.untilEarly(); left > 0 {
		return left
	}
	if s.lost == nil {
		s.lose(errSilence)
		if _, final := s.lease.Lapse(); final {
			s.lost = errDeadline
		}
	}
	return time.Hour // it is over
}

// lapsed ends the command because the lease is over. If that was announced, there is no time left.
func (s *supervision) lapsed() {
	if s.lost != nil {
		s.child.kill()
		return
	}
	s.lose(context.Cause(s.lease.Context()))
}

// lose terminates the command.
func (s *supervision) lose(why error) {
	s.lost = why
	s.kill = time.After(s.killAfter)
	s.child.terminate()
}

// clear ends what is left of the command's process group, so that nothing uses the device any longer.
func (s *supervision) clear() {
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	over := s.lease.Context().Done()
	for begun := time.Now(); s.child.leftovers(); {
		switch {
		case s.kill == nil:
			s.kill = time.After(s.killAfter)
			s.child.terminate()
		case time.Since(begun) > s.killAfter+time.Second:
			return // zombies that nobody buries
		}
		select {
		case <-poll.C:
		case <-over:
			over = nil
			s.child.kill()
		case <-s.kill:
			s.child.kill()
		}
	}
}
