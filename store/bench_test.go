package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/automation-infra/automation-infra/lease"
)

// These are of a real Redis, one caller at a time: what a call costs, and whether that grows with the pool, with how much of
// it is leased, and with how many wait.

// BenchmarkAllocate is a grant and its release; in a pool that is all leased it is a refusal.
func BenchmarkAllocate(b *testing.B) {
	for _, devices := range []int{10, 1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("devices=%d", devices), func(b *testing.B) {
			l, held := bigLab(b, devices), 0
			for _, percent := range []int{0, 50, 99, 100} {
				n := devices * percent / 100
				l.leaseMany(b, n-held)
				held = n
				b.Run(fmt.Sprintf("leased=%d%%", percent), func(b *testing.B) {
					if percent == 100 {
						l.benchRefusal(b)
						return
					}
					defer l.redisTime(b)()
					for b.Loop() {
						l.release(b, l.grant(b, lease.Request{}).ID)
					}
				})
			}
		})
	}
}

// BenchmarkKeepalive is of a lease among many.
func BenchmarkKeepalive(b *testing.B) {
	for _, leases := range []int{10, 1_000, 10_000} {
		b.Run(fmt.Sprintf("leases=%d", leases), func(b *testing.B) {
			l := bigLab(b, leases)
			l.leaseMany(b, leases-1)
			id := l.grant(b, lease.Request{}).ID
			defer l.redisTime(b)()
			for b.Loop() {
				l.renew(b, id)
			}
		})
	}
}

// BenchmarkLine is of 1,000 devices that are all leased, and 1,000 leases that wait for them.
func BenchmarkLine(b *testing.B) {
	const n = 1_000
	l := bigLab(b, n)
	held := l.leaseMany(b, n)
	waiting := make([]*lease.Lease, n)
	for i := range waiting {
		waiting[i] = l.queue(b, selecting(fmt.Sprintf("model=m%d", i%classes)))
	}
	b.Run("refusal", l.benchRefusal)
	b.Run("poll", func(b *testing.B) {
		defer l.redisTime(b)()
		for i := 0; b.Loop(); i++ {
			if _, err := l.Poll(b.Context(), waiting[i%n].ID); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("join and leave", func(b *testing.B) {
		defer l.redisTime(b)()
		for b.Loop() {
			l.release(b, l.queue(b, lease.Request{}).ID)
		}
	})
	b.Run("hand on", func(b *testing.B) { // a release that is a grant to another, and a lease that joins the line
		defer l.redisTime(b)()
		for i := 0; b.Loop(); i++ {
			l.release(b, held[i%n])
			held[i%n] = waiting[i%n].ID // not of the same device, but in the end of each
			waiting[i%n] = l.queue(b, selecting(fmt.Sprintf("model=m%d", i%classes)))
		}
	})
}

const classes = 20

// bigLab is devices of 20 classes on a real Redis.
func bigLab(b *testing.B, n int) *lab {
	devices := make([]lease.Device, n)
	for i := range devices {
		devices[i] = device(fmt.Sprintf("d%06d", i), fmt.Sprintf("m%d", i%classes))
	}
	return newLab(b, realRedis(b), devices...)
}

// leaseMany leases n devices.
func (l *lab) leaseMany(b *testing.B, n int) []lease.ID {
	ids := make([]lease.ID, n)
	var all errgroup.Group
	all.SetLimit(8)
	for i := range ids {
		all.Go(func() error {
			got, _, err := l.Allocate(b.Context(), l.want(b, lease.Request{TTL: hold}))
			if err == nil {
				ids[i] = got.ID
			}
			return err
		})
	}
	if err := all.Wait(); err != nil {
		b.Fatal(err)
	}
	return ids
}

func (l *lab) benchRefusal(b *testing.B) {
	g := l.want(b, lease.Request{})
	defer l.redisTime(b)()
	for b.Loop() {
		_, _, err := l.Allocate(b.Context(), g)
		wantCode(b, err, lease.CodeNoneFree)
	}
}

// redisTime begins to measure, and what it returns then reports, how long Redis was busy with scripts for each turn of the benchmark:
// by Redis's own count, in which neither the network nor the client has a part.
func (l *lab) redisTime(b *testing.B) (report func()) {
	before := l.scriptTime(b)
	return func() { b.ReportMetric(float64(l.scriptTime(b)-before)/float64(b.N), "redis-µs/op") }
}

// scriptTime is how many µs Redis has spent on scripts.
func (l *lab) scriptTime(b *testing.B) (us int64) {
	stats, err := l.Client.Info(context.Background(), "commandstats").Result()
	if err != nil {
		b.Fatal(err)
	}
	_, of, _ := strings.Cut(stats, "cmdstat_evalsha:")
	if _, spent, ran := strings.Cut(of, "usec="); ran {
		if _, err := fmt.Sscanf(spent, "%d", &us); err != nil {
			b.Fatal(err)
		}
	}
	return us
}
