// Command standalone runs the allocator and the keepalive service over an embedded Redis, in one process: to try it out, and
// for a lab that can bear to lose its leases when it restarts. Its configuration is in the environment; the README lists it.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/alicebob/miniredis/v2"
	"golang.org/x/sync/errgroup"

	"github.com/automation-infra/automation-infra/cmd/internal/service"
	"github.com/automation-infra/automation-infra/config"
)

var version = "dev" // set by the linker

func main() { service.Main("standalone", run) }

func run(ctx context.Context) error {
	c, err := config.LoadStandalone()
	if err != nil {
		return err
	}
	log := service.NewLogger(c.Log, os.Stdout)
	embedded := miniredis.NewMiniRedis()
	embedded.ClockTTL(true)
	if err := embedded.StartAddr(c.EmbeddedRedisAddr); err != nil {
		return fmt.Errorf("embedded Redis: %w", err)
	}
	defer embedded.Close()
	var listen net.ListenConfig
	allocator, err := listen.Listen(ctx, "tcp", c.AllocatorAddr)
	if err != nil {
		return err
	}
	keepalive, err := listen.Listen(ctx, "tcp", c.KeepaliveAddr)
	if err != nil {
		return err
	}
	fmt.Fprint(os.Stderr, banner(allocator.Addr(), keepalive.Addr(), embedded.Addr()))
	return serve(ctx, c, log, embedded.Addr(), allocator, keepalive)
}

// serve runs both services until the context ends or one of them fails.
func serve(ctx context.Context, c config.Standalone, log *slog.Logger, redisAddr string, allocator, keepalive net.Listener) error {
	rdb := service.Connect(config.Redis{Addrs: []string{redisAddr}}, log)
	defer func() { _ = rdb.Close() }()
	common := func(name string, l net.Listener) service.Common {
		return service.Common{Version: version, Listener: l, Redis: rdb, ShutdownGrace: c.ShutdownGrace, Log: log.With("service", name)}
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return service.Allocator(ctx, service.AllocatorParams{
			Common: common("allocator", allocator), Inventory: c.Inventory, Leasing: c.Leasing, Hangup: hangup,
		})
	})
	g.Go(func() error { return service.Keepalive(ctx, common("keepalive", keepalive)) })
	return g.Wait()
}

// banner tells who started it what to do now.
func banner(allocator, keepalive net.Addr, redisAddr string) string {
	host, port, _ := net.SplitHostPort(redisAddr)
	return fmt.Sprintf(`
  allocator   %[1]s   API documentation at %[1]s/docs
  keepalive   %[2]s
  redis       redis-cli -h %[3]s -p %[4]s --scan

  Try:        curl -s -X POST %[1]s/v1/leases

  Leases do not survive a restart of this process: they are in its memory.

`, url(allocator), url(keepalive), host, port)
}

// url is how a client on this machine reaches a listener.
func url(addr net.Addr) string {
	host, port, _ := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
