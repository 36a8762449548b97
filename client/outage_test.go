package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

const problemJSON = "Content-Type: application/problem+json"

// A service that says when to come again is taken at its word, and every call comes again.
func TestRetryAfterIsObeyed(t *testing.T) {
	for name, c := range map[string]struct {
		reply fault
		wait  time.Duration
	}{
		"problem":          {replying(503, `{"code":"store_unavailable","detail":"no","retry_after_seconds":7}`, problemJSON), 7 * time.Second},
		"header":           {replying(503, `{"code":"store_unavailable","detail":"no"}`, problemJSON, "Retry-After: 7"), 7 * time.Second},
		"proxy":            {replying(503, `<html>`, "Content-Type: text/html", "Retry-After: 7"), 7 * time.Second},
		"proxy, by a date": {replying(502, ``, "Retry-After: Sat, 01 Jan 2000 00:00:07 GMT"), 7 * time.Second}, // a bubble begins in 2000
		"nothing said":     {replying(504, ``), 0},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				l.wire.fail(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
					l.wire.fail(nil)
					return c.reply(r, send)
				})
				told := 0
				l.retry = func(err error, in time.Duration) {
					if told++; !errors.Is(err, lease.ErrUnavailable) || in < c.wait || client.RetryAfter(err) != c.wait {
						t.Errorf("again in %s, wants %s: %v", in, client.RetryAfter(err), err)
					}
				}
				start := time.Now()
				l.acquire(client.Request{})
				if took := time.Since(start); took < c.wait || took > c.wait*11/10+100*time.Millisecond || told != 1 {
					t.Errorf("asked again after %s, told %d times", took, told)
				}
			})
		})
	}
}

// Whoever is told of an outage is told of its end, once, whatever it was that asked.
func TestRecovery(t *testing.T) {
	for name, call := range map[string]func(l *lab) error{
		"acquire": func(l *lab) error { l.acquire(client.Request{}); return nil },
		"refused": func(l *lab) error {
			if _, err := l.Acquire(l.t.Context(), wanting("rpi9"), client.Waiting{}); !errors.Is(err, lease.ErrNoMatch) {
				return err
			}
			return nil
		},
		"read": func(l *lab) error { _, err := l.Device(l.t.Context(), "nuc-01"); return err },
		"hold": func(l *lab) error {
			l.wire.fail(nil)
			h := l.Hold(l.t.Context(), l.acquire(client.Request{}))
			l.wire.fail(away)
			pass(time.Minute / 2)
			l.wire.fail(nil)
			pass(time.Minute / 2)
			return h.Release()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				var retries, recoveries int
				l.retry = func(error, time.Duration) {
					if retries++; retries == 3 {
						l.wire.fail(nil)
					}
				}
				l.recover = func() { recoveries++ }
				l.wire.fail(away)
				if err := call(l); err != nil {
					t.Error(err)
				}
				if retries < 3 || recoveries != 1 {
					t.Errorf("told of %d retries and %d recoveries", retries, recoveries)
				}
			})
		})
	}
}

// Calls without a time of their own give up on a service that does not answer, and say what it was.
func TestRetryFor(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		held := l.acquire(client.Request{})
		l.wire.fail(away)
		for name, call := range map[string]func(c *client.Client) error{
			"acquire": func(c *client.Client) error {
				_, err := c.Acquire(t.Context(), client.Request{}, client.Waiting{})
				return err
			},
			"get":     func(c *client.Client) error { _, err := c.Get(t.Context(), held.ID, held.Token); return err },
			"release": func(c *client.Client) error { return c.Release(t.Context(), held) },
			"device":  func(c *client.Client) error { _, err := c.Device(t.Context(), "nuc-01"); return err },
			"set device": func(c *client.Client) error {
				_, err := c.SetDevice(t.Context(), "nuc-01", lease.DeviceChange{})
				return err
			},
			"list": func(c *client.Client) error {
				for _, err := range c.Devices(t.Context(), client.DeviceFilter{}) {
					return err
				}
				return nil
			},
		} {
			for longest, c := range map[time.Duration]*client.Client{
				30 * time.Second: l.Client, 3 * time.Second: l.client(client.Options{RetryFor: 3 * time.Second}), 0: l.client(client.Options{RetryFor: -1}),
			} {
				start := time.Now()
				err := call(c)
				if !errors.Is(err, lease.ErrUnavailable) || !errors.Is(err, errCut) {
					t.Errorf("%s: %v", name, err)
				}
				extra := time.Duration(0)
				if name == "acquire" {
					extra = 5 * time.Second // to give up what it may have got
				}
				if took := time.Since(start); took > longest+extra || took < longest-5*time.Second {
					t.Errorf("%s: asked for %s, want %s", name, took, longest)
				}
			}
		}
		start := time.Now()
		if err := l.Keepalive(t.Context(), held); !errors.Is(err, lease.ErrUnavailable) || time.Since(start) > 0 {
			t.Errorf("keepalive: %v, after %s", err, time.Since(start))
		}
	})
}

