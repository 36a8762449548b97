package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

func TestFloorHolds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		services := newRealLab(t, 12)
		r, err := driven(t.Context(), t, `
devices: 12
ttl: 6s
duration: 10s
keepalives: {leases: 10, rate: 20}
cycles: {rate: 4}
floor: {keepalives_per_second: 20, cycles_per_second: 4, errors: 0, p99: {keepalive: 1s, allocate: 1s, release: 1s}}
`, services)
		wantCode(t, err, 0)
		if k := r.row(opKeepalive); k == nil || k.Requests != 200 || k.PerSecond != 20 {
			t.Errorf("keepalives: %+v", k)
		}
		if r.Cycles != 40 || r.Leases.Granted != 50 || r.Leases.Released != 50 {
			t.Errorf("%d cycles, leases %+v", r.Cycles, r.Leases)
		}
		if len(r.Series) != 10 || r.Series[3].Operations[opKeepalive].Requests != 20 {
			t.Errorf("series: %+v", r.Series)
		}
		if left := services.left(t); left != 0 {
			t.Errorf("%d leases left behind", left)
		}
	})
}

func TestEveryoneAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		services := newRealLab(t, 3)
		r, err := driven(t.Context(), t, `
devices: 3
duration: 5m
cycles: {count: 12, wait: 5m, hold: 30s}
floor: {cycles: 12, errors: 0, p99: {handoff: 6s}}
`, services)
		wantCode(t, err, 0)
		// 12 holders on 3 devices are 4 rounds of 30 s, in which each keepalive is due once.
		if wait := r.row(opWait); time.Duration(wait.Max) < 80*time.Second || r.Seconds < 119 || r.Seconds > 130 {
			t.Errorf("%.0f s, the longest wait %s", r.Seconds, wait.Max)
		}
		if got := r.row(opKeepalive).Requests; got != 12 {
			t.Errorf("%d keepalives, want 12", got)
		}
		if last := r.Series[len(r.Series)-1]; last.Second < 110 || r.Series[1].Second < 20 {
			t.Errorf("a wait belongs to the second in which it ends: %+v", r.Series)
		}
		if got := r.row(opHandoff).Requests; got != 9 {
			t.Errorf("%d handoffs, want 9", got)
		}
	})
}

func TestDevicesComeBackFromDeadHolders(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		services := newRealLab(t, 2)
		r, err := driven(t.Context(), t, `
devices: 2
ttl: 6s
duration: 60s
cycles: {rate: 0.5, wait: 2m, hold: 1s, crash: 1}
floor: {errors: 0}
`, services)
		wantCode(t, err, 0)
		if r.Leases.Crashed < 10 || r.Leases.Released != 0 || r.Cycles != 0 {
			t.Errorf("%+v", r.Leases)
		}
		back := r.row(opRecovery)
		if back == nil || time.Duration(back.P50) < 7900*time.Millisecond || time.Duration(back.Max) > 13*time.Second {
			t.Errorf("a device comes back after TTL and grace, 8 s, when somebody asks next, and not: %+v", back)
		}
		if left := services.left(t); left > 2 {
			t.Errorf("%d places in line left behind", left-2)
		}
	})
}

func TestOpenLoopCountsWhatAStallDelays(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var begin time.Time
		services := &fakeLab{devices: 20, renew: func(http.ResponseWriter, *http.Request) bool {
			if begin.IsZero() {
				begin = time.Now()
			}
			if at := time.Since(begin); at >= 2*time.Second && at < 5*time.Second {
				<-time.After(5*time.Second - at)
			}
			return false
		}}
		r, err := driven(t.Context(), t, `
devices: 10
duration: 10s
keepalives: {leases: 1, rate: 10}
floor: {keepalives_per_second: 10, errors: 0, p99: {keepalive: 50ms}}
`, services)
		wantCode(t, err, 1)
		k := r.row(opKeepalive)
		// Of 100 requests the 30 of the stall take 3 s, 2.9 s, … 0.1 s. A driver that waits for each answer would see one of 3 s.
		slow := 0
		for _, b := range k.Histogram {
			if time.Duration(b.From) >= time.Second {
				slow += b.Requests
			}
		}
		if k.Requests != 100 || slow < 19 || slow > 21 || time.Duration(k.Max) < 2990*time.Millisecond {
			t.Errorf("%d requests, %d slow, at most %s", k.Requests, slow, k.Max)
		}
		if r.Driver.Late != 0 {
			t.Errorf("the stall made the driver late: %+v", r.Driver)
		}
	})
}

