package store_test

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/automation-infra/automation-infra/lease"
)

func (m *machine) readLease(t *rapid.T) {
	id := m.anyID(t)
	got, err := m.store.Lease(m.ctx, id)
	want := m.model.record(id)
	if want == nil {
		m.wantCode(t, "read", id, err, lease.CodeNotFound)
		return
	}
	if err != nil {
		t.Fatalf("read %s: %v", id, err)
	}
	m.sameLease(t, got, want)
}

func (m *machine) readDevices(t *rapid.T) {
	names := slices.Sorted(maps.Keys(m.inventory))
	got, err := m.store.Devices(m.ctx, pool, names)
	if err != nil || len(got) != len(names) {
		t.Fatalf("devices: %d, %v", len(got), err)
	}
	now := m.clock(t)
	for i, name := range names {
		m.sameDevice(t, name, got[i], now)
	}
}

// listLeases reads all leases of a state, some at a time.
func (m *machine) listLeases(t *rapid.T) {
	state := rapid.SampledFrom(lease.States()).Draw(t, "state")
	limit := rapid.IntRange(1, 4).Draw(t, "limit")
	want := m.model.listed(state)
	var found []lease.ID
	for after := ""; ; {
		some, next, err := m.store.Leases(m.ctx, pool, state, after, limit)
		if err != nil || len(some) > limit {
			t.Fatalf("list %s after %q: %d leases, %v", state, after, len(some), err)
		}
		for _, l := range some {
			if _, listed := want[l.ID]; !listed {
				t.Fatalf("list %s: %s is not to be listed", state, l.ID)
			}
			m.sameLease(t, l, m.model.record(l.ID))
			found = append(found, l.ID)
		}
		if after = next; after == "" {
			break
		}
	}
	m.sameList(t, state, found, want)
}

// sameList checks that every lease is listed once, in the order of the index; those that are too near to tell in any.
func (m *machine) sameList(t *rapid.T, state lease.State, got []lease.ID, want map[lease.ID]time.Duration) {
	ordered := slices.IsSortedFunc(got, func(a, b lease.ID) int {
		byTime := cmp.Compare(want[a], want[b])
		if m.redis.Slack > 0 {
			return byTime
		}
		return cmp.Or(byTime, cmp.Compare(a.String(), b.String()))
	})
	once := slices.Compact(slices.SortedFunc(slices.Values(got), func(a, b lease.ID) int {
		return cmp.Compare(a.String(), b.String())
	}))
	if !ordered || len(once) != len(got) || len(got) != len(want) {
		t.Fatalf("list %s: %v, want all of %v in order of time", state, got, byText(want))
	}
}
