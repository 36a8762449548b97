package store_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
)

// kinds is the type of the keys that start with each documented word.
var kinds = map[string]string{
	"lock": "string", "lease": "hash", "active": "zset", "ended": "zset", "devices": "set", "device": "hash", "free": "zset",
	"maintenance": "zset", "fence": "string", "events": "stream",
}

// checkKeys proves that nothing is stored but what keys.go documents, each under the hash tag of its pool.
func checkKeys(t rapid.TB, d *dump) {
	t.Helper()
	documented := store.DocumentedKeys(d.pool)
	for name, key := range d.keys {
		known := slices.ContainsFunc(documented, func(k string) bool {
			return name == k || strings.HasSuffix(k, ":") && strings.HasPrefix(name, k)
		})
		word, _, _ := strings.Cut(name, ":")
		if !known || !strings.Contains(name, ":{"+d.pool+"}") || key.kind != kinds[word] {
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

// checkRecords proves that the record of every lease is forgotten some day, that one which ended says why, and that none
// has a fence above the last.
func checkRecords(t rapid.TB, d *dump) {
	t.Helper()
	last, _ := strconv.ParseInt(d.one("fence").text, 10, 64)
	active := d.one("active").ms
	for id, record := range d.each("lease") {
		fence, err := strconv.ParseInt(record.hash["fence"], 10, 64)
		if err != nil || fence > last {
			t.Logf("fence %q, the last is %d", record.hash["fence"], last)
			t.Fatalf("lease %s has a fence above the last", id)
		}
		if record.left <= 0 {
			t.Fatalf("the record of %s never expires", id)
		}
		ended := record.hash["state"] != "active"
		if _, listed := active[id]; ended && (listed || record.hash["ended_reason"] == "" || record.hash["ended_ms"] == "") {
			t.Fatalf("lease %s is over, but listed as active (%v) or without a reason (%q)", id, listed, record.hash["ended_reason"])
		}
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