func TestBrokenPromisesMissTheFloor(t *testing.T) {
	t.Parallel()
	held := `
devices: 9
duration: 30s
cycles: {rate: 1, hold: 5s}
`
	kept := `
devices: 9
duration: 30s
keepalives: {leases: 3}
`
	for name, c := range map[string]struct {
		scenario string
		lab      *fakeLab
		want     func(a accounts) bool
	}{
		"the same device to everybody": {held, &fakeLab{devices: 9, allocate: func(n int) fakeGrant { return fakeGrant{"d0", n + 1} }},
			func(a accounts) bool { return a.DoubleGranted == 29 && a.Lost+a.FenceRegressions == 0 }},
		"a device whose lease was kept alive": {strings.Replace(held, "rate: 1, hold: 5s", "rate: 0.1, hold: 25s", 1) + "ttl: 6s\n",
			&fakeLab{devices: 9, remaining: 6, allocate: func(n int) fakeGrant { return fakeGrant{fmt.Sprint(n % 2), n + 1} }},
			func(a accounts) bool { return a.DoubleGranted == 1 && a.Lost+a.FenceRegressions == 0 }},
		"grants that arrive so late that nothing is certain": {held + "ttl: 6s\n",
			&fakeLab{devices: 9, remaining: 6, delay: 7 * time.Second, allocate: func(n int) fakeGrant { return fakeGrant{"d0", 99 - n} }},
			func(a accounts) bool { return a.broken() == 0 && a.Unjudged == 30 }},
		"fences that fall": {held, &fakeLab{devices: 9, allocate: func(n int) fakeGrant { return fakeGrant{fakeDevice(n), 100 - n} }},
			func(a accounts) bool { return a.FenceRegressions == 30-9 && a.Lost+a.DoubleGranted == 0 }},
		"leases over before their time": {kept, &fakeLab{devices: 9, renew: func(w http.ResponseWriter, _ *http.Request) bool {
			refuse(w, http.StatusGone, lease.CodeEnded)
			return true
		}}, func(a accounts) bool { return a.Lost >= 3 && a.DoubleGranted+a.FenceRegressions == 0 }},
		"leases that nobody knows": {kept, &fakeLab{devices: 9, renew: func(w http.ResponseWriter, _ *http.Request) bool {
			refuse(w, http.StatusNotFound, lease.CodeNotFound)
			return true
		}}, func(a accounts) bool { return a.Lost >= 3 }},
		"nothing": {held, &fakeLab{devices: 9}, func(a accounts) bool { return a.broken() == 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r, err := driven(t.Context(), t, c.scenario, c.lab)
				if !c.want(r.Leases) {
					t.Errorf("%+v", r.Leases)
				}
				broken := r.Leases.broken()
				wantCode(t, err, min(1, broken))
				if broken > 0 && (len(r.Leases.Findings) == 0 || r.OK) {
					t.Errorf("not told: %+v", r.Leases)
				}
			})
		})
	}
}

func fakeDevice(n int) string { return string(rune('a' + n%9)) }

