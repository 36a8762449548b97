package store_test

import (
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/automation-infra/automation-infra/lease"
)

func (m *machine) readLease(t *rapid.T) {
	id := m.anyID(t)
	got, err := m.store.Lease(m.ctx, id)
	m.read(t, id, got, err, m.model.record(id))
}

// read checks a lease as it was read; it is nil when there should be none.
func (m *machine) read(t *rapid.T, id lease.ID, got *lease.Lease, err error, want *modelLease) {
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
	var found []lease.ID
	for after := ""; ; {
		some, next, err := m.store.Leases(m.ctx, pool, state, after, limit)
		if err != nil || len(some) > limit {
			t.Fatalf("list %s after %q: %d leases, %v", state, after, len(some), err)
		}
		for _, l := range some {
			found = append(found, l.ID)
			if want := m.model.record(l.ID); want != nil {
				m.sameLease(t, l, want)
			}
		}
		if after = next; after == "" {
			break
		}
	}
	if want := m.model.listed(state); !slices.Equal(found, want) {
		t.Fatalf("list %s: %v, want %v", state, found, want)
	}
}
