package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// status tells on stderr how it goes: on a terminal in one live line while it waits, else in a line for each change.
type status struct {
	a    *app
	live bool

	mu      sync.Mutex
	began   time.Time
	waiting bool
	pending *client.Lease // how it waits, nil before that is known
	heard   time.Time     // when that was known
	trouble string        // what is in the way of asking; "" while nothing is
	drawn   bool          // whether the live line is there
	next    holder        // who has what it is likely to get
}

func newStatus(a *app) *status {
	return &status{a: a, live: term.IsTerminal(int(a.err.Fd())), began: time.Now(), waiting: true}
}

// watch redraws the live line every second, until stop, and asks every few seconds who holds things up.
func (s *status) watch(ctx context.Context, c *client.Client) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for n := 0; ; n++ {
			if s.live && n%5 == 1 {
				s.look(ctx, c)
			}
			s.draw()
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
		s.waited()
	}
}

// look finds out who has what the lease is likely to get.
func (s *status) look(ctx context.Context, c *client.Client) {
	s.mu.Lock()
	l := s.pending
	s.mu.Unlock()
	if l == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	next, err := nextHolder(ctx, c, l)
	if err != nil {
		return // then the line says less
	}
	s.mu.Lock()
	s.next = next
	s.mu.Unlock()
}

// waited is told when nobody waits any longer.
func (s *status) waited() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting, s.trouble = false, ""
	if s.drawn {
		_, _ = s.a.err.WriteString("\r\x1b[K") // as say
	}
}

// place is told how a pending lease waits.
func (s *status) place(l *client.Lease) {
	s.mu.Lock()
	s.pending, s.heard, s.trouble = l, time.Now(), ""
	s.mu.Unlock()
	s.changed()
}

// retry is told why something has to be asked again.
func (s *status) retry(err error, _ time.Duration) {
	s.mu.Lock()
	known := s.trouble != ""
	s.trouble = reason(err)
	switch {
	case !s.waiting:
		s.trouble = "keepalive does not get through (" + s.trouble + "), trying again"
	case errors.Is(err, lease.ErrUnavailable):
		s.trouble = fmt.Sprintf("no answer from %s (%s), trying again; LEASES_URL or --url sets another", s.a.url, s.trouble)
	}
	s.mu.Unlock()
	if !known {
		s.changed()
	}
}

// recovered is told that the service answers again.
func (s *status) recovered() {
	s.mu.Lock()
	known := s.trouble != "" && !s.waiting
	s.trouble = ""
	s.mu.Unlock()
	if known {
		s.a.say("keepalive gets through again")
	}
}

// changed shows a change.
func (s *status) changed() {
	s.mu.Lock()
	waiting, text := s.waiting, s.text()
	s.mu.Unlock()
	if waiting && s.live {
		s.draw()
	} else {
		s.a.say("%s", text)
	}
}

// draw draws the live line.
func (s *status) draw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.live || !s.waiting || s.pending == nil && s.trouble == "" {
		return
	}
	text := []rune(s.text())
	if width, _, err := term.GetSize(int(s.a.err.Fd())); err == nil && width > 1 && len(text) >= width {
		text = append(text[:width-2], '…')
	}
	_, _ = s.a.err.WriteString("\r\x1b[K" + string(text)) // as say
	s.drawn = true
}

// text is "waiting 1m12s · 3rd of 5 · rpi4-02 leased by alice, 40 s left".
func (s *status) text() string {
	if !s.waiting {
		return s.trouble
	}
	text := "waiting " + time.Since(s.began).Truncate(time.Second).String()
	switch {
	case s.trouble != "":
		return text + " · " + s.trouble
	case s.pending != nil:
		return fmt.Sprintf("%s · %s of %d · %s", text, ordinal(s.pending.Queue.Place), s.pending.Queue.Length, s.obstacle())
	}
	return text
}

// obstacle is what the lease waits for, as it is now: the end of a lease comes nearer. Once it is past, it says nothing any more.
func (s *status) obstacle() string {
	if left := time.Until(s.next.until); left > 0 {
		return fmt.Sprintf("%s leased by %s, %.0f s left", s.next.device, s.next.name, math.Ceil(left.Seconds()))
	}
	a := s.pending.Queue.Availability
	if a.NextEnd.IsZero() {
		return s.pending.Queue.Reason
	}
	a.Now = a.Now.Add(time.Since(s.heard))
	if a.NextEnd.Before(a.Now) {
		a.NextEnd = time.Time{}
	}
	return a.String()
}

func ordinal(n int) string {
	suffix := "th"
	switch {
	case n/10%10 == 1:
	case n%10 == 1:
		suffix = "st"
	case n%10 == 2:
		suffix = "nd"
	case n%10 == 3:
		suffix = "rd"
	}
	return fmt.Sprintf("%d%s", n, suffix)
}
