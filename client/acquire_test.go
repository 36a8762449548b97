package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

var waiting = client.Waiting{For: 10 * time.Minute}

func TestAcquire(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		got, err := l.Acquire(t.Context(), client.Request{
			Demands: []lease.Demand{{Selector: "model=rpi4", As: "board"}, {Name: "nuc-01"}}, Priority: new(0), TTL: 30 * time.Second,
			MaxHold: 10 * time.Minute, Holder: "alice", Purpose: "nightly", Link: "https://ci.example.com/1",
		}, client.Waiting{})
		if err != nil {
			t.Fatal(err)
		}
		if got.State != lease.StateActive || got.Pool != "default" || got.Priority != 0 || got.Holder != "alice" || got.Purpose != "nightly" ||
			got.Link != "https://ci.example.com/1" || got.Fence == 0 || got.Queue != nil || got.Ended != nil || len(got.Demands) != 2 {
			t.Errorf("%s", text(got))
		}
		if got.TTL != 30*time.Second || got.Remaining != 30*time.Second || got.KeepaliveInterval != 10*time.Second || got.Waited != 0 ||
			!got.Grant.Equal(got.Create) || got.Expire.Sub(got.Grant) != got.TTL || got.Deadline.Sub(got.Grant) != 10*time.Minute {
			t.Errorf("times: %s", text(got))
		}
		if got.Token.ID("default").String() != got.ID || got.KeepaliveURL != "http://keepalive.test/v1/leases/"+got.ID+"/keepalive" {
			t.Errorf("%s, token %t, %s", got.ID, got.Token != "", got.KeepaliveURL)
		}
		board := got.Devices[0]
		if len(got.Devices) != 2 || board.Name != "rpi4-01" || board.As != "board" || board.Labels["model"] != "rpi4" || board.Attributes["rack"] != "B2" ||
			board.Connection["password"] != secret || board.Connection["port"] != int64(22) || board.Connection["delay"] != 0.5 {
			t.Errorf("devices: %+v", got.Devices)
		}
		read, err := l.Get(t.Context(), got.ID, got.Token)
		if err != nil || read.Token != got.Token || read.Devices[0].Connection["password"] != secret {
			t.Errorf("read again: %s, %v", text(read), err)
		}
		if err := l.Release(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		if err := l.Release(t.Context(), got); err != nil {
			t.Errorf("again: %v", err)
		}
		ended, err := l.Get(t.Context(), got.ID, "")
		if err != nil || ended.State != lease.StateReleased || ended.Ended == nil || ended.Ended.Reason != lease.ReasonReleased || ended.Token != "" {
			t.Errorf("ended: %s, %v", text(ended), err)
		}
	})
}

func TestPriority(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		for want, given := range map[int]*int{0: new(0), 9: new(9), lease.DefaultPriority: nil} {
			got := l.acquire(client.Request{Priority: given})
			if got.Priority != want {
				t.Errorf("priority %d, want %d", got.Priority, want)
			}
		}
	})
}

// Without waiting, an answer is an answer; it says when to come again, and why.
func TestNoneFree(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		l.acquire(wanting("nuc-01"))
		start := time.Now()
		_, err := l.Acquire(t.Context(), wanting("nuc-01"), client.Waiting{})
		var e *lease.Error
		if !errors.Is(err, lease.ErrNoneFree) || !errors.As(err, &e) || client.RetryAfter(err) != 20*time.Second {
			t.Fatalf("%v, in %s", err, client.RetryAfter(err))
		}
		if a := e.Availability; a.Matching != 1 || a.Leased != 1 || !strings.HasSuffix(e.Message, a.String()) || a.NextEnd.Sub(a.Now) != ttl+grace {
			t.Errorf("%v, %+v", e, a)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("it took %s", took)
		}
	})
}

func TestRefusedAtOnce(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		for name, c := range map[string]struct {
			request client.Request
			want    error
			field   string
		}{
			"no such device": {wanting("rpi9"), lease.ErrNoMatch, "name"},
			"priority":       {client.Request{Priority: new(10)}, lease.ErrInvalid, "priority"},
			"part of second": {client.Request{TTL: 1500 * time.Millisecond}, lease.ErrInvalid, "ttl_seconds"},
			"part of a hold": {client.Request{MaxHold: time.Millisecond}, lease.ErrInvalid, "max_hold_seconds"},
			"negative":       {client.Request{TTL: -time.Second}, lease.ErrInvalid, "ttl_seconds"},
		} {
			_, err := l.Acquire(t.Context(), c.request, waiting)
			var e *lease.Error
			if !errors.Is(err, c.want) || !errors.As(err, &e) || e.Field != c.field {
				t.Errorf("%s: %v", name, err)
			}
		}
		l.wantNothingLeft()
	})
}