func TestErrorsMissTheFloor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var asked atomic.Int64
		services := &fakeLab{devices: 9, renew: func(w http.ResponseWriter, r *http.Request) bool {
			switch asked.Add(1) % 4 {
			case 1:
				refuse(w, http.StatusServiceUnavailable, lease.CodeUnavailable)
			case 2:
				http.Error(w, "bad gateway", http.StatusBadGateway)
			case 3:
				<-r.Context().Done() // no answer
			default:
				write(w, http.StatusOK, "what?")
			}
			return true
		}}
		r, err := driven(t.Context(), t, "devices: 9\nduration: 20s\nkeepalives: {leases: 4, rate: 2}\nfloor: {keepalives_per_second: 2, errors: 0}", services)
		wantCode(t, err, 1)
		k := r.row(opKeepalive)
		for _, code := range []string{string(lease.CodeUnavailable), "http_502", codeTimeout, codeUnclear} {
			if k.Errors[code] != 10 {
				t.Errorf("%s: %d, want 10 of %v", code, k.Errors[code], k.Errors)
			}
		}
		if k.PerSecond != 0 || r.Errors != 40 || r.missed() != 2 {
			t.Errorf("%.1f a second, %d errors, floor %+v", k.PerSecond, r.Errors, r.Floor)
		}
	})
}

func TestHoldersInLineAskAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		services, asked := newRealLab(t, 2), atomic.Int64{}
		flaky := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && asked.Add(1)%2 == 1 {
				services.ServeHTTP(discard{}, r) // it is done, but the answer is lost
				refuse(w, http.StatusServiceUnavailable, lease.CodeUnavailable)
				return
			}
			services.ServeHTTP(w, r)
		})
		r, err := driven(t.Context(), t, "devices: 2\nduration: 5m\ncycles: {count: 6, wait: 5m, hold: 2s}\nfloor: {cycles: 6}", flaky)
		wantCode(t, err, 0)
		if errors := r.row(opWait).Errors[string(lease.CodeUnavailable)]; errors == 0 || r.Leases.Granted != 6 {
			t.Errorf("%d errors, %+v", errors, r.Leases)
		}
	})
}

func TestLostAnswersLeaveNothingBehind(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		services, asked, gave := newRealLab(t, 1), atomic.Int64{}, atomic.Int64{}
		flaky := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodPost && asked.Add(1) == 1:
				services.ServeHTTP(discard{}, r) // it is done, but the answer is lost
				refuse(w, http.StatusServiceUnavailable, lease.CodeUnavailable)
			case r.Method == http.MethodDelete && gave.Add(1) == 3:
				refuse(w, http.StatusServiceUnavailable, lease.CodeUnavailable)
			default:
				services.ServeHTTP(w, r)
			}
		})
		r, err := driven(t.Context(), t, "devices: 1\nduration: 10s\ncycles: {rate: 0.5}\nfloor: {cycles_per_second: 0.4}", flaky)
		wantCode(t, err, 0)
		// The first holder's lease is given up at once, and the third one's at the second try, so that the next find the device free.
		if r.Errors != 2 || r.Cycles != 4 {
			t.Errorf("%d cycles; %+v", r.Cycles, r.Operations)
		}
	})
}

func TestLatenessOfTheDriverIsToldAndCounts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		late := func(ctx context.Context, at time.Time) bool { return byTimer(ctx, at.Add(30*time.Millisecond)) }
		text := "devices: 1\nduration: 10s\nkeepalives: {leases: 1, rate: 1}\nfloor: {p99: {keepalive: 20ms}}"
		d := newDriver(parsed(t, text), lab{allocator: "http://lab.test", pool: "default"}, serve(t, &fakeLab{devices: 1}), late)
		r, err := d.measure(t.Context(), io.Discard)
		if err != nil || r.OK || r.Driver.Late != 10 || time.Duration(r.row(opKeepalive).P50) < 29*time.Millisecond {
			t.Errorf("%v: %+v, %+v", err, r.Driver, r.Operations)
		}
		if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "the driver was late itself: 10 of 10") {
			t.Errorf("%q", r.Notes)
		}
	})
}

