package faults_test

import (
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// at is an operation on the device d, from a call to a return in seconds.
func at(call, ret float64, r request, lease int, o outcome) operation {
	return operation{request: r, device: "d", lease: lease, call: seconds(call), ret: seconds(ret), outcome: o}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// granted is an allocation that got the device, for three seconds after the call.
func granted(call, ret float64, lease int, fence int64) operation {
	o := at(call, ret, allocate, lease, done)
	o.fence, o.until = fence, seconds(call+3)
	return o
}

// renewed is a keepalive of lease 1 that went well.
func renewed(call, ret float64) operation {
	o := at(call, ret, keepalive, 1, done)
	o.until = seconds(call + 3)
	return o
}

// TestChecker has a hand-made history for each rule of the model, and for each way to break it.
func TestChecker(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		ops   []operation
		lossy bool
		want  porcupine.CheckResult
	}{
		{"nothing", nil, false, porcupine.Ok},
		{"one after the other", []operation{granted(0, .1, 1, 1), at(1, 1.1, release, 1, done), granted(2, 2.1, 2, 2)}, false, porcupine.Ok},
		{"two at once", []operation{granted(0, .1, 1, 1), granted(1, 1.1, 2, 2)}, false, porcupine.Illegal},
		{"after it expired", []operation{granted(0, .1, 1, 1), granted(3.1, 3.2, 2, 2)}, false, porcupine.Ok},
		{"just before it expired", []operation{granted(0, .1, 1, 1), granted(2.8, 2.9, 2, 2)}, false, porcupine.Illegal},
		{"perhaps after it expired", []operation{granted(0, .1, 1, 1), granted(2.8, 3.1, 2, 2)}, false, porcupine.Ok},
		{"kept alive", []operation{granted(0, .1, 1, 1), renewed(2, 2.1), granted(3.1, 3.2, 2, 2)}, false, porcupine.Illegal},
		{"kept alive until it expired", []operation{granted(0, .1, 1, 1), renewed(2, 2.1), granted(5.1, 5.2, 2, 2)}, false, porcupine.Ok},
		{"kept alive after it expired, while nobody took it", []operation{granted(0, .1, 1, 1), renewed(4, 4.1)}, false, porcupine.Ok},
		{"kept alive after another took it", []operation{granted(0, .1, 1, 1), granted(3.1, 3.2, 2, 2), renewed(4, 4.1)}, false, porcupine.Illegal},
		{"kept alive after its release", []operation{granted(0, .1, 1, 1), at(1, 1.1, release, 1, done), renewed(2, 2.1)}, false, porcupine.Illegal},
		{"gone after it expired", []operation{granted(0, .1, 1, 1), at(3.1, 3.2, keepalive, 1, gone)}, false, porcupine.Ok},
		{"gone too early", []operation{granted(0, .1, 1, 1), at(2.8, 2.9, keepalive, 1, gone)}, false, porcupine.Illegal},
		{"gone after its release", []operation{granted(0, .1, 1, 1), at(1, 1.1, release, 1, done), at(1.2, 1.3, keepalive, 1, gone)}, false, porcupine.Ok},
		{"gone after somebody removed its lock", []operation{granted(0, .1, 1, 1), at(1, 1.1, revoke, 0, done), at(1.2, 1.3, keepalive, 1, gone)}, false, porcupine.Ok},
		{"granted after somebody removed its lock", []operation{granted(0, .1, 1, 1), at(1, 1.1, revoke, 0, done), granted(1.2, 1.3, 2, 2)}, false, porcupine.Ok},
		{"what follows something that needs an expiry comes after it", []operation{
			granted(0, .1, 1, 1), at(2, 3.5, keepalive, 1, gone), granted(2.8, 2.9, 2, 2),
		}, false, porcupine.Illegal},
		{"fence rises", []operation{granted(0, .1, 1, 7), at(1, 1.1, release, 1, done), granted(2, 2.1, 2, 7)}, false, porcupine.Illegal},
		{"told again", []operation{granted(0, .1, 1, 1), granted(1, 1.1, 1, 1)}, false, porcupine.Ok},
		{"told again with another fence", []operation{granted(0, .1, 1, 1), granted(1, 1.1, 1, 2)}, false, porcupine.Illegal},
		{"refused while another has it", []operation{granted(0, .1, 1, 1), at(1, 1.1, allocate, 2, refused)}, false, porcupine.Ok},
		{"refused while nobody has it", []operation{at(1, 1.1, allocate, 2, refused)}, false, porcupine.Illegal},
		{"refused after a release", []operation{
			granted(0, .1, 1, 1), at(1, 1.1, release, 1, done), at(1.2, 1.3, allocate, 2, refused),
		}, false, porcupine.Illegal},
		{"refused after a release that may be lost", []operation{
			granted(0, .1, 1, 1), at(1, 1.1, release, 1, done), at(1.2, 1.3, allocate, 2, refused),
		}, true, porcupine.Ok},
		{"refused what it has", []operation{granted(0, .1, 1, 1), at(1, 1.1, allocate, 1, refused)}, false, porcupine.Illegal},
		{"refused what it alone may have", []operation{at(0, .1, allocate, 1, unknown), at(1, 1.1, allocate, 1, refused)}, false, porcupine.Illegal},
		{"refused while another may have it", []operation{at(0, .1, allocate, 1, unknown), at(1, 1.1, allocate, 2, refused)}, false, porcupine.Ok},
		{"refused after it is known that another had it", []operation{
			at(0, .1, allocate, 1, unknown), granted(.2, .3, 1, 1), at(.4, .5, release, 1, done), at(1, 1.1, allocate, 2, refused),
		}, false, porcupine.Illegal},
		{"unknown, then granted before another's grant and release", []operation{
			granted(0, .1, 1, 1), at(.05, .06, allocate, 2, unknown), at(1, 1.1, release, 1, done), granted(1.2, 1.3, 2, 2),
		}, false, porcupine.Ok},
		{"unknown allocation that nobody asked about again", []operation{at(0, .1, allocate, 1, unknown), granted(1, 1.1, 2, 2)}, false, porcupine.Ok},
		{"unknown release", []operation{granted(0, .1, 1, 1), at(1, 1.1, release, 1, unknown), granted(1.2, 1.3, 2, 2)}, false, porcupine.Ok},
		{"unknown release, in vain", []operation{
			granted(0, .1, 1, 1), at(1, 1.1, release, 1, unknown), at(1.2, 1.3, allocate, 2, refused),
		}, false, porcupine.Ok},
		{"unknown keepalive promises nothing", []operation{
			granted(0, .1, 1, 1), at(2, 2.1, keepalive, 1, unknown), granted(3.1, 3.2, 2, 2),
		}, false, porcupine.Ok},
		{"another device is none of it", []operation{granted(0, .1, 1, 1), elsewhere(granted(1, 1.1, 2, 2))}, false, porcupine.Ok},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := check(c.ops, c.lossy, false)
			if got.result != c.want {
				t.Errorf("%s, want %s\n%s", got.result, c.want, got.why)
			}
			if found := len(got.doubles) + len(got.lost) + len(got.regressions); c.want == porcupine.Ok && found > 0 {
				t.Errorf("the audit of a legal history: %+v", got.audit)
			}
		})
	}
}