func TestWaiting(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		first := l.acquire(wanting("nuc-01"))
		other := l.later(t.Context(), wanting("nuc-01"), waiting)
		var told []string
		second := l.later(t.Context(), wanting("nuc-01"), client.Waiting{For: 10 * time.Minute, OnQueue: func(p *client.Lease) {
			if p.State != lease.StatePending || len(p.Devices) > 0 || p.Queue.Availability.Matching != 1 {
				t.Errorf("told of %s", text(p))
			}
			told = append(told, fmt.Sprintf("%d of %d: %s", p.Queue.Place, p.Queue.Length, p.Queue.Reason))
		}})
		pass(21 * time.Second)
		if err := l.Release(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		held := (<-other).want(t)
		pass(20 * time.Second)
		if err := l.Release(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		got := (<-second).want(t)
		if got.Waited < 41*time.Second || got.Fence <= held.Fence || got.Remaining < ttl-6*time.Second || got.Queue != nil {
			t.Errorf("%s", text(got))
		}
		want := []string{"2 of 2: 1 matching device leased; next may end in 62 s", "1 of 1: 1 matching device leased; next may end in 58 s"}
		if !slices.Equal(told, want) {
			t.Errorf("told %q", told)
		}
	})
}

// A lease that was granted while a request waited for long is known to live for its TTL at the most from a request that did not.
func TestWaitedLeaseIsFresh(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		first := l.acquire(client.Request{Demands: []lease.Demand{{Name: "nuc-01"}}})
		later := l.later(t.Context(), client.Request{Demands: []lease.Demand{{Name: "nuc-01"}}, TTL: 6 * time.Second}, waiting)
		pass(29 * time.Second)
		if err := l.Release(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		got := (<-later).want(t)
		held, stop := l.hold(t.Context(), got)
		pass(time.Minute)
		if held.Err() != nil {
			t.Errorf("lost: %v", context.Cause(held))
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestWaitedInVain(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		held, stop := l.hold(t.Context(), l.acquire(wanting("nuc-01")))
		start := time.Now()
		_, err := l.Acquire(t.Context(), wanting("nuc-01"), client.Waiting{For: 100 * time.Second})
		var e *lease.Error
		if !errors.Is(err, lease.ErrNoneFree) || !errors.As(err, &e) || e.Availability.Leased != 1 ||
			!strings.Contains(err.Error(), "not granted within 1m40s: place 1 of 1 in line; 1 matching device leased") {
			t.Errorf("%v", err)
		}
		if took := time.Since(start); took != 100*time.Second {
			t.Errorf("it took %s", took)
		}
		if pending := l.ids(lease.StatePending); len(pending) > 0 || held.Err() != nil {
			t.Errorf("pending %v; held %v", pending, held.Err())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

var errEnough = errors.New("enough")

func TestGivingUpTheWait(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		held := l.acquire(wanting("nuc-01"))
		ctx, cancel := context.WithCancelCause(t.Context())
		later := l.later(ctx, wanting("nuc-01"), client.Waiting{For: client.Forever})
		pass(10 * time.Second)
		cancel(errEnough)
		if err := (<-later).err; !errors.Is(err, context.Canceled) || !errors.Is(err, errEnough) || errors.Is(err, lease.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		if err := l.Release(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		l.wantNothingLeft()
	})
}

// Nobody hears of what was granted when the reply is lost and then the context is over; it is given up all the same.
func TestLostGrantIsGivenUp(t *testing.T) {
	for name, w := range map[string]client.Waiting{"waiting": waiting, "at once": {}} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				ctx, cancel := context.WithCancel(t.Context())
				l.wire.fail(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
					if r.Method != http.MethodPost {
						return send()
					}
					defer cancel()
					return lostReply(r, send)
				})
				if _, err := l.Acquire(ctx, wanting("nuc-01"), w); !errors.Is(err, context.Canceled) {
					t.Errorf("%v", err)
				}
				l.wantNothingLeft()
			})
		})
	}
}

