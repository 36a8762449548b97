package faults_test

import (
	"testing"
)

// The mutants that several faults have. What each replaces has to be in its file once.
var (
	withoutToken = mutant{
		lacks: "idempotent tokens",
		edits: []edit{
			{"store/scripts/allocate.lua", "redis.call('EXISTS', LEASE .. id, QUEUE, TICKETS, PAUSED) == 0", "redis.call('EXISTS', QUEUE, TICKETS, PAUSED) == 0"},
			{"store/scripts/allocate_other.lua", "local known = record(id)", "local known = nil"},
		},
	}
	withoutOutage = mutant{
		lacks: "a difference between an outage and an absence",
		edits: []edit{{"store/errors.go", "Code: lease.CodeUnavailable, Cause: cause,", "Code: lease.CodeNotFound, Cause: cause,"}},
	}
	withoutRespect = mutant{
		lacks: "respect of a service that starts for the locks that it finds",
		edits: []edit{{
			"store/scripts/register.lua", "if not heldOut(device, class) then",
			"redis.call('DEL', LOCK .. device)\n  if not heldOut(device, class) then",
		}},
	}
	withoutConfirmation = mutant{
		lacks: "an eye on what WAIT says",
		edits: []edit{{"store/confirm.go", "return raw, n >= int64(s.confirmation.replicas), err", "return raw, n >= 0, err"}},
	}
	withoutGrace = mutant{
		lacks:   "a grace",
		edits:   []edit{{"store/store.go", "s.grace.Milliseconds()", "0"}},
		setting: fewDevices,
	}
	withoutExpiry = mutant{
		lacks: "locks that expire",
		edits: []edit{
			{"store/scripts/award.lua", "id, 'NX', 'PX', ttl + grace)", "id, 'NX')"},
			{"store/scripts/serve.lua", "elseif left > 0 then", "elseif left ~= 0 then"},
		},
		setting: fewDevices,
		caught:  func(got figures) bool { return got.orphans > 0 },
	}
	withoutOwner = mutant{
		lacks: "a look at whose lock it is",
		edits: []edit{{"store/scripts/keepalive.lua", "held and call('GET', lock) == id and", "held and"}},
	}
	withoutLock = mutant{
		lacks: "NX, and a look at the lock",
		edits: []edit{
			{"store/scripts/line.lua", "== 'in_service' and redis.call('EXISTS', LOCK .. name) == 0", "== 'in_service'"},
			{"store/scripts/allocate.lua", "'in_service' and not locked then", "'in_service' then"},
			{"store/scripts/award.lua", "id, 'NX', 'PX',", "id, 'PX',"},
		},
	}
	withoutFile = mutant{lacks: "an append-only file", setting: func(s *setting) { s.fsync = "" }}
	// The fence of a Redis that came back empty is above those from before only because of the clock.
	withoutClock = mutant{
		lacks: "a fence from the clock",
		edits: []edit{
			{"store/scripts/award.lua", "math.max(tonumber(redis.call('GET', FENCE) or 0) + 1, MICROSECONDS)", "tonumber(redis.call('GET', FENCE) or 0) + 1"},
			{"store/scripts/line.lua", "math.max(tonumber(redis.call('GET', FENCE) or 0) + 1, MICROSECONDS)", "tonumber(redis.call('GET', FENCE) or 0) + 1"},
		},
		setting: withoutFile.setting,
		strike:  emptyRedis,
		caught:  func(got figures) bool { return len(got.regressions) > 0 },
	}
	withoutPause = mutant{
		lacks:  "a pause after Redis lost its state",
		edits:  []edit{{"store/scripts/epoch.lua", "lose(tonumber(since), tonumber(ARGV[2]))", ""}},
		caught: givesAway,
	}
	withoutMemory = mutant{
		lacks:  "replicas that remember what Redis had",
		edits:  []edit{{"store/guard.go", "known.epoch, pause.Milliseconds()", `"", pause.Milliseconds()`}},
		caught: givesAway,
	}
	withoutNoEviction = mutant{
		lacks: "maxmemory-policy noeviction",
		strike: func(t *testing.T, l *lab) {
			l.redis.set(t, "maxmemory-policy", "volatile-ttl")
			outOfMemory(t, l)
		},
	}
)

// givesAway reports whether devices were granted that others certainly had.
func givesAway(got figures) bool { return len(got.doubles) > 0 }

// fewDevices is enough for a crowd of crashing clients to show what is missing.
func fewDevices(s *setting) { s.devices = 40 }

// unpaused is a planned failover during which nobody looks at what WAIT says, and clients go on writing.
func unpaused() mutant {
	m := withoutConfirmation
	m.strike = func(t *testing.T, l *lab) { l.group.planned(t) }
	return m
}
