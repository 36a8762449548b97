package client_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// keepalives are those that were sent, over a network that does something of its own to them.
type keepalives struct {
	begin time.Time

	mu       sync.Mutex
	network  fault
	at       []time.Duration // when each was sent, since the beginning
	answered time.Duration   // when the latest was sent that was answered well
}

// keepalives takes keepalives over another network from now on; nil is a good one.
func (l *lab) keepalives(network fault) *keepalives {
	k := &keepalives{begin: time.Now(), network: network}
	l.wire.fail(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
		if !strings.HasSuffix(r.URL.Path, "/keepalive") {
			return send()
		}
		at, through := time.Since(k.begin), k.send()
		if through == nil {
			through = func(_ *http.Request, send func() (*http.Response, error)) (*http.Response, error) { return send() }
		}
		reply, err := through(r, send)
		if err == nil && reply.StatusCode == http.StatusOK && reply.Header.Get("Content-Type") == "application/json" {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.answered = at
		}
		return reply, err
	})
	return k
}

func (k *keepalives) send() fault {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at = append(k.at, time.Since(k.begin))
	return k.network
}

// change changes the network.
func (k *keepalives) change(network fault) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.network = network
}

// sent is when each was sent, and the latest that was answered well.
func (k *keepalives) sent() (all []time.Duration, answered time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.at), k.answered
}

func TestHoldKeepsAlive(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		k := l.keepalives(nil)
		got := l.acquire(wanting("nuc-01"))
		held, stop := l.hold(t.Context(), got)
		pass(20 * time.Minute)
		if held.Err() != nil {
			t.Fatalf("lost: %v", context.Cause(held))
		}
		last := time.Duration(0)
		different := map[time.Duration]bool{}
		all, _ := k.sent()
		for _, at := range all {
			if at-last < 16*time.Second || at-last > 20*time.Second {
				t.Errorf("a keepalive after %s", at-last)
			}
			different[at-last] = true
			last = at
		}
		if len(all) < 60 || len(different) < 50 {
			t.Errorf("%d keepalives at %d different distances", len(all), len(different))
		}
		if err := stop(); err != nil || !errors.Is(context.Cause(held), context.Canceled) {
			t.Errorf("%v, %v", err, context.Cause(held))
		}
		if err := stop(); err != nil {
			t.Errorf("again: %v", err)
		}
		l.wantNothingLeft()
		pass(10 * time.Minute)
		if after, _ := k.sent(); len(after) > len(all) {
			t.Error("it is kept alive after stop")
		}
	})
}

// Who holds a lease can see the end of it coming.
func TestLapse(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		k := l.keepalives(nil)
		start := time.Now()
		h := l.Hold(t.Context(), l.acquire(client.Request{MaxHold: 3 * time.Minute}))
		want := func(after time.Duration, wantFinal bool) {
			t.Helper()
			at, final := h.Lapse()
			if less := after - at.Sub(start); less < 0 || less >= time.Second || final != wantFinal { // the service tells whole seconds
				t.Errorf("it lapses after %s, final: %t; want %s, %t", at.Sub(start), final, after, wantFinal)
			}
		}
		want(ttl, false)
		pass(30 * time.Second)
		_, kept := k.sent()
		want(kept+ttl, false)
		pass(2 * time.Minute)
		want(3*time.Minute, true)
		if err := h.Release(); err != nil {
			t.Error(err)
		}
	})
}

// A lease that is held no longer, but not released, lives for another TTL.
func TestStop(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		k := l.keepalives(nil)
		got := l.acquire(client.Request{})
		h := l.Hold(t.Context(), got)
		pass(5 * time.Minute)
		if err := h.Stop(); err != nil || !errors.Is(context.Cause(h.Context()), context.Canceled) {
			t.Errorf("%v, %v", err, context.Cause(h.Context()))
		}
		before, _ := k.sent()
		pass(30 * time.Second)
		if after, _ := k.sent(); len(after) != len(before) || len(l.ids(lease.StateActive)) != 1 {
			t.Errorf("%d keepalives after stop, %d leases", len(after)-len(before), len(l.ids(lease.StateActive)))
		}
		if err := l.Release(t.Context(), got); err != nil {
			t.Error(err)
		}
	})
}

// The end of the caller's context is the end of the work; the device stays the holder's until it is left in good order.
func TestHoldOutlivesItsContext(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		ctx, cancel := context.WithCancelCause(t.Context())
		got := l.acquire(wanting("nuc-01"))
		held, stop := l.hold(ctx, got)
		cancel(errEnough)
		if <-held.Done(); !errors.Is(context.Cause(held), errEnough) {
			t.Errorf("%v", context.Cause(held))
		}
		pass(10 * time.Minute)
		if active := l.ids(lease.StateActive); len(active) != 1 {
			t.Error("it ended before stop")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		l.wantNothingLeft()
	})
}