// A request that was on its way when it was given up finds its token used up.
func TestLateRequestGetsNothing(t *testing.T) {
	for name, w := range map[string]client.Waiting{"waiting": waiting, "at once": {}} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				ctx, cancel := context.WithCancel(t.Context())
				first, arrived := true, make(chan int, 1)
				l.wire.fail(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
					if !first {
						return send()
					}
					first = false
					late := r.Clone(context.Background())
					late.Body, _ = r.GetBody()
					go func() {
						pass(time.Second)
						reply, err := l.wire.real.RoundTrip(late)
						if err != nil {
							t.Error(err)
							return
						}
						_ = reply.Body.Close()
						arrived <- reply.StatusCode
					}()
					cancel()
					return nil, ctx.Err()
				})
				if _, err := l.Acquire(ctx, wanting("nuc-01"), w); !errors.Is(err, context.Canceled) {
					t.Errorf("%v", err)
				}
				if status := <-arrived; status != http.StatusGone {
					t.Errorf("the late request was answered with %d", status)
				}
				l.wantNothingLeft()
			})
		})
	}
}

// What is taken only to use the token up is given up again, also when the reply to that is lost.
func TestLostReplyOfGivingUp(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		ctx, cancel := context.WithCancel(t.Context())
		posts := 0
		l.wire.fail(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
			if r.Method != http.MethodPost {
				return send()
			}
			cancel()
			if posts++; posts == 1 {
				return nil, errCut
			}
			return lostReply(r, send)
		})
		if _, err := l.Acquire(ctx, wanting("nuc-01"), waiting); !errors.Is(err, context.Canceled) || posts != 2 {
			t.Errorf("%v, asked %d times", err, posts)
		}
		l.wantNothingLeft()
	})
}

// A place in line that can't come to anything any more is given up.
func TestRefusedWhileWaiting(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		held := l.acquire(wanting("nuc-01"))
		later := l.later(t.Context(), wanting("nuc-01"), waiting)
		l.setInventory(lease.Limits{}, device("rpi4-01", "model=rpi4"))
		if err := (<-later).err; !errors.Is(err, lease.ErrNoMatch) {
			t.Errorf("%v", err)
		}
		if err := l.Release(t.Context(), held); err != nil {
			t.Error(err)
		}
		l.wantNothingLeft()
	})
}

// When nobody can be told, the error says so, and the time it takes is bounded.
func TestGivingUpInAnOutage(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l.wire.fail(away)
		_, err := l.Acquire(ctx, wanting("nuc-01"), waiting)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "could not be given up") || errors.Is(err, lease.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		synctest.Wait()
	})
}

// One hundred allocations over a network that loses requests and replies, some given up at any moment, leave nothing behind.
func TestNothingIsLeakedByALossyNetwork(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		r := rand.New(rand.NewPCG(1, 2))
		l.wire.fail(func(request *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
			switch r.IntN(4) {
			case 0:
				return nil, errCut
			case 1:
				return lostReply(request, send)
			}
			return send()
		})
		granted := 0
		for i := range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			if i%4 == 0 {
				time.AfterFunc(time.Duration(r.IntN(300))*time.Millisecond, cancel)
			}
			got, err := l.Acquire(ctx, wanting("nuc-01"), client.Waiting{For: time.Duration(i%2) * time.Hour})
			if err == nil {
				granted++
				err = l.Release(t.Context(), got)
			}
			cancel()
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatalf("%d: %v", i, err)
			}
			l.wantNothingLeft()
		}
		if granted < 75 {
			t.Errorf("%d of 100 were granted", granted)
		}
	})
}

// waited is how an Acquire ended.
type waited struct {
	lease *client.Lease
	err   error
}

func (w waited) want(t *testing.T) *client.Lease {
	t.Helper()
	if w.err != nil {
		t.Fatal(w.err)
	}
	return w.lease
}

// later acquires while the test goes on, and stands in line when this returns.
func (l *lab) later(ctx context.Context, r client.Request, w client.Waiting) <-chan waited {
	done := make(chan waited, 1)
	go func() {
		got, err := l.Acquire(ctx, r, w)
		done <- waited{got, err}
	}()
	synctest.Wait()
	return done
}
