package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
)

// contender is one of the things that are measured in turns.
type contender struct {
	name    string
	lab     *lab    // that it is of; nil for Gin
	service *server // that answers, in front of Redis; nil for none
	redis   *server // nil for none
	perUnit int     // requests that count as one
	run     func(ctx context.Context, seconds int) (traffic, error)
	tidy    func(ctx context.Context, t traffic) error // what is to be done after each run, unmeasured; may be nil
}

// ginFixed is Gin answering a fixed JSON to the keepalives of a lab.
func (b *bench) ginFixed(l *lab, connections int) contender {
	return contender{name: "Gin, fixed JSON", service: b.gin, perUnit: 1, run: func(ctx context.Context, seconds int) (traffic, error) {
		return b.wrk(ctx, b.gin, connections, seconds, "keepalive.lua", l.scriptArgs(connections)...)
	}}
}

// scriptArgs are the arguments of keepalive.lua.
func (l *lab) scriptArgs(connections int) []string {
	return []string{l.leasesFile(), strconv.Itoa(min(wrkThreads, connections))}
}

// keepalives are keepalives of all kept leases of the lab, one after the other.
func (l *lab) keepalives(connections int) contender {
	return contender{
		name: fmt.Sprintf("keepalive, %d leases", len(l.kept)), lab: l, service: l.keepalive, redis: l.redis, perUnit: 1,
		run: func(ctx context.Context, seconds int) (traffic, error) {
			return l.wrk(ctx, l.keepalive, connections, seconds, "keepalive.lua", l.scriptArgs(connections)...)
		},
	}
}

// cycles allocate any free device, and release it; the two requests count as one.
func (l *lab) cycles(connections int) contender {
	var prefix string // of the tokens of a run
	return contender{
		name: fmt.Sprintf("allocate + release, %d devices, %d leased", l.devices, len(l.kept)),
		lab:  l, service: l.allocator, redis: l.redis, perUnit: 2,
		run: func(ctx context.Context, seconds int) (traffic, error) {
			prefix = rand.Text()
			return l.wrk(ctx, l.allocator, connections, seconds, "cycles.lua", prefix)
		},
		tidy: func(ctx context.Context, t traffic) error { return l.releaseCycles(ctx, prefix, t.requests) },
	}
}

// refusals are allocations in a lab without a free device.
func (l *lab) refusals(connections int) contender {
	return contender{
		name: fmt.Sprintf("refused allocation, %d devices", l.devices), lab: l, service: l.allocator, redis: l.redis, perUnit: 1,
		run: func(ctx context.Context, seconds int) (traffic, error) {
			return l.wrk(ctx, l.allocator, connections, seconds, "refusals.lua", rand.Text())
		},
	}
}

// script is Redis running the script of a keepalive, of one lease, as the service calls it.
func (l *lab) script(ctx context.Context, connections int) (contender, error) {
	h := l.kept[0]
	if err := l.renew(ctx, h); err != nil { // so that the script is known, and called by its digest, when we look
		return contender{}, err
	}
	command, err := watchCommand(ctx, l.redis.addr, h.id.String(), func() error { return l.renew(ctx, h) })
	if err != nil {
		return contender{}, err
	}
	n := 10_000 // as many as it ran in a second, as far as known
	return contender{
		name: "redis-benchmark, keepalive script", lab: l, redis: l.redis, perUnit: 1,
		run: func(ctx context.Context, seconds int) (traffic, error) {
			t, err := l.redisBenchmark(ctx, l.redis, connections, n*seconds, command)
			if err == nil {
				n = max(1, int(float64(t.requests)/t.took.Seconds()))
			}
			return t, err
		},
	}, nil
}
