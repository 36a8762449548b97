package store_test

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// events reads the events of a type, of all for "", without what only Redis adds.
func (l *lab) events(t testing.TB, kind string) []map[string]string {
	t.Helper()
	var found []map[string]string
	for _, message := range l.dump(t).one("events").log {
		fields := map[string]string{}
		for name, value := range message.Values {
			fields[name] = fmt.Sprint(value)
		}
		if kind == "" || fields["type"] == kind {
			found = append(found, fields)
		}
	}
	return found
}

func milliseconds(t testing.TB, s string) time.Duration {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(n) * time.Millisecond
}

// Every change leaves an event that says who and what; together they are the history of the pool. Reads leave none.
func TestEventsAreTheHistory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		released := l.grant(t, lease.Request{Holder: "alice"})
		l.release(t, released.ID)
		expired := l.grant(t, lease.Request{Holder: "bob"})
		r.Advance(ttl + grace + time.Minute)
		l.reap(t)
		overdue := l.grant(t, lease.Request{MaxHold: ttl})
		r.Advance(ttl + grace/2)
		_, err := l.Keepalive(t.Context(), overdue.ID)
		wantEnded(t, err, lease.ReasonDeadline)
		revoked := l.grant(t, lease.Request{})
		l.remove(t, "a")
		l.read(t, revoked.ID)
		wantEnded(t, l.Release(t.Context(), revoked.ID), lease.ReasonRevoked)
		note := "cable loose"
		l.set(t, "a", lease.DeviceChange{Note: &note})
		l.maintenance(t, "a", true)
		l.maintenance(t, "a", false)

		want := []map[string]string{
			granted(released), ended(released, "released", "released"),
			granted(expired), ended(expired, "expired", "expired"),
			granted(overdue), ended(overdue, "expired", "deadline"),
			granted(revoked), ended(revoked, "revoked", "revoked"),
			{"type": "in_service", "device": "a", "note": note},
			{"type": "maintenance", "device": "a", "note": note},
			{"type": "in_service", "device": "a", "note": note},
		}
		got := l.events(t, "")
		if len(got) != len(want) {
			t.Fatalf("%d events, want %d: %v", len(got), len(want), got)
		}
		for i := range want {
			if !maps.Equal(got[i], want[i]) {
				t.Errorf("event %d: %v, want %v", i, got[i], want[i])
			}
		}
	})
}

func granted(l *lease.Lease) map[string]string {
	return map[string]string{
		"type": "granted", "lease": l.ID.String(), "devices": strings.Join(l.Devices, " "), "holder": l.Holder, "fence": fmt.Sprint(l.Fence),
		"waited_ms": fmt.Sprint(l.Waited().Milliseconds()),
	}
}

func ended(l *lease.Lease, kind, reason string) map[string]string {
	return map[string]string{"type": kind, "lease": l.ID.String(), "devices": l.Devices[0], "reason": reason}
}

// What is stored, events included, holds neither a token nor how to reach a device.
func TestNoSecretIsStored(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		const password = "correct-horse-battery-staple"
		d := device("a", "x")
		d.Connection = lease.Connection{"password": password}
		l := newLab(t, r, d)
		token := lease.NewToken()
		g, err := l.inventory.Resolve(token.ID(pool), lease.Request{Pool: pool, Holder: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.Allocate(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		l.renew(t, g.ID)
		checkNoSecret(t, l.dump(t), []lease.Token{token, password})
		l.release(t, g.ID)
		checkNoSecret(t, l.dump(t), []lease.Token{token, password})
		checkKeys(t, l.dump(t))
	})
}

// The events of a pool are bounded, so that they never fill Redis.
func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	r := storetest.Embedded(t)
	l := newLab(t, r, device("a", ""))
	fill := "for i = 1, 10500 do redis.call('XADD', KEYS[1], '*', 'type', 'granted') end return 1"
	if err := r.Client.Eval(t.Context(), fill, []string{"events:{" + pool + "}"}).Err(); err != nil {
		t.Fatal(err)
	}
	l.take(t, "a")
	if n, err := r.Client.XLen(t.Context(), "events:{"+pool+"}").Result(); n > 10200 || err != nil {
		t.Errorf("%d events, want about 10,000 (%v)", n, err)
	}
}

// Leases do not depend on their history: with garbage in its place, all goes on.
func TestLeasesWithoutEvents(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", ""))
		l.do(t, "set", "events:{default}", "garbage")
		id := l.take(t, "a").ID
		r.Advance(ttl + grace/2)
		l.renew(t, id) // late, which is an event
		l.release(t, id)
		l.maintenance(t, "a", true)
		l.wantStates(t, map[string]lease.DeviceState{"a": lease.DeviceMaintenance})
	})
}