// Whoever waits sits out an outage, keeps the place that the service kept, and asks anew for one that it did not.
func TestWaitingThroughAnOutage(t *testing.T) {
	for name, outage := range map[string]time.Duration{"short": 20 * time.Second, "long": 10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				held := l.acquire(wanting("nuc-01"))
				later := l.later(t.Context(), wanting("nuc-01"), client.Waiting{For: client.Forever})
				place := l.ids(lease.StatePending)
				l.wire.fail(away)
				pass(outage)
				if _, err := l.store.Reap(t.Context(), "default"); err != nil { // as allocators do, each second
					t.Fatal(err)
				}
				l.wire.fail(nil)
				_ = l.Release(t.Context(), held) // it has expired, after the long one
				got := (<-later).want(t)
				if kept := got.ID == place[0]; kept != (outage < askWithin) {
					t.Errorf("kept its place: %t", kept)
				}
				if got.Token.ID("default").String() != got.ID || got.Devices[0].Name != "nuc-01" {
					t.Errorf("%s", text(got))
				}
			})
		})
	}
}

// Data that Redis lost, and the places in line with it, are no reason to stop waiting.
func TestWaitingThroughALossOfData(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		l.acquire(wanting("nuc-01"))
		later := l.later(t.Context(), wanting("nuc-01"), waiting)
		l.redis.FlushAll()
		if err := l.store.Reconcile(t.Context(), l.inventory.Load().Pool("default")); err != nil {
			t.Fatal(err)
		}
		(<-later).want(t)
	})
}

// An outage that lasts to the end of the wait is what is told then.
func TestWaitingInVainInAnOutage(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		l.wire.fail(away)
		start := time.Now()
		_, err := l.Acquire(t.Context(), wanting("nuc-01"), client.Waiting{For: time.Minute})
		if took := time.Since(start); !errors.Is(err, lease.ErrUnavailable) || took < time.Minute || took > time.Minute+5*time.Second {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

// A quota is waited out when returning something helps, and not when the request is too large for any holder.
func TestQuota(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		l.setInventory(lease.Limits{LeasesPerHolder: 1, DevicesPerLease: 1}, device("rpi4-01", "model=rpi4"), device("nuc-01", "model=nuc"))
		first := l.acquire(wanting("nuc-01"))
		if _, err := l.Acquire(t.Context(), wanting("rpi4-01"), client.Waiting{}); !errors.Is(err, lease.ErrQuota) || client.RetryAfter(err) != 20*time.Second {
			t.Errorf("without waiting: %v", err)
		}
		start := time.Now()
		two := client.Request{Demands: []lease.Demand{{Count: 2}}, Holder: "bob"}
		if _, err := l.Acquire(t.Context(), two, waiting); !errors.Is(err, lease.ErrQuota) || client.RetryAfter(err) != 0 || time.Since(start) > 0 {
			t.Errorf("too large: %v", err)
		}
		if _, err := l.Acquire(t.Context(), wanting("rpi4-01"), client.Waiting{For: 50 * time.Second}); !errors.Is(err, lease.ErrQuota) || time.Since(start) != 50*time.Second {
			t.Errorf("in vain: %v after %s", err, time.Since(start))
		}
		_ = l.Keepalive(t.Context(), first)
		later := l.later(t.Context(), wanting("rpi4-01"), waiting)
		pass(30 * time.Second)
		if err := l.Release(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		(<-later).want(t)
	})
}

// An HTTP client with little patience still waits in line, in shorter requests.
func TestWaitingWithAnImpatientClient(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		var failed atomic.Int32
		l.retry = func(error, time.Duration) { failed.Add(1) }
		impatient, err := client.New("http://allocator.test", client.Options{HTTP: &http.Client{Transport: l.wire, Timeout: 4 * time.Second}, OnRetry: l.retry})
		if err != nil {
			t.Fatal(err)
		}
		held := l.acquire(wanting("nuc-01"))
		l.Client = impatient
		later := l.later(t.Context(), wanting("nuc-01"), waiting)
		pass(30 * time.Second)
		if err := l.Release(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		if got := (<-later).want(t); got.Waited < 30*time.Second || failed.Load() > 0 {
			t.Errorf("waited %s, failed %d times", got.Waited, failed.Load())
		}
	})
}

// A service that answers at once though it was asked to wait is not asked all the time.
func TestServiceThatDoesNotWait(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		var asked atomic.Int32
		l.acquire(wanting("nuc-01"))
		l.wire.fail(func(r *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
			if asked.Add(1) > 100 {
				<-time.After(time.Second) // or the bubble would never see time pass
			}
			r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "wait=30s", "wait=0s")
			return l.wire.real.RoundTrip(r)
		})
		(<-l.later(t.Context(), wanting("nuc-01"), waiting)).want(t)
		if n := asked.Load(); n < 10 || n > 60 {
			t.Errorf("asked %d times in a minute", n)
		}
	})
}

// Where nobody listens, nothing was asked for that is to be given up.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(nil)
	service.Close()
	start := time.Now()
	_, err := connect(t, service.URL).Acquire(t.Context(), client.Request{}, client.Waiting{})
	if took := time.Since(start); !errors.Is(err, lease.ErrUnavailable) || strings.Contains(err.Error(), "given up") || took > 4*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
}

// Of a request whose context is over, nothing leaves the process.
func TestOverBeforeItBegan(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		l.wire.fail(func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
			t.Error("asked for something")
			return nil, errCut
		})
		if _, err := l.Acquire(ctx, client.Request{}, waiting); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"", "http://lab", "https://lab.example.com:8443/leases/"} {
		if _, err := client.New(good, client.Options{}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"lab:8080", "localhost", "ftp://lab", "http://", "http://lab?x=1", "http://lab#x", "http://[::1", ":"} {
		if _, err := client.New(bad, client.Options{}); err == nil || !strings.Contains(err.Error(), "URL") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
