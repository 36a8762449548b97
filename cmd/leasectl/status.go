package main

import (
	"errors"
	"fmt"
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
	queue   *client.Queue // how the lease waits, nil before it is known
	heard   time.Time     // when that was known
	trouble string        // what is in the way of asking; "" while nothing is
	drawn   bool          // whether the live line is there
}

func newStatus(a *app) *status {
	return &status{a: a, live: term.IsTerminal(int(a.err.Fd())), began: time.Now(), waiting: true}
}

// watch redraws the live line every second, until stop.
func (s *status) watch() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-tick.C:
				s.draw()
			case <-quit:
				tick.Stop()
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-done
		s.waited()
	}
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
	s.queue, s.heard, s.trouble = l.Queue, time.Now(), ""
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

// answered is told that the service answers again.
func (s *status) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = ""
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
	if !s.live || !s.waiting || s.queue == nil && s.trouble == "" {
		return
	}
	text := []rune(s.text())
	if width, _, err := term.GetSize(int(s.a.err.Fd())); err == nil && width > 1 && len(text) >= width {
		text = append(text[:width-2], '…')
	}
	_, _ = s.a.err.WriteString("\r\x1b[K" + string(text)) // as say
	s.drawn = true
}

// text is "waiting 1m12s · 3rd of 5 · 2 matching devices leased; next may end in 14 s".
func (s *status) text() string {
	if !s.waiting {
		return s.trouble
	}
	text := "waiting " + time.Since(s.began).Truncate(time.Second).String()
	switch {
	case s.trouble != "":
		return text + " · " + s.trouble
	case s.queue != nil:
		return fmt.Sprintf("%s · %s of %d · %s", text, ordinal(s.queue.Place), s.queue.Length, s.availability())
	}
	return text
}

// availability is what the lease waits for, as it is now: the end of a lease comes nearer. Once it is past, it says nothing any more.
func (s *status) availability() string {
	a := s.queue.Availability
	if a.NextEnd.IsZero() {
		return s.queue.Reason
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
