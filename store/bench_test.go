package store_test

import (
	"fmt"
	"testing"

	"github.com/automation-infra/automation-infra/lease"
)

// These are of a real Redis, one caller at a time: what a call costs, and whether that grows with the pool. All devices
// but one are leased, which is when finding it is hardest.

func BenchmarkAllocateAndRelease(b *testing.B) {
	onPools(b, func(b *testing.B, l *lab, _ []lease.ID) {
		for b.Loop() {
			got := l.grant(b, lease.Request{})
			l.release(b, got.ID)
		}
	})
}

func BenchmarkNoneFree(b *testing.B) {
	onPools(b, func(b *testing.B, l *lab, _ []lease.ID) {
		l.grant(b, lease.Request{})
		g := l.want(b, lease.Request{})
		for b.Loop() {
			_, _, err := l.Allocate(b.Context(), g)
			wantCode(b, err, lease.CodeNoneFree)
		}
	})
}

func BenchmarkKeepalive(b *testing.B) {
	onPools(b, func(b *testing.B, l *lab, held []lease.ID) {
		for i := 0; b.Loop(); i++ {
			l.renew(b, held[i%len(held)])
		}
	})
}

// onPools runs a benchmark on pools of several sizes, of which all devices but one are leased.
func onPools(b *testing.B, run func(b *testing.B, l *lab, held []lease.ID)) {
	for _, n := range []int{10, 1_000, 10_000} {
		b.Run(fmt.Sprintf("devices=%d", n), func(b *testing.B) {
			devices := make([]lease.Device, n)
			for i := range devices {
				devices[i] = device(fmt.Sprintf("d%05d", i), fmt.Sprintf("m%d", i%8))
			}
			l := newLab(b, realRedis(b), devices...)
			held := make([]lease.ID, n-1)
			for i := range held {
				held[i] = l.grant(b, lease.Request{MaxHold: hold, TTL: hold}).ID
			}
			run(b, l, held)
		})
	}
}