func TestAlarms(t *testing.T) {
	t.Parallel()
	for name, wake := range map[string]alarm{"byTimer": byTimer, "precisely": precisely} {
		ctx, cancel := context.WithCancel(t.Context())
		if at := time.Now().Add(5 * time.Millisecond); !wake(ctx, at) || time.Now().Before(at) {
			t.Errorf("%s: too early", name)
		}
		cancel()
		if wake(ctx, time.Now().Add(time.Hour)) || wake(ctx, time.Now()) {
			t.Errorf("%s: rings though nobody listens", name)
		}
	}
}

// discard loses an answer.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

func TestInterruptedRunReportsAndGivesBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		services := newRealLab(t, 8)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5500*time.Millisecond, cancel)
		r, err := driven(ctx, t, `
devices: 8
duration: 60s
keepalives: {leases: 4, rate: 2}
cycles: {rate: 2, wait: 1m, hold: 10s}
floor: {keepalives_per_second: 2}
`, services)
		wantCode(t, err, 130)
		if r == nil || r.Seconds < 5 || r.Seconds > 6 || r.row(opKeepalive).Requests < 10 {
			t.Errorf("%+v", r)
		}
		if left := services.left(t); left != 0 {
			t.Errorf("%d leases and places in line left behind", left)
		}
	})
}

func TestLabThatIsTooSmall(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		services := newRealLab(t, 3)
		text := "devices: 5\nduration: 2s\nkeepalives: {leases: 4}\n"
		r, err := driven(t.Context(), t, text, services)
		wantCode(t, err, 2)
		if r != nil || !strings.Contains(err.Error(), "takes 4 devices at the least; http://lab.test has 3 free ones of 3") {
			t.Error(err)
		}
		r, err = driven(t.Context(), t, strings.Replace(text, "leases: 4", "leases: 3", 1), services)
		wantCode(t, err, 0)
		if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "made for 5 devices") {
			t.Errorf("%q", r.Notes)
		}
	})
}

func TestRampFindsTheKnee(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var second, answers atomic.Int64
		services := &fakeLab{devices: 9, renew: func(http.ResponseWriter, *http.Request) bool {
			if now := time.Now().Unix(); second.Swap(now) != now {
				answers.Store(0)
			}
			if answers.Add(1) > 50 { // more than 50 a second are too many
				<-time.After(200 * time.Millisecond)
			}
			return false
		}}
		r, err := driven(t.Context(), t, `
devices: 9
duration: 5m
keepalives: {leases: 4, rate: 10}
ramp: {every: 10s, factor: 2, p99: 50ms}
floor: {keepalives_per_second: 40}
`, services)
		wantCode(t, err, 0)
		if r.Knee == nil || r.Knee.Factor != 4 || r.Knee.Keepalives != 40 {
			t.Errorf("knee %+v of %+v", r.Knee, r.Ramp)
		}
		if len(r.Ramp) != 3+tries || !strings.Contains(r.Ramp[3].Why, "p99 of keepalive above 50.0 ms") {
			t.Errorf("%+v", r.Ramp)
		}
		r.Knee = nil
		if r.Floor = (&driver{scenario: scenario{ramp: &ramp{}, floor: floor{keepaliveRate: 1}}}).requirements(r); r.missed() != 1 {
			t.Errorf("without a good step the floor is missed: %+v", r.Floor)
		}
	})
}

func TestClosedLoopIsAsFastAsItsAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		services := &fakeLab{devices: 9, renew: func(http.ResponseWriter, *http.Request) bool {
			<-time.After(10 * time.Millisecond)
			return false
		}}
		r, err := driven(t.Context(), t, `
devices: 9
duration: 2s
keepalives: {leases: 8}
closed: {connections: 4}
floor: {keepalives_per_second: 390, errors: 0}
`, services)
		wantCode(t, err, 0)
		if k := r.row(opKeepalive); k.Requests < 796 || k.Requests > 804 || r.Loop != "closed" {
			t.Errorf("4 connections, 10 ms an answer, 2 s: %d requests", k.Requests)
		}
	})
}