// Whatever keeps keepalives from getting through, the context of the holder is over before anyone else can have the device: the next
// in line gets it after that, by the same clock. If the service is back in time, the holder does not notice.
func TestNoDeviceIsShared(t *testing.T) {
	for name, outage := range map[string]fault{
		"nothing gets there":  away,
		"no reply comes back": lostReply,
		"nothing is answered": func(r *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
		"a proxy's error":      replying(http.StatusBadGateway, "<html>Bad Gateway</html>", "Content-Type: text/html"),
		"a proxy's 404":        replying(http.StatusNotFound, "<html>Not Found</html>", "Content-Type: text/html"),
		"a portal's welcome":   replying(http.StatusOK, "<html>Log in</html>", "Content-Type: text/html"),
		"503, come much later": replying(http.StatusServiceUnavailable, `{"code":"store_unavailable"}`, "Content-Type: application/problem+json", "Retry-After: 3600"),
		"500":                  replying(http.StatusInternalServerError, `{"code":"internal"}`, "Content-Type: application/problem+json"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("to the end", func(t *testing.T) { inLab(t, func(t *testing.T, l *lab) { testLapse(t, l, outage) }) })
			t.Run("for a while", func(t *testing.T) { inLab(t, func(t *testing.T, l *lab) { testBackInTime(t, l, outage) }) })
		})
	}
}

func testLapse(t *testing.T, l *lab, outage fault) {
	k := l.keepalives(nil)
	got := l.acquire(wanting("nuc-01"))
	next := l.later(t.Context(), wanting("nuc-01"), waiting)
	held, stop := l.hold(t.Context(), got)
	pass(5 * time.Minute)
	before, last := k.sent()
	lapse := k.begin.Add(last + ttl)
	k.change(outage)

	<-held.Done()
	if at := time.Now(); at.After(lapse) || lapse.Sub(at) > time.Millisecond {
		t.Errorf("lost %s after the last keepalive, want the TTL", at.Sub(lapse)+ttl)
	}
	if cause := context.Cause(held); !errors.Is(cause, client.ErrLapsed) || errors.Is(cause, lease.ErrUnavailable) || !strings.Contains(cause.Error(), "; the last one: ") {
		t.Errorf("cause %v", cause)
	}
	if all, _ := k.sent(); len(all)-len(before) < 4 || len(all)-len(before) > 60 {
		t.Errorf("%d tries", len(all)-len(before))
	}
	synctest.Wait()
	if active := l.ids(lease.StateActive); len(active) != 1 || active[0] != got.ID {
		t.Errorf("when the holder stops, %v is active, want its own lease", active)
	}
	other := (<-next).want(t)
	if !time.Now().After(lapse.Add(grace - time.Millisecond)) {
		t.Errorf("the next holder has it already after %s", time.Since(lapse))
	}
	if err := stop(); !errors.Is(err, client.ErrLapsed) {
		t.Errorf("stop: %v", err)
	}
	if active := l.ids(lease.StateActive); len(active) != 1 || active[0] != other.ID {
		t.Errorf("%v is active, want what the next holder has", active)
	}
}

func testBackInTime(t *testing.T, l *lab, outage fault) {
	k := l.keepalives(nil)
	held, stop := l.hold(t.Context(), l.acquire(wanting("nuc-01")))
	for range 3 {
		pass(5 * time.Minute)
		k.change(outage)
		pass(40*time.Second - time.Minute/6 - 2*time.Second) // the TTL, less an interval, and less what a try may take
		k.change(nil)
	}
	pass(5 * time.Minute)
	if held.Err() != nil {
		t.Fatalf("lost: %v", context.Cause(held))
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	l.wantNothingLeft()
}

// A transport that does not even heed contexts can't keep a holder from stopping in time.
func TestHungTransport(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		mend := make(chan struct{})
		k := l.keepalives(nil)
		held, stop := l.hold(t.Context(), l.acquire(wanting("nuc-01")))
		k.change(func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
			<-mend
			return nil, errCut
		})
		start := time.Now()
		<-held.Done()
		if took := time.Since(start); took != ttl || !errors.Is(context.Cause(held), client.ErrLapsed) {
			t.Errorf("lost after %s: %v", took, context.Cause(held))
		}
		close(mend)
		if err := stop(); !errors.Is(err, client.ErrLapsed) {
			t.Error(err)
		}
	})
}

// Of a lease that lives for seconds only, a keepalive that hangs leaves time for another.
func TestHungKeepaliveOfAShortLease(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		hangs := false
		l.keepalives(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
			if hangs = !hangs; hangs {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return send()
		})
		held, stop := l.hold(t.Context(), l.acquire(client.Request{TTL: lease.MinTTL}))
		pass(time.Minute)
		if held.Err() != nil {
			t.Errorf("lost: %v", context.Cause(held))
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// Time counts from when a keepalive was sent: a slow network takes nothing from the next holder.
func TestSlowNetwork(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		slow := func(_ *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
			<-time.After(4 * time.Second)
			reply, err := send()
			<-time.After(4 * time.Second)
			return reply, err
		}
		k := l.keepalives(slow)
		held, stop := l.hold(t.Context(), l.acquire(wanting("nuc-01")))
		pass(10 * time.Minute)
		if held.Err() != nil {
			t.Fatalf("lost: %v", context.Cause(held))
		}
		k.change(away)
		<-held.Done()
		if _, last := k.sent(); time.Since(k.begin)-last != ttl {
			t.Errorf("lost %s after the last keepalive that was answered had been sent", time.Since(k.begin)-last)
		}
		if err := stop(); !errors.Is(err, client.ErrLapsed) {
			t.Error(err)
		}
	})
}

