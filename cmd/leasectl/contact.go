package main

import (
	"net/http"
	"sync"
	"time"
)

// contact is an HTTP transport that notes what the service's clock says, and tells when the service stops answering and when it answers
// again.
type contact struct {
	app *app

	mu    sync.Mutex
	ahead time.Duration // how much the service's clock is ahead of this machine's
	lost  bool
}

// RoundTrip makes a request.
func (c *contact) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(reply.Header.Get("Date")); err == nil {
		c.mu.Lock()
		c.ahead = time.Until(date)
		c.mu.Unlock()
	}
	return reply, nil
}

// now is the service's clock, as the Date of its replies told it: to a second, and as far as the services and Redis agree on the time. It is
// this machine's clock when a reply had no Date.
func (c *contact) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// retry is told why something has to be asked again.
func (c *contact) retry(err error, _ time.Duration) {
	c.mu.Lock()
	known := c.lost
	c.lost = true
	c.mu.Unlock()
	if !known {
		c.app.say("no answer from %s (%s), trying again; LEASES_URL or --url sets another", c.app.url, reason(err))
	}
}

// recovered is told that the service answers.
func (c *contact) recovered() {
	c.mu.Lock()
	known := c.lost
	c.lost = false
	c.mu.Unlock()
	if known {
		c.app.say("%s answers again", c.app.url)
	}
}
