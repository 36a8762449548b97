// Command standalone runs the allocator and the keepalive service over an embedded Redis, in one process: to try it out, and
// for a lab that can bear to lose its leases when it restarts. Its configuration is in the environment; the README lists it.
package main

import (
	"context"
	"fmt"
	"net"
	"os"

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
	embedded := miniredis.NewMiniRedis()
	if err := embedded.StartAddr(c.EmbeddedRedisAddr); err != nil {
		return fmt.Errorf("embedded Redis: %w", err)
	}
	defer embedded.Close()
	go expire(ctx, embedded)
	redis := config.Redis{Addrs: []string{embedded.Addr()}}
	allocator, err := service.Open(ctx, version, c.AllocatorAddr, 2, redis, c.Process)
	if err != nil {
		return err
	}
	defer allocator.Close()
	keepalive, err := service.Open(ctx, version, c.KeepaliveAddr, 2, redis, c.Process)
	if err != nil {
		return err
	}
	defer keepalive.Close()
	keepalive.PprofAddr = "" // it is one process
	allocator.Log, keepalive.Log = allocator.Log.With("service", "allocator"), keepalive.Log.With("service", "keepalive")
	fmt.Fprint(os.Stderr, banner(allocator.Listener.Addr(), keepalive.Listener.Addr(), embedded.Addr()))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return service.Allocator(ctx, service.AllocatorParams{Common: allocator, Leasing: c.Leasing, Inventory: c.Inventory})
	})
	g.Go(func() error { return service.Keepalive(ctx, keepalive) })
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
