package main

import (
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// history is what happened to one device, in seconds of the driver's clock.
type history struct {
	*ledger
	start  time.Time
	leases map[string]*tenure
	handed []succession
}

func (h *history) at(second float64) time.Time {
	return h.start.Add(time.Duration(second * float64(time.Second)))
}

// grant enters a lease that was asked for and granted at moments, to live for 60 s from the asking.
func (h *history) grant(id string, fence int64, sent, received float64) *tenure {
	t := &tenure{id: id, devices: []string{"rpi4-01"}, fence: fence, renewed: h.at(sent), until: h.at(sent + 60)}
	h.leases[id] = t
	h.handed = append(h.handed, h.granted(t, h.at(received))...)
	return t
}

// inLine enters a lease whose holder had stood in line since a moment.
func (h *history) inLine(id string, fence int64, since, sent, received float64) {
	t := &tenure{id: id, devices: []string{"rpi4-01"}, fence: fence, queued: h.at(since), renewed: h.at(sent), until: h.at(sent + 60)}
	h.leases[id] = t
	h.handed = append(h.handed, h.granted(t, h.at(received))...)
}

func TestLedger(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		happens                            func(h *history)
		double, lost, regressed            int
		lapsed, unjudged, handoff, recover int
	}{
		"one after the other": {happens: func(h *history) {
			h.leaving(h.grant("a", 1, 0, 0.1), h.at(5))
			h.grant("b", 2, 5, 5.1)
		}},
		"granted while another lives": {double: 1, happens: func(h *history) {
			h.grant("a", 1, 0, 0.1)
			h.grant("b", 2, 5, 5.1)
		}},
		"granted at the last moment that another certainly lives": {double: 1, happens: func(h *history) {
			h.grant("a", 1, 0, 1)
			h.grant("b", 2, 30, 59.9)
		}},
		"granted when another may just be over": {happens: func(h *history) {
			h.grant("a", 1, 0, 1)
			h.grant("b", 2, 30, 60)
		}},
		"granted while another is kept alive": {double: 1, happens: func(h *history) {
			h.renewed(h.grant("a", 1, 0, 1), h.at(50), 60*time.Second)
			h.grant("b", 2, 100, 101)
		}},
		"a keepalive that was answered late extends from its sending": {happens: func(h *history) {
			h.renewed(h.grant("a", 1, 0, 1), h.at(10), 60*time.Second)
			h.grant("b", 2, 71, 71)
		}},
		"an old answer takes nothing back": {double: 1, happens: func(h *history) {
			a := h.grant("a", 1, 0, 1)
			h.renewed(a, h.at(50), 60*time.Second)
			h.renewed(a, h.at(10), 60*time.Second)
			h.grant("b", 2, 100, 101)
		}},
		"three at once are two double grants": {double: 2, happens: func(h *history) {
			h.grant("a", 1, 0, 0.1)
			h.grant("b", 2, 5, 5.1)
			h.grant("c", 3, 6, 6.1)
		}},
		"the one before the last still lives": {double: 2, happens: func(h *history) {
			h.grant("a", 1, 0, 0.1)
			h.leaving(h.grant("b", 2, 5, 5.1), h.at(6))
			h.grant("c", 3, 7, 7.1)
		}},
		"a holder that died has its device to its end": {double: 1, happens: func(h *history) {
			h.crash(h.grant("a", 1, 0, 0.1))
			h.grant("b", 2, 59, 59.1)
		}},
		"a dead holder's device after its end": {happens: func(h *history) {
			h.crash(h.grant("a", 1, 0, 0.1))
			h.grant("b", 2, 62, 62.1)
		}},
		"the same lease again": {happens: func(h *history) {
			h.grant("a", 1, 0, 0.1)
			h.grant("a", 1, 5, 5.1)
		}},
		"a fence that stays": {regressed: 1, happens: func(h *history) {
			h.leaving(h.grant("a", 7, 0, 0.1), h.at(1))
			h.grant("b", 7, 2, 2.1)
		}},
		"fences that fall below one further back": {regressed: 2, happens: func(h *history) {
			h.leaving(h.grant("a", 9, 0, 0.1), h.at(1))
			h.leaving(h.grant("b", 7, 2, 2.1), h.at(3))
			h.grant("c", 8, 4, 4.1)
		}},
		"a grant that took too long to judge": {unjudged: 1, happens: func(h *history) {
			h.grant("a", 7, 50, 51)
			h.grant("b", 6, 0, 61)
		}},
		"over while it lives": {lost: 1, happens: func(h *history) {
			a := h.grant("a", 1, 0, 0.1)
			h.ended(a, opKeepalive, string(lease.CodeEnded), h.at(20))
			h.ended(a, opKeepalive, string(lease.CodeEnded), h.at(21))
		}},
		"a lease that is over does not make the next a double grant": {lost: 1, happens: func(h *history) {
			h.ended(h.grant("a", 1, 0, 0.1), opKeepalive, string(lease.CodeEnded), h.at(20))
			h.grant("b", 2, 21, 21.1)
		}},
		"over when it may be": {lapsed: 1, happens: func(h *history) {
			h.ended(h.grant("a", 1, 0, 0.1), opKeepalive, string(lease.CodeEnded), h.at(60))
		}},
		"a keepalive that crossed with the release": {happens: func(h *history) {
			a := h.grant("a", 1, 0, 0.1)
			h.leaving(a, h.at(5))
			h.ended(a, opKeepalive, string(lease.CodeEnded), h.at(5.1))
		}},
		"a release that finds the lease over": {lost: 1, happens: func(h *history) {
			a := h.grant("a", 1, 0, 0.1)
			h.leaving(a, h.at(5))
			h.ended(a, opRelease, string(lease.CodeNotFound), h.at(5.1))
		}},
		"handed to who stood in line": {handoff: 1, happens: func(h *history) {
			h.leaving(h.grant("a", 1, 0, 0.1), h.at(5))
			h.inLine("b", 2, 1, 1, 5.2)
		}},
		"not handed to who came later": {happens: func(h *history) {
			h.leaving(h.grant("a", 1, 0, 0.1), h.at(5))
			h.inLine("b", 2, 5.1, 5.1, 5.2)
		}},
		"recovered from a dead holder": {recover: 1, happens: func(h *history) {
			h.crash(h.grant("a", 1, 0, 0.1))
			h.inLine("b", 2, 1, 61, 62)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &history{ledger: newLedger(), start: time.Now(), leases: map[string]*tenure{}}
			c.happens(h)
			got, handed := h.sum(), map[operation]int{}
			for _, s := range h.handed {
				handed[s.op]++
			}
			if got.DoubleGranted != c.double || got.Lost != c.lost || got.FenceRegressions != c.regressed || got.Lapsed != c.lapsed || got.Unjudged != c.unjudged {
				t.Errorf("%+v, want %+v", got, c)
			}
			if handed[opHandoff] != c.handoff || handed[opRecovery] != c.recover {
				t.Errorf("handed over: %v", h.handed)
			}
			if len(got.Findings) != got.broken() {
				t.Errorf("%d promises broken, told: %q", got.broken(), got.Findings)
			}
		})
	}
}

