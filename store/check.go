package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxClockSkew is how far Redis's clock may be from ours before Check warns: leases run by Redis's clock, holders by theirs.
const maxClockSkew = 500 * time.Millisecond

// Check looks at whether Redis is fit to hold leases. Warnings are for the log; an error means that leases are not safe,
// and says what to do. What a Redis does not tell about itself is not checked.
func (s *Store) Check(ctx context.Context) (warnings []string, err error) {
	if err := s.Ping(ctx); err != nil {
		return nil, err
	}
	memory, err := s.info(ctx, "memory")
	if err != nil {
		return nil, err
	}
	if policy := memory["maxmemory_policy"]; policy != "" && policy != "noeviction" {
		return nil, fmt.Errorf("redis would drop leases when its memory is full: maxmemory-policy is %s; "+
			"run `redis-cli CONFIG SET maxmemory-policy noeviction` and set it in redis.conf", policy)
	}
	persistence, err := s.info(ctx, "persistence")
	if err != nil {
		return nil, err
	}
	if persistence["aof_enabled"] == "0" {
		warnings = append(warnings, "Redis has no append-only file: leases are lost when it restarts; set `appendonly yes`")
	}
	if s.confirmation.replicas > 0 {
		replication, err := s.info(ctx, "replication")
		if err != nil {
			return nil, err
		}
		if have, err := strconv.Atoi(replication["connected_slaves"]); err == nil && have < s.confirmation.replicas {
			warnings = append(warnings, fmt.Sprintf("Redis has %d replicas, and %d are to confirm each lease: no device is leased until more are connected", have, s.confirmation.replicas))
		}
	}
	skew, err := s.clockSkew(ctx)
	if skew > maxClockSkew {
		warnings = append(warnings, fmt.Sprintf("Redis's clock and this machine's are %s apart: expire times look wrong to clients; run NTP on both", skew.Round(time.Millisecond)))
	}
	return warnings, err
}

// info reads a section of INFO; empty when this Redis has no such section, as the embedded one.
func (s *Store) info(ctx context.Context, section string) (map[string]string, error) {
	var text string
	err := s.call(ctx, "info", func(ctx context.Context) (err error) {
		text, err = s.rdb.Info(ctx, section).Result()
		if unknown := redis.Error(nil); errors.As(err, &unknown) && strings.HasSuffix(err.Error(), "is not supported") {
			return nil
		}
		return err
	})
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			fields[name] = value
		}
	}
	return fields, err
}

// clockSkew is how far apart Redis's clock and ours are at least, whatever the exchange took.
func (s *Store) clockSkew(ctx context.Context) (time.Duration, error) {
	var theirs time.Time
	before := time.Now()
	err := s.call(ctx, "time", func(ctx context.Context) (err error) {
		theirs, err = s.rdb.Time(ctx).Result()
		return err
	})
	after := time.Now()
	return max(0, before.Sub(theirs), theirs.Sub(after)), err
}
