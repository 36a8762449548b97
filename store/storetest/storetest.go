// Package storetest gives tests a Redis of their own whose clock they move: an embedded one always, and a real
// redis-server as well when TEST_REDIS names the program.
package storetest

import (
	"context"
	_ "embed"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Redis is an empty Redis that one test has for itself.
type Redis struct {
	Client redis.UniversalClient
	Addr   string

	// Advance lets time pass for everything that is stored: keys expire, and recorded times lie that much further back.
	// Nobody waits for it. What a caller keeps, such as a position in a list, does not move along. Of a negative duration it is as if
	// Redis's clock were set back.
	Advance func(d time.Duration)

	// Slack is how much time may pass by itself while a test runs: none on an embedded Redis, whose clock stands still.
	Slack time.Duration
}

// Each runs a test in parallel on every Redis there is.
func Each(t *testing.T, test func(t *testing.T, r *Redis)) {
	t.Helper()
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, Embedded(t))
	})
	if program := os.Getenv("TEST_REDIS"); program != "" {
		t.Run("real", func(t *testing.T) {
			t.Parallel()
			test(t, Real(t, program))
		})
	}
}

// Embedded starts an embedded Redis.
func Embedded(t testing.TB) *Redis {
	t.Helper()
	m := miniredis.NewMiniRedis()
	now := time.Now().Truncate(time.Millisecond)
	m.SetTime(now)
	m.ClockTTL(true)
	if err := m.Start(); err != nil {
		t.Fatalf("start embedded Redis: %v", err)
	}
	t.Cleanup(m.Close)
	return &Redis{Client: Client(t, m.Addr()), Addr: m.Addr(), Advance: func(d time.Duration) {
		if d < 0 {
			postpone(m, -d)
		}
		now = now.Add(d)
		m.SetTime(now)
	}}
}

// postpone has every key that expires live that much longer. A real Redis notes when keys expire, so that they do when its clock is
// set back; the embedded one how long they live.
func postpone(m *miniredis.Miniredis, d time.Duration) {
	for _, key := range m.Keys() {
		if left := m.TTL(key); left > 0 {
			m.SetTTL(key, left+d)
		}
	}
}

// Client connects to a Redis as the services do.
func Client(t testing.TB, addr string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{
		Addr: addr, MaxRetries: -1, ContextTimeoutEnabled: true, ReadTimeout: -1, WriteTimeout: -1, DialerRetries: 1,
	})
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			t.Errorf("close Redis client: %v", err)
		}
	})
	return c
}

//go:embed advance.lua
var advance string

// advanceReal moves everything stored back in time, since the clock of a real Redis can't be moved forward. It ends in another
// millisecond than it began, so that what is noted before and after differs.
func advanceReal(t testing.TB, c redis.UniversalClient) func(time.Duration) {
	now := func() int64 {
		t.Helper()
		clock, err := c.Time(context.Background()).Result()
		if err != nil {
			t.Fatalf("clock: %v", err)
		}
		return clock.UnixMilli()
	}
	return func(d time.Duration) {
		t.Helper()
		before := now()
		if err := c.Eval(context.Background(), advance, nil, d.Milliseconds()).Err(); err != nil {
			t.Fatalf("advance: %v", err)
		}
		for now() == before {
			continue
		}
	}
}
