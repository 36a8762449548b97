package store_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/automation-infra/automation-infra/lease"
)

// kinds is the type of the keys that start with each documented word: "active" is active:{pool}, and "lock:" is lock:{pool}:<device>.
var kinds = map[string]string{
	"lock:": "string", "lease:": "hash", "active": "zset", "ended": "zset", "devices": "set", "device:": "hash", "free:": "zset",
	"maintenance:": "zset", "fence": "string", "events": "stream", "queue": "zset", "queue:": "zset", "wanted": "zset",
	"tickets": "zset", "asked": "zset", "holder:": "hash", "pulse": "string",
	"epoch": "hash", "longest": "string", "paused": "string", "lost": "string",
}

// checkKeys proves that nothing is stored but what keys.go documents, each under the hash tag of its pool.
func checkKeys(t rapid.TB, d *dump) {
	t.Helper()
	for name, key := range d.keys {
		word, rest, tagged := strings.Cut(name, ":{"+d.pool+"}")
		if strings.HasPrefix(rest, ":") && len(rest) > 1 {
			word, rest = word+":", ""
		}
		if !tagged || rest != "" || kinds[word] != key.kind {
			t.Fatalf("key %q of type %s is not documented", name, key.kind)
		}
	}
}

// checkLocks proves that every lock dies by itself, and is that of an active lease of this device; hence no device is in
// two leases.
func checkLocks(t rapid.TB, d *dump) {
	t.Helper()
	leases := d.each("lease")
	for device, lock := range d.each("lock") {
		if lock.left <= 0 {
			t.Fatalf("the lock of %s never expires", device)
		}
		held := leases[lock.text].hash
		if held["state"] != "active" || !slices.Contains(strings.Fields(held["devices"]), device) {
			t.Fatalf("the lock of %s is that of %s, which is %q and has %q", device, lock.text, held["state"], held["devices"])
		}
	}
}

// checkRecords proves that the record of every lease is forgotten some day, that one which waits has nothing yet, that one
// which ended says why, and that none has a fence above the last.
func checkRecords(t rapid.TB, d *dump) {
	t.Helper()
	last, _ := strconv.ParseInt(d.one("fence").text, 10, 64)
	active := d.one("active").ms
	for id, record := range d.each("lease") {
		about := record.hash
		if record.left <= 0 {
			t.Fatalf("the record of %s never expires", id)
		}
		_, listed := active[id]
		waits, ended := about["state"] == "pending", about["state"] != "active" && about["state"] != "pending"
		if (waits || ended) && listed || ended && (about["ended_reason"] == "" || about["ended_ms"] == "") {
			t.Fatalf("lease %s is %s, but listed as active (%v) or without a reason (%q)", id, about["state"], listed, about["ended_reason"])
		}
		if waits && about["fence"]+about["devices"]+about["grant_ms"]+about["deadline_ms"]+about["ended_ms"] != "" {
			t.Fatalf("lease %s waits, but has something already: %v", id, about)
		}
		if fence := about["fence"]; fence != "" {
			if n, err := strconv.ParseInt(fence, 10, 64); err != nil || n > last {
				t.Logf("fence %q, the last is %d", fence, last)
				t.Fatalf("lease %s has a fence above the last", id)
			}
		} else if about["state"] == "active" {
			t.Fatalf("lease %s is active, but has no fence", id)
		}
	}
}

// checkQueues proves that who waits is listed in the line, with the tickets and for each class and device that it wants, and
// that nobody else is.
func checkQueues(t rapid.TB, d *dump) {
	t.Helper()
	line, pending := d.one("queue").ms, map[string]bool{}
	for id, record := range d.each("lease") {
		if record.hash["state"] != "pending" {
			continue
		}
		pending[id] = true
		for _, index := range []string{"queue", "tickets", "asked"} {
			if _, listed := d.one(index).ms[id]; !listed {
				t.Fatalf("lease %s waits, but is not in %s", id, index)
			}
		}
		wants := nodes(parseWants(record.hash["wants"]))
		for node, queue := range d.each("queue") {
			at, listed := queue.ms[id]
			if listed != slices.Contains(wants, node) || listed && at != line[id] {
				t.Fatalf("lease %s wants %v, but is in the queue of %s: %v", id, wants, node, listed)
			}
		}
		for _, node := range wants {
			if _, ok := d.each("queue")[node].ms[id]; !ok {
				t.Fatalf("lease %s wants %s, but is not in its queue", id, node)
			}
		}
	}
	checkNobodyElse(t, d, pending)
}

// checkNobodyElse proves that no lease is in line that does not wait; but for those without a record.
func checkNobodyElse(t rapid.TB, d *dump, pending map[string]bool) {
	t.Helper()
	indexes := d.each("queue")
	for _, index := range []string{"queue", "tickets", "asked"} {
		indexes[index] = d.one(index)
	}
	for name, index := range indexes {
		for id := range index.ms {
			if !pending[id] && d.hasRecord(id) {
				t.Fatalf("lease %s does not wait, but is in the queue of %s", id, name)
			}
		}
	}
}

// checkWanted proves that it is known which classes have a queue, and which devices that are free. Others may be listed too
// once there were strangers in line.
func checkWanted(t rapid.TB, d *dump, strangers bool) {
	t.Helper()
	wanted, queues := d.one("wanted").ms, d.each("queue")
	for node, kind := range wanted {
		if _, ok := queues[node]; !ok && !strangers || (kind == 0) != isClass(node) {
			t.Fatalf("%s is listed as wanted with %d, but has a queue: %v", node, kind, ok)
		}
	}
	free := d.spare()
	for node := range queues {
		_, listed := wanted[node]
		isFree := slices.ContainsFunc(free, func(device spare) bool { return device.name == node })
		if !listed && (isClass(node) || isFree) {
			t.Fatalf("%s has a queue, but is not listed as wanted", node)
		}
	}
}

