package faults_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// caller sends the requests of all clients, each once, and writes down what came of it.
type caller struct {
	lab  *lab
	http *http.Client

	mu         sync.Mutex
	unexpected []string // answers that no fault excuses
}

// answerWithin is how long a request may take beside what it waits in line.
const answerWithin = 3 * time.Second

func newCaller(l *lab) *caller {
	return &caller{lab: l, http: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: l.clients + l.devices, DialContext: (&net.Dialer{Timeout: time.Second}).DialContext,
	}}}
}

// holding is a token and what its client knows of the lease.
type holding struct {
	client int
	device string
	lease  int
	token  string
	id     string
}

// newHolding draws a token for a device.
func (c *caller) newHolding(client int, device string) *holding {
	return &holding{client: client, device: device, lease: c.lab.history.lease(), token: rand.Text()}
}

// answered is the part of an answer that matters, of a lease or a problem.
type answered struct {
	ID               string `json:"id"`
	State            string `json:"state"`
	Fence            int64  `json:"fence"`
	RemainingSeconds int64  `json:"remaining_seconds"`
	Code             string `json:"code"`
	Devices          []struct {
		Name string `json:"name"`
	} `json:"devices"`
}

// allocate asks for the device. With a wait it stands in line.
func (c *caller) allocate(ctx context.Context, h *holding, wait time.Duration) operation {
	query := ""
	if wait > 0 {
		query = "?wait=" + wait.String()
	}
	body := fmt.Sprintf(`{"name": %q}`, h.device)
	o, status, a := c.call(ctx, h, allocate, http.MethodPost, c.lab.pick(h, c.lab.allocators)+"/v1/leases"+query, body, wait)
	if a.ID != "" {
		h.id = a.ID
	}
	switch {
	case status == http.StatusCreated || status == http.StatusOK:
		o.outcome, o.fence, o.until = done, a.Fence, c.certain(o, a)
		if len(a.Devices) != 1 || a.Devices[0].Name != h.device || a.State != "active" {
			c.complain(o, status, a)
		}
	case status == http.StatusAccepted:
		o.code = "pending"
	case status == http.StatusTooManyRequests && a.Code == "none_free":
		o.outcome = refused
	case status == http.StatusGone:
		o.outcome = gone
	default:
		c.doubt(&o, status, a)
	}
	return c.record(o)
}

// keepalive extends the lease.
func (c *caller) keepalive(ctx context.Context, h *holding) operation {
	o, status, a := c.call(ctx, h, keepalive, http.MethodPost, c.lab.pick(h, c.lab.keepalives)+"/v1/leases/"+h.id+"/keepalive", "", 0)
	switch {
	case status == http.StatusOK && a.RemainingSeconds <= 0: // the replicas are behind, and what they know is over
		o.code = "no promise"
	case status == http.StatusOK:
		o.outcome, o.until = done, c.certain(o, a)
	case status == http.StatusGone, status == http.StatusNotFound:
		o.outcome = gone
	default:
		c.doubt(&o, status, a)
	}
	return c.record(o)
}

// release returns the device.
func (c *caller) release(ctx context.Context, h *holding) operation {
	o, status, a := c.call(ctx, h, release, http.MethodDelete, c.lab.pick(h, c.lab.allocators)+"/v1/leases/"+h.id, "", 0)
	switch status {
	case http.StatusNoContent:
		o.outcome = done
	case http.StatusGone, http.StatusNotFound:
		o.outcome = gone
	default:
		c.doubt(&o, status, a)
	}
	return c.record(o)
}

// certain is until when the lease is certain after an answer. One that has nothing left may be at the end of its grace.
func (c *caller) certain(o operation, a answered) time.Duration {
	if a.RemainingSeconds <= 0 {
		return o.call
	}
	return o.call + time.Duration(a.RemainingSeconds)*time.Second + grace - margin
}

// doubt is what there is to say of an answer that tells neither that something happened nor that nothing did.
func (c *caller) doubt(o *operation, status int, a answered) {
	if a.Code != "" {
		o.code = a.Code
	}
	if status != 0 && status != http.StatusServiceUnavailable {
		c.complain(*o, status, a)
	}
}

func (c *caller) complain(o operation, status int, a answered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unexpected = append(c.unexpected, fmt.Sprintf("%s: %d %+v", o, status, a))
}

func (c *caller) record(o operation) operation {
	c.lab.history.add(o)
	return o
}

// call sends a request. The status is 0 when there is no answer.
func (c *caller) call(ctx context.Context, h *holding, r request, method, url, body string, wait time.Duration) (o operation, status int, a answered) {
	ctx, cancel := context.WithTimeout(ctx, wait+answerWithin)
	defer cancel()
	o = operation{client: h.client, request: r, device: h.device, lease: h.lease}
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		panic(err) // the URLs are ours
	}
	req.Header.Set("Lease-Token", h.token)
	req.Header.Set("Content-Type", "application/json")
	o.call = c.lab.history.now()
	answer, err := c.http.Do(req) //nolint:bodyclose // read closes it
	if err == nil {
		status, a, err = read(answer)
	}
	o.ret = c.lab.history.now()
	var network *net.OpError
	switch {
	case err == nil:
	case errors.As(err, &network) && network.Op == "dial":
		o.outcome, o.code = unsent, "no connection"
	default:
		status, o.code = 0, "no answer"
	}
	return o, status, a
}

// read reads an answer whole; half an answer is none.
func read(answer *http.Response) (int, answered, error) {
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	var a answered
	if err == nil && len(bytes.TrimSpace(text)) > 0 {
		err = json.Unmarshal(text, &a)
	}
	return answer.StatusCode, a, err
}

// pick picks a replica for a client: any, or the one on its side.
func (l *lab) pick(h *holding, replicas []*service) string {
	if l.direct && !l.mixed {
		return replicas[h.client%len(replicas)].url
	}
	return replicas[mathrand.IntN(len(replicas))].url
}
