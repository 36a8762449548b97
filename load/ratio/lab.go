package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// lab is a Redis with one allocator and one keepalive service, and devices of which some are leased.
type lab struct {
	*bench
	devices                     int
	redis, allocator, keepalive *server
	kept                        []held // leases that live longer than any run
}

// lab returns the lab with so many devices, started when there is none yet. All others stand still from now on, so that what goes
// on in them costs this one nothing.
func (b *bench) lab(ctx context.Context, devices int) (*lab, error) {
	l := b.labs[devices]
	if l == nil {
		b.say("start a lab of %d devices", devices)
		var err error
		if l, err = b.startLab(ctx, devices); err != nil {
			return nil, err
		}
		b.labs[devices] = l
	}
	return l, l.alone()
}

func (b *bench) startLab(ctx context.Context, devices int) (*lab, error) {
	l := &lab{bench: b, devices: devices}
	inventory := filepath.Join(b.dir, fmt.Sprintf("inventory-%d.yaml", devices))
	if err := os.WriteFile(inventory, []byte(inventoryOf(devices)), 0o600); err != nil { //nolint:gosec // in our own folder
		return nil, err
	}
	var err error
	if l.redis, err = b.startRedis(ctx); err != nil {
		return nil, err
	}
	if l.keepalive, err = l.startProgram(ctx, "keepalive", "KEEPALIVE_ADDR=127.0.0.1:0"); err != nil {
		return nil, err
	}
	l.allocator, err = l.startProgram(ctx, "allocator",
		"ALLOCATOR_ADDR=127.0.0.1:0", "INVENTORY="+inventory, "KEEPALIVE_URL="+l.keepalive.url(""))
	return l, err
}

// startProgram starts one of our programs over the lab's Redis, and waits until it is ready.
func (l *lab) startProgram(ctx context.Context, name string, env ...string) (*server, error) {
	program, err := filepath.Abs(filepath.Join(l.bin, name))
	if err != nil {
		return nil, err
	}
	s, err := l.startService(ctx, name, append(env, "REDIS_ADDRS="+l.redis.addr), program)
	if err != nil {
		return nil, err
	}
	return s, s.await(ctx, "is ready", func() bool {
		return l.send(ctx, s, ask{method: http.MethodGet, path: "/readyz", want: []int{http.StatusOK}}, nil) == nil
	})
}

// classes is how many different sets of labels the devices have.
const classes = 20

// inventoryOf is an inventory with so many devices.
func inventoryOf(devices int) string {
	var text strings.Builder
	text.WriteString("pools:\n  default:\n    devices:\n")
	for i := range devices {
		fmt.Fprintf(&text, "      - {name: d%06d, labels: {model: m%02d, arch: arm64}, connection: {host: 192.0.2.%d, port: 22, user: pi}}\n",
			i, i%classes, 1+i%254)
	}
	return text.String()
}

// alone has the lab go on and all others stand still.
func (l *lab) alone() error {
	for _, other := range l.labs {
		if other != l {
			// Redis last, so that no service waits for it.
			if err := errors.Join(pause(other.allocator.process), pause(other.keepalive.process), pause(other.redis.process)); err != nil {
				return fmt.Errorf("pause a lab: %w", err)
			}
		}
	}
	return errors.Join(resume(l.redis.process), resume(l.keepalive.process), resume(l.allocator.process))
}
