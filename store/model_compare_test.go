package store_test

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/automation-infra/automation-infra/lease"
)

// checkGranted proves that the leases granted since the last check are those of the model, in its order, with fences above
// all that were drawn before.
func (m *machine) checkGranted(t *rapid.T, d *dump) {
	fences := map[string]int64{}
	for id, record := range d.each("lease") {
		if fence := number(record.hash["fence"]); fence > m.model.fence {
			fences[id] = fence
		}
	}
	got := slices.SortedFunc(maps.Keys(fences), func(a, b string) int { return cmp.Compare(fences[a], fences[b]) })
	var want []string
	for _, l := range m.model.granted {
		want = append(want, l.grant.ID.String())
	}
	if !slices.Equal(got, want) {
		t.Fatalf("granted %v in this order, want %v", got, want)
	}
}

// number is an integer that is stored as text; 0 for none.
func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// checkLeases proves that Redis has the same record of each lease as the model.
func (m *machine) checkLeases(t *rapid.T, d *dump) {
	records := d.each("lease")
	for id, l := range m.model.leases {
		record, known := records[id.String()]
		if known != (m.model.record(id) != nil) {
			t.Fatalf("lease %s has a record: %v, want %v", id, known, !known)
		}
		if !known {
			continue
		}
		delete(records, id.String())
		if got, want := record.hash["state"], l.stored(); got != string(want) || record.hash["ended_reason"] != string(l.reason) {
			t.Fatalf("lease %s is stored as %s (%s), want %s (%s)", id, got, record.hash["ended_reason"], want, l.reason)
		}
		if got := parseWants(record.hash["wants"]); l.waits() && !reflect.DeepEqual(got, l.grant.Wants) {
			t.Fatalf("lease %s wants %+v, want %+v", id, got, l.grant.Wants)
		}
		m.sameDevices(t, l, strings.Fields(record.hash["devices"]), number(record.hash["fence"]))
	}
	if len(records) > 0 {
		t.Fatalf("records of leases that were never asked for: %v", slices.Sorted(maps.Keys(records)))
	}
}

// stored is the state of a lease as far as anybody noticed.
func (l *modelLease) stored() lease.State {
	switch {
	case l.reason != "":
		return l.reason.State()
	case l.waits():
		return lease.StatePending
	}
	return lease.StateActive
}

// sameDevices compares what a lease was granted. The model leaves open how high its fence is, and in which order a demand
// has its devices; from then on it is as it was told first.
func (m *machine) sameDevices(t *rapid.T, l *modelLease, devices []string, fence int64) {
	if len(l.devices) > 0 && l.fence == 0 {
		m.checkGrant(t, l, devices, fence)
		l.devices, l.fence = devices, fence
	}
	if l.fence != fence || !slices.Equal(l.devices, devices) {
		t.Logf("fence %d, want %d", fence, l.fence)
		t.Fatalf("lease %s has %v, want %v", l.grant.ID, devices, l.devices)
	}
}

func (m *machine) checkGrant(t *rapid.T, l *modelLease, devices []string, fence int64) {
	if fence <= m.model.fence {
		t.Logf("fence %d, the last was %d", fence, m.model.fence)
		t.Fatalf("lease %s: the fence does not rise", l.grant.ID)
	}
	if want := slices.Sorted(slices.Values(l.devices)); !slices.Equal(slices.Sorted(slices.Values(devices)), want) {
		t.Fatalf("lease %s is granted %v, want %v", l.grant.ID, devices, want)
	}
	for i, place := range places(l.grant.Wants) {
		if !mayTake(place, spare{name: devices[i], class: m.model.devices[devices[i]].class}) {
			t.Fatalf("lease %s is granted %v, of which %s is not what it asked for there", l.grant.ID, devices, devices[i])
		}
	}
}

// checkAgrees proves that Redis has what the model has: the locks, and the indexes with their times and orders.
func (m *machine) checkAgrees(t *rapid.T, d *dump) {
	locks := map[string]string{}
	for device := range m.model.locks {
		if id, locked := m.model.holder(device); locked {
			locks[device] = id.String()
		}
	}
	if got := d.locks(); !maps.Equal(got, locks) {
		t.Fatalf("locks: %v, want %v", got, locks)
	}
	for device := range locks {
		m.sameLeft(t, "lock of "+device, d.each("lock")[device].left, m.model.locks[device].until)
	}
	m.checkPlaces(t, d)
	m.sameIndex(t, "active", d.index("active"), byText(m.model.active))
	m.sameIndex(t, "ended", d.index("ended"), byText(m.model.ended))
	m.sameIndex(t, "tickets", d.withRecord(d.index("tickets")), d.withRecord(byText(m.model.tickets)))
	m.sameIndex(t, "asked", d.withRecord(d.index("asked")), d.withRecord(byText(m.model.asked)))
	m.checkLine(t, d)
	m.checkDevices(t, d)
}