// checkHolders proves that each lease which is not over counts as its holder's, and that nothing else does; but for those
// without a record.
func checkHolders(t rapid.TB, d *dump) {
	t.Helper()
	holders := d.each("holder")
	for id, record := range d.each("lease") {
		about := record.hash
		has, counted := holders[about["holder"]].hash[id]
		devices := strconv.Itoa(len(places(parseWants(about["wants"]))))
		on := about["state"] == "active" || about["state"] == "pending"
		if counted != (on && about["holder"] != "") || counted && about["wants"] != "" && has != devices {
			t.Fatalf("lease %s with %s devices is %s, and counted as %q of holder %q", id, devices, about["state"], has, about["holder"])
		}
	}
	for holder, has := range holders {
		for id := range has.hash {
			if d.hasRecord(id) && d.keys["lease:{"+d.pool+"}:"+id].hash["holder"] != holder {
				t.Fatalf("lease %s is counted as that of holder %q", id, holder)
			}
		}
	}
}

// checkServed proves that nobody in line could be granted: it walks the line as it is stored. Nobody noticed yet what those
// spoke for whose records were forgotten.
func checkServed(t rapid.TB, d *dump) {
	t.Helper()
	if len(d.strangers()) > 0 {
		return
	}
	free := d.spare()
	for _, id := range d.waiting(d.one("queue")) {
		wanted := places(parseWants(d.keys["lease:{"+d.pool+"}:"+id].hash["wants"]))
		taken := basis(wanted, free)
		if len(taken) > 0 && len(taken) == len(wanted) {
			t.Fatalf("lease %s waits, but could have %v", id, taken)
		}
		free = slices.DeleteFunc(free, func(device spare) bool { return slices.Contains(taken, device) })
	}
}

// whereabouts is in how many places each device is: among the free, in maintenance, locked.
func whereabouts(d *dump) map[string]int {
	places := map[string]int{}
	for _, word := range []string{"free", "maintenance"} {
		for _, index := range d.each(word) {
			for device := range index.ms {
				places[device]++
			}
		}
	}
	for device := range d.locks() {
		places[device]++
	}
	return places
}

// checkSettled proves that the indexes and the locks agree in both directions, as they do once leases were reaped and
// the inventory reconciled; but for leases that gone names, whose locks were removed by hand and whose devices others took.
func checkSettled(t rapid.TB, d *dump, slack time.Duration, gone []string) {
	t.Helper()
	places := whereabouts(d)
	for device, about := range d.each("device") {
		if places[device] != 1 {
			t.Fatalf("device %s is in %d places", device, places[device])
		}
		checkHome(t, d, device, about.hash)
	}
	known := d.one("devices").set
	if len(places) != len(known) || len(d.each("device")) != len(known) {
		t.Fatalf("known are %v, but in places are %v", known, places)
	}
	checkActive(t, d, slack, gone)
}

// checkHome proves that a device is where its state says, unless it is leased.
func checkHome(t rapid.TB, d *dump, device string, about map[string]string) {
	t.Helper()
	_, leased := d.locks()[device]
	_, free := d.keys["free:{"+d.pool+"}:"+about["class"]].ms[device]
	_, maintenance := d.keys["maintenance:{"+d.pool+"}:"+about["class"]].ms[device]
	switch {
	case leased: // in whatever state
	case about["state"] == "in_service" && free:
	case about["state"] == "maintenance" && maintenance:
	default:
		t.Fatalf("device %s is %v, but free: %v, in maintenance: %v", device, about, free, maintenance)
	}
}

// checkActive proves that the index of active leases says when each lock expires.
func checkActive(t rapid.TB, d *dump, slack time.Duration, gone []string) {
	t.Helper()
	due, locks := d.index("active"), d.each("lock")
	for device, lock := range locks {
		at, listed := due[lock.text]
		if !listed || (at-lock.left).Abs() > slack+time.Millisecond {
			t.Fatalf("the lock of %s lives %s, but its lease is listed (%v) as due in %s",
				device, lock.left.Round(time.Second), listed, at.Round(time.Second))
		}
	}
	for id := range due {
		for _, device := range strings.Fields(d.each("lease")[id].hash["devices"]) {
			if locks[device].text != id && !slices.Contains(gone, id) {
				t.Fatalf("lease %s is listed as active, but the lock of %s is %q", id, device, locks[device].text)
			}
		}
	}
}

var (
	leaseID = regexp.MustCompile(`[a-z0-9._-]+-[a-z2-7]{26}`)
	secret  = regexp.MustCompile(`[A-Za-z0-9._~+/-]{22,}`) // what a token looks like: lease.TokenPattern
)

// checkNoSecret proves that neither a token nor anything like one is stored; ids are no secret.
func checkNoSecret(t rapid.TB, d *dump, tokens []lease.Token) {
	t.Helper()
	for key, words := range d.values() {
		for _, word := range words {
			for _, token := range tokens {
				if strings.Contains(word, string(token)) {
					t.Fatalf("key %q holds a token", key)
				}
			}
			if found := secret.FindString(leaseID.ReplaceAllString(word, "")); found != "" {
				t.Fatalf("key %q holds %q, which may be a secret", key, found)
			}
		}
	}
}
