package store_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/lease"
)

// stored is one key as Redis has it.
type stored struct {
	kind string
	left time.Duration // negative without expiry
	text string        // of a string
	hash map[string]string
	ms   map[string]int64 // member -> score of a sorted set; ms since 1970 in most
	set  []string
	log  []redis.XMessage // of a stream
}

// dump is everything that a Redis has, read past the store.
type dump struct {
	pool string
	now  time.Time
	keys map[string]stored
}

// takeDump reads a Redis that holds one pool.
func takeDump(ctx context.Context, rdb redis.UniversalClient, pool string) (*dump, error) {
	names, err := rdb.Keys(ctx, "*").Result()
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	d := &dump{pool: pool, keys: make(map[string]stored, len(names))}
	kinds, lefts := make([]*redis.StatusCmd, len(names)), make([]*redis.DurationCmd, len(names))
	var clock *redis.TimeCmd
	_, err = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		clock = p.Time(ctx)
		for i, name := range names {
			kinds[i], lefts[i] = p.Type(ctx, name), p.PTTL(ctx, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	d.now = clock.Val().Truncate(time.Millisecond)
	for i, name := range names {
		d.keys[name] = stored{kind: kinds[i].Val(), left: lefts[i].Val()}
	}
	return d, d.readValues(ctx, rdb, names)
}

// readValues reads what the keys hold.
func (d *dump) readValues(ctx context.Context, rdb redis.UniversalClient, names []string) error {
	values := make([]redis.Cmder, len(names))
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, name := range names {
			values[i] = readValue(ctx, p, name, d.keys[name].kind)
		}
		return nil
	})
	for i, name := range names {
		key := d.keys[name]
		switch v := values[i].(type) {
		case *redis.StringCmd:
			key.text = v.Val()
		case *redis.MapStringStringCmd:
			key.hash = v.Val()
		case *redis.StringSliceCmd:
			key.set = v.Val()
		case *redis.XMessageSliceCmd:
			key.log = v.Val()
		case *redis.ZSliceCmd:
			key.ms = map[string]int64{}
			for _, z := range v.Val() {
				key.ms[fmt.Sprint(z.Member)] = int64(z.Score)
			}
		}
		d.keys[name] = key
	}
	return err
}

func readValue(ctx context.Context, p redis.Pipeliner, name, kind string) redis.Cmder {
	switch kind {
	case "hash":
		return p.HGetAll(ctx, name)
	case "zset":
		return p.ZRangeWithScores(ctx, name, 0, -1)
	case "set":
		return p.SMembers(ctx, name)
	case "stream":
		return p.XRange(ctx, name, "-", "+")
	default:
		return p.Get(ctx, name)
	}
}

// one is the key of the pool that has this first word: one("active") is active:{pool}.
func (d *dump) one(word string) stored { return d.keys[word+":{"+d.pool+"}"] }

// each is the keys of the pool that have this first word, by what follows the pool's name.
func (d *dump) each(word string) map[string]stored {
	found := map[string]stored{}
	for name, key := range d.keys {
		if rest, ok := strings.CutPrefix(name, word+":{"+d.pool+"}:"); ok {
			found[rest] = key
		}
	}
	return found
}

// locks is who holds each device.
func (d *dump) locks() map[string]string {
	held := map[string]string{}
	for device, lock := range d.each("lock") {
		held[device] = lock.text
	}
	return held
}

// places is where a kind of index has each device: the class, and since when, as of now.
func (d *dump) places(word string) map[string]time.Duration {
	found := map[string]time.Duration{}
	for class, index := range d.each(word) {
		for device, ms := range index.ms {
			found[class+"/"+device] = d.sinceNow(ms)
		}
	}
	return found
}

// index is a pool's sorted set with its scores as of now.
func (d *dump) index(word string) map[string]time.Duration {
	found := map[string]time.Duration{}
	for member, ms := range d.one(word).ms {
		found[member] = d.sinceNow(ms)
	}
	return found
}

