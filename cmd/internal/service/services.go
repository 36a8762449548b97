// Package service puts the services together from config, store and api, for the programs that run them.
package service

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/automation-infra/automation-infra/api"
	"github.com/automation-infra/automation-infra/config"
	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
)

// Common is what every service needs to run.
type Common struct {
	Version       string
	Listener      net.Listener
	Redis         redis.UniversalClient
	RedisTimeout  time.Duration // of one call; 0 for the store's default
	RedisConfirm  int           // how many replicas are to confirm leases
	PprofAddr     string        // where profiles are served; "" for nowhere
	MaxRequests   int           // how many requests are served at once; 0 for the default of api
	ShutdownGrace time.Duration // how long running requests may take to finish at the end
	Log           *slog.Logger
}

// Open prepares what a service, one of so many in the process, needs to run, from its configuration. A Redis that is down is no error
// here. Close it after.
func Open(ctx context.Context, version, addr string, services int, r config.Redis, p config.Process) (Common, error) {
	l, err := listen(ctx, addr, services)
	if err != nil {
		return Common{}, err
	}
	log := NewLogger(p.Log, os.Stdout)
	return Common{
		Version: version, Listener: l, Redis: Connect(r, log), RedisTimeout: r.Timeout, RedisConfirm: r.Confirm, PprofAddr: p.PprofAddr, MaxRequests: p.MaxRequests, ShutdownGrace: p.ShutdownGrace, Log: log,
	}, nil
}

// Close disconnects from Redis.
func (c Common) Close() { _ = c.Redis.Close() }

// AllocatorParams are what the allocator service needs to run.
type AllocatorParams struct {
	Common
	config.Leasing
	Inventory string // path of the file, reloaded on change and SIGHUP; "" for the built-in example
}

// Allocator runs the allocator service until the context ends. A bad inventory is an error at once; a Redis that can't be
// reached is waited for.
func Allocator(ctx context.Context, p AllocatorParams) error {
	registry, health := newRegistry(), api.NewHealth()
	inv, err := openInventory(p.Inventory, registry, p.Log)
	if err != nil {
		return err
	}
	s := store.New(p.Redis, store.Options{Timeout: p.RedisTimeout, Grace: p.LeaseGrace, Confirm: p.RedisConfirm, Registerer: registry, Log: p.Log})
	registry.MustRegister(s.Collector(inv.current))
	reaper := s.NewReaper(inv.current, p.Log)
	handler := api.NewAllocator(api.AllocatorOptions{
		Options: api.Options{Version: p.Version, Log: p.Log, Registry: registry, Health: health, MaxRequests: p.MaxRequests},
		Store:   s, Inventory: inv.current, KeepaliveURL: p.KeepaliveURL, RetryAfter: p.RetryAfter, MaxWaiting: p.MaxWaiting,
	})
	prepare := func(ctx context.Context) error {
		if err := checkStore(ctx, s, p.Log); err != nil {
			return err
		}
		return reaper.Reconcile(ctx)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.serve(ctx, handler, health) })
	g.Go(func() error { return inv.follow(ctx) })
	g.Go(func() error {
		s.Listen(ctx, p.Log)
		return nil
	})
	g.Go(func() error {
		s.Guard(ctx)
		return nil
	})
	g.Go(func() error {
		if start(ctx, health, p.Log, prepare) {
			reaper.Run(ctx, inv.changed)
		}
		return nil
	})
	return g.Wait()
}

// Keepalive runs the keepalive service until the context ends.
func Keepalive(ctx context.Context, p Common) error {
	registry, health := newRegistry(), api.NewHealth()
	s := store.New(p.Redis, store.Options{Timeout: p.RedisTimeout, Confirm: p.RedisConfirm, Registerer: registry, Log: p.Log})
	handler := api.NewKeepalive(api.KeepaliveOptions{
		Options: api.Options{Version: p.Version, Log: p.Log, Registry: registry, Health: health, MaxRequests: p.MaxRequests},
		Store:   s,
	})
	// A Redis that is reached but unfit is no obstacle: refusing keepalives would lose the leases that it only endangers.
	prepare := func(ctx context.Context) error {
		err := checkStore(ctx, s, p.Log)
		if errors.Is(err, lease.ErrUnavailable) {
			return err
		}
		if err != nil {
			p.Log.Error("this Redis is not fit for leases", "error", err)
		}
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.serve(ctx, handler, health) })
	g.Go(func() error {
		s.Guard(ctx)
		return nil
	})
	g.Go(func() error {
		start(ctx, health, p.Log, prepare)
		return nil
	})
	return g.Wait()
}

func (p Common) serve(ctx context.Context, h http.Handler, health *api.Health) error {
	if p.PprofAddr == "" {
		return api.Serve(ctx, p.Listener, h, health, p.ShutdownGrace, p.Log)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return api.Serve(ctx, p.Listener, h, health, p.ShutdownGrace, p.Log) })
	g.Go(func() error { return serveProfiles(ctx, p.PprofAddr, p.Log) })
	return g.Wait()
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector())
	return r
}