// TestForgetfulChecker has histories of a Redis that may lose all leases: they vanish whenever they do, but nobody else has their devices
// while they are certain.
func TestForgetfulChecker(t *testing.T) {
	t.Parallel()
	vanished := []operation{granted(0, .1, 1, 1), at(1, 1.1, keepalive, 1, gone)}
	for _, c := range []struct {
		name    string
		next    []operation
		doubles int
		want    porcupine.CheckResult
	}{
		{"vanished", nil, 0, porcupine.Ok},
		{"granted to another while it was certain", []operation{granted(1.2, 1.3, 2, 2)}, 1, porcupine.Illegal},
		{"granted to another after that", []operation{granted(3.1, 3.2, 2, 2)}, 0, porcupine.Ok},
		{"granted again while it was certain", []operation{granted(1.2, 1.3, 1, 2)}, 0, porcupine.Illegal},
		{"granted again after that", []operation{granted(3.1, 3.2, 1, 2)}, 0, porcupine.Ok},
		{"granted again with a fence from before", []operation{granted(3.1, 3.2, 1, 0)}, 0, porcupine.Illegal},
		{"released, and granted to another", []operation{at(1.2, 1.3, release, 1, gone), granted(1.4, 1.5, 2, 2)}, 0, porcupine.Ok},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := check(append(slices.Clone(vanished), c.next...), true, true)
			if got.result != c.want || len(got.doubles) != c.doubles || len(got.lost) != 0 {
				t.Errorf("%s, want %s; %+v\n%s", got.result, c.want, got.audit, got.why)
			}
		})
	}
}

func elsewhere(o operation) operation {
	o.device = "other"
	return o
}

// TestAudit sees that each kind of what is counted is counted.
func TestAudit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                       string
		ops                        []operation
		doubles, lost, regressions int
	}{
		{"two at once", []operation{granted(0, .1, 1, 1), granted(1, 1.1, 2, 2)}, 1, 0, 0},
		{"gone too early", []operation{granted(0, .1, 1, 1), at(1, 1.1, keepalive, 1, gone), at(1.2, 1.3, keepalive, 1, gone)}, 0, 1, 0},
		{"fence of another device", []operation{granted(0, .1, 1, 2), elsewhere(granted(1, 1.1, 2, 1))}, 0, 0, 1},
		{"fences drawn at once", []operation{granted(0, 1, 1, 2), elsewhere(granted(.5, 1.1, 2, 1))}, 0, 0, 0},
		{"released", []operation{granted(0, .1, 1, 1), at(1, 1.1, release, 1, unknown), granted(1.2, 1.3, 2, 2)}, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := check(c.ops, false, false)
			if len(got.doubles) != c.doubles || len(got.lost) != c.lost || len(got.regressions) != c.regressions {
				t.Errorf("%+v", got.audit)
			}
		})
	}
}