func TestLostByWordOfTheService(t *testing.T) {
	for name, c := range map[string]struct {
		lose func(l *lab, got *client.Lease)
		want *lease.Error
	}{
		"revoked":          {func(l *lab, _ *client.Lease) { l.redis.Del("lock:{default}:nuc-01") }, lease.EndedError(lease.ReasonRevoked, time.Time{})},
		"released":         {func(l *lab, got *client.Lease) { _ = l.Release(context.Background(), got) }, lease.EndedError(lease.ReasonReleased, time.Time{})},
		"all data is lost": {func(l *lab, _ *client.Lease) { l.redis.FlushAll() }, lease.ErrNotFound},
		"not its token": {func(l *lab, _ *client.Lease) {
			l.keepalives(replying(http.StatusForbidden, `{"code":"forbidden"}`, "Content-Type: application/problem+json"))
		}, lease.ErrForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				got := l.acquire(wanting("nuc-01"))
				held, stop := l.hold(t.Context(), got)
				pass(time.Minute)
				start := time.Now()
				c.lose(l, got)
				<-held.Done()
				if took := time.Since(start); took > 20*time.Second {
					t.Errorf("noticed after %s", took)
				}
				for what, err := range map[string]error{"cause": context.Cause(held), "stop": stop()} {
					var e *lease.Error
					if !errors.Is(err, c.want) || !errors.As(err, &e) || c.want.Ended != nil && e.Ended.Reason != c.want.Ended.Reason {
						t.Errorf("%s: %v", what, err)
					}
				}
			})
		})
	}
}

// A lease can't be held past its deadline, and the holder knows.
func TestHoldEndsAtTheDeadline(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		got := l.acquire(client.Request{TTL: 10 * time.Second, MaxHold: 95 * time.Second})
		granted := time.Now()
		held, stop := l.hold(t.Context(), got)
		<-held.Done()
		if after := time.Since(granted); after > 95*time.Second || after < 94*time.Second {
			t.Errorf("over after %s", after)
		}
		var e *lease.Error
		if cause := context.Cause(held); !errors.Is(cause, lease.ErrEnded) || !errors.As(cause, &e) || e.Ended.Reason != lease.ReasonDeadline || !e.Ended.Time.Equal(got.Deadline) {
			t.Errorf("cause %v", cause)
		}
		if err := stop(); !errors.Is(err, lease.ErrEnded) {
			t.Error(err)
		}
		l.wantNothingLeft()
	})
}

// What can't be held is lost at once, and what was read with its token can.
func TestHoldOfWhatIsNotHeld(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		got := l.acquire(wanting("nuc-01"))
		pass(50 * time.Second)
		again, err := l.Get(t.Context(), got.ID, got.Token)
		if err != nil {
			t.Fatal(err)
		}
		held, stop := l.hold(t.Context(), again) // 10 s before its end
		pass(time.Minute)
		if held.Err() != nil {
			t.Errorf("lost: %v", context.Cause(held))
		}
		looked, err := l.Get(t.Context(), got.ID, "")
		if err != nil {
			t.Fatal(err)
		}
		var decoded client.Lease
		if err := decoded.UnmarshalJSON([]byte(text(again))); err != nil {
			t.Fatal(err)
		}
		decoded.Token = again.Token
		for name, unfit := range map[string]*client.Lease{"looked at": looked, "decoded": &decoded, "made up": {}} {
			held, stop := l.hold(t.Context(), unfit)
			if held.Err() == nil || !errors.Is(context.Cause(held), lease.ErrConflict) || !errors.Is(stop(), lease.ErrConflict) {
				t.Errorf("%s: %v", name, context.Cause(held))
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		ended, err := l.Get(t.Context(), got.ID, got.Token)
		if err != nil {
			t.Fatal(err)
		}
		if held, _ := l.hold(t.Context(), ended); !errors.Is(context.Cause(held), lease.ErrEnded) {
			t.Errorf("ended: %v", context.Cause(held))
		}
	})
}

func TestStopInAnOutage(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		held, stop := l.hold(t.Context(), l.acquire(wanting("nuc-01")))
		l.wire.fail(away)
		start := time.Now()
		if err := stop(); !errors.Is(err, lease.ErrUnavailable) || held.Err() == nil {
			t.Errorf("%v", err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
