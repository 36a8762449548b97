package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"
)

// pulse is an HTTP transport that notes until when the lease lives, as the answers of the service say: client.Hold, which keeps it
// alive, knows that, and does not tell before it is too late to end a command in good order.
type pulse struct {
	next     http.RoundTripper
	answered func() // is called when the lease was found alive

	mu    sync.Mutex
	until time.Time // on the local monotonic clock; zero while there is no lease
	final bool      // whether no keepalive changes it
}

// lapse is until when the lease lives without another keepalive, and whether it can be extended.
func (p *pulse) lapse() (until time.Time, final bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.until, p.final
}

// RoundTrip makes a request.
func (p *pulse) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := time.Now()
	reply, err := p.next.RoundTrip(r)
	if err != nil || reply.StatusCode >= http.StatusMultipleChoices || reply.StatusCode == http.StatusNoContent {
		return reply, err
	}
	body, err := io.ReadAll(reply.Body)
	_ = reply.Body.Close() // it was read
	if err != nil {
		return nil, err
	}
	reply.Body = io.NopCloser(bytes.NewReader(body))
	p.note(sent, body)
	return reply, nil
}

func (p *pulse) note(sent time.Time, body []byte) {
	var alive struct {
		Remaining int64     `json:"remaining_seconds"`
		Expire    time.Time `json:"expire_time"`
		Deadline  time.Time `json:"deadline_time"`
	}
	if json.Unmarshal(body, &alive) != nil || alive.Remaining <= 0 {
		return
	}
	p.mu.Lock()
	p.until, p.final = sent.Add(time.Duration(alive.Remaining)*time.Second), !alive.Expire.Before(alive.Deadline)
	p.mu.Unlock()
	p.answered()
}
