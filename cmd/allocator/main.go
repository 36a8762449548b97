// Command allocator runs the allocator service, which leases devices over HTTP. Its configuration is in the environment; the
// README lists it. SIGHUP reloads the inventory.
package main

import (
	"context"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/automation-infra/automation-infra/cmd/internal/service"
	"github.com/automation-infra/automation-infra/config"
)

var version = "dev" // set by the linker

func main() { service.Main("allocator", run) }

func run(ctx context.Context) error {
	c, err := config.LoadAllocator()
	if err != nil {
		return err
	}
	log := service.NewLogger(c.Log, os.Stdout)
	rdb := service.Connect(c.Redis, log)
	defer func() { _ = rdb.Close() }()
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", c.AllocatorAddr)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	return service.Allocator(ctx, service.AllocatorParams{
		Common: service.Common{
			Version: version, Listener: l, Redis: rdb, RedisTimeout: c.Redis.Timeout, ShutdownGrace: c.ShutdownGrace, Log: log,
		},
		Inventory: c.Inventory, Leasing: c.Leasing, Hangup: hangup,
	})
}
