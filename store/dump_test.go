package store_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// stored is one key as Redis has it.
type stored struct {
	kind string
	left time.Duration // negative without expiry
	text string        // of a string
	hash map[string]string
	ms   map[string]int64 // member -> score of a sorted set
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