func (d *dump) sinceNow(ms int64) time.Duration { return time.UnixMilli(ms).Sub(d.now) }

// values is every word that is stored, with the name of the key it is under.
func (d *dump) values() map[string][]string {
	all := map[string][]string{}
	for name, key := range d.keys {
		words := append([]string{name, key.text}, key.set...)
		for field, value := range key.hash {
			words = append(words, field, value)
		}
		words = slices.AppendSeq(words, maps.Keys(key.ms))
		for _, message := range key.log {
			for field, value := range message.Values {
				words = append(words, field, fmt.Sprint(value))
			}
		}
		all[name] = words
	}
	return all
}

// nodes is the classes and devices that wants ask for: those in whose lines a lease stands.
func nodes(wants []lease.Want) []string {
	found := map[string]bool{}
	for _, w := range wants {
		for _, class := range w.Classes {
			found[class] = true
		}
		if w.Device != "" {
			found[w.Device] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// isClass tells a class from a device by its name.
func isClass(node string) bool { return node == "-" || strings.Contains(node, "=") }

// parseWants reads wants as they are stored.
func parseWants(text string) []lease.Want {
	var wants []lease.Want
	for part := range strings.SplitSeq(text, ";") {
		count, options, ok := strings.Cut(part, "*")
		if !ok {
			continue
		}
		n, _ := strconv.Atoi(count)
		if w := (lease.Want{Count: n}); isClass(strings.Split(options, "|")[0]) {
			w.Classes = strings.Split(options, "|")
			wants = append(wants, w)
		} else {
			w.Device = options
			wants = append(wants, w)
		}
	}
	return wants
}

// hasRecord reports whether there is a record of a lease.
func (d *dump) hasRecord(id string) bool {
	_, ok := d.keys["lease:{"+d.pool+"}:"+id]
	return ok
}

// withRecord is the entries of an index of leases that have a record.
func (d *dump) withRecord(index map[string]time.Duration) map[string]time.Duration {
	found := maps.Clone(index)
	maps.DeleteFunc(found, func(id string, _ time.Duration) bool { return !d.hasRecord(id) })
	return found
}

// strangers is who is in line, or listed as being so, without a record.
func (d *dump) strangers() []string {
	found := map[string]bool{}
	indexes := []stored{d.one("queue"), d.one("tickets"), d.one("asked")}
	for _, index := range slices.AppendSeq(indexes, maps.Values(d.each("queue"))) {
		for id := range index.ms {
			if !d.hasRecord(id) {
				found[id] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// waiting is the ids of a queue in order, but for those without a record, which whoever comes across them drops.
func (d *dump) waiting(queue stored) []string {
	ids := slices.SortedFunc(maps.Keys(queue.ms), func(a, b string) int {
		return cmp.Or(cmp.Compare(queue.ms[a], queue.ms[b]), strings.Compare(a, b))
	})
	return slices.DeleteFunc(ids, func(id string) bool { return !d.hasRecord(id) })
}

// spare is the devices that are to be had: in service, among the free and not locked, unless nobody noticed yet that the
// last lease of it is over.
func (d *dump) spare() []spare {
	var found []spare
	leases, locks := d.each("lease"), d.locks()
	for name, about := range d.each("device") {
		class, last := about.hash["class"], about.hash["last_lease"]
		ms, free := d.each("free")[class].ms[name]
		_, locked := locks[name]
		_, unnoticed := d.one("active").ms[last]
		if record, known := leases[last]; known {
			unnoticed = record.hash["state"] == "active" && slices.Contains(strings.Fields(record.hash["devices"]), name)
		}
		if free && !locked && !unnoticed && about.hash["state"] == "in_service" {
			found = append(found, spare{name, class, time.Duration(ms) * time.Millisecond})
		}
	}
	return found
}