// checkPlaces proves that devices are where the model has them. A wrong entry may be gone.
func (m *machine) checkPlaces(t *rapid.T, d *dump) {
	free := d.places("free")
	places := map[lease.DeviceState]map[string]time.Duration{lease.DeviceFree: {}, lease.DeviceMaintenance: {}, "": {}}
	for name, about := range m.model.devices {
		if _, listed := free[about.class+"/"+name]; m.model.mistaken(name) && !listed {
			about.place = ""
		}
		places[about.place][about.class+"/"+name] = about.since
	}
	m.sameIndex(t, "free", free, places[lease.DeviceFree])
	m.sameIndex(t, "maintenance", d.places("maintenance"), places[lease.DeviceMaintenance])
}

// checkLine proves that those who wait do so in the order of the model, for all together and for each class and device.
func (m *machine) checkLine(t *rapid.T, d *dump) {
	line, queues := []string(nil), map[string][]string{}
	for _, l := range m.model.inLine() {
		id := l.grant.ID.String()
		line = append(line, id)
		for _, node := range nodes(l.grant.Wants) {
			queues[node] = append(queues[node], id)
		}
	}
	if got := d.waiting(d.one("queue")); !slices.Equal(got, line) {
		t.Fatalf("in line: %v, want %v", got, line)
	}
	for node, queue := range d.each("queue") {
		if got := d.waiting(queue); !slices.Equal(got, queues[node]) {
			t.Fatalf("in line for %s: %v, want %v", node, got, queues[node])
		}
		delete(queues, node)
	}
	if len(queues) > 0 {
		t.Fatalf("nobody is in line for %v", slices.Sorted(maps.Keys(queues)))
	}
}

// checkDevices proves that Redis knows the devices that the model knows, and the same of them.
func (m *machine) checkDevices(t *rapid.T, d *dump) {
	known := slices.Sorted(maps.Keys(m.model.devices))
	if got := slices.Sorted(slices.Values(d.one("devices").set)); !slices.Equal(got, known) {
		t.Fatalf("known devices: %v, want %v", got, known)
	}
	for name, want := range m.model.devices {
		got := d.each("device")[name].hash
		if got["class"] != want.class || got["state"] != want.state || got["note"] != want.note || number(got["grants"]) != want.grant {
			t.Fatalf("device %s: %v, want %+v", name, got, *want)
		}
	}
}

// adopt has the model go on with the times that Redis has, now that they are known to agree. On a real Redis they differ by
// some milliseconds, which decide who has been free longer.
func (m *machine) adopt(d *dump) {
	at := func(ms int64) time.Duration { return m.model.now + d.sinceNow(ms) }
	for name, about := range m.model.devices {
		for _, index := range []string{"free", "maintenance"} {
			if ms, listed := d.each(index)[about.class].ms[name]; listed {
				about.since = at(ms)
			}
		}
	}
	for word, times := range map[string]map[lease.ID]time.Duration{
		"active": m.model.active, "ended": m.model.ended, "tickets": m.model.tickets, "asked": m.model.asked,
	} {
		for id := range times {
			if ms, listed := d.one(word).ms[id.String()]; listed {
				times[id] = at(ms)
			}
		}
	}
	for id, record := range d.each("lease") {
		l := m.model.leases[m.ids[id]]
		if l.fence != 0 {
			l.deadline = at(number(record.hash["deadline_ms"]))
		}
	}
	if fence := number(d.one("fence").text); fence > 0 {
		m.model.fence, m.model.drawn = max(m.model.fence, fence), at(fence/1000).Round(time.Minute/2) // who comes later is not earlier by a millisecond
	}
	m.model.granted = nil
}

func byText(times map[lease.ID]time.Duration) map[string]time.Duration {
	all := map[string]time.Duration{}
	for id, at := range times {
		all[id.String()] = at
	}
	return all
}

// sameIndex compares an index, whose times are as of now, with the model's.
func (m *machine) sameIndex(t *rapid.T, what string, got, want map[string]time.Duration) {
	has, wants := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))
	if !slices.Equal(has, wants) {
		t.Fatalf("index %s: %v, want %v", what, has, wants)
	}
	for member, at := range want {
		m.sameLeft(t, "index "+what+" of "+member, got[member], at)
	}
}

// sameLeft compares what is left until a time with the model's idea of that time.
func (m *machine) sameLeft(t *rapid.T, what string, left time.Duration, want time.Duration) {
	if (left - (want - m.model.now)).Abs() > m.redis.Slack {
		t.Logf("%s: in %s", what, left)
		t.Fatalf("%s: not in %s", what, want-m.model.now)
	}
}