func TestLedgerKeepsDevicesApart(t *testing.T) {
	t.Parallel()
	l, now := newLedger(), time.Now()
	grant := func(id string, fence int64, devices ...string) {
		l.granted(&tenure{id: id, devices: devices, fence: fence, until: now.Add(time.Minute)}, now)
	}
	grant("a", 5, "rpi4-01", "nuc-01")
	grant("b", 4, "rpi4-02")
	if got := l.sum(); got.broken() != 0 {
		t.Errorf("%+v", got)
	}
	grant("c", 6, "rpi4-02", "nuc-01")
	if got := l.sum(); got.DoubleGranted != 1 || got.broken() != 1 {
		t.Errorf("a lease is double-granted once, however many devices it takes: %+v", got)
	}
}

func TestLedgerFindingsAreBounded(t *testing.T) {
	t.Parallel()
	l, now := newLedger(), time.Now()
	for n := range 100 {
		l.granted(&tenure{id: string(rune(n)), devices: []string{"rpi4-01"}, fence: int64(n + 1), until: now.Add(time.Minute)}, now)
	}
	if got := l.sum(); got.DoubleGranted != 99 || len(got.Findings) != 20 {
		t.Errorf("%d double grants, %d told", got.DoubleGranted, len(got.Findings))
	}
}
