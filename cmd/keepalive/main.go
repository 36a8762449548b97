// Command keepalive runs the keepalive service, which extends leases over HTTP. Its configuration is in the environment; the
// README lists it.
package main

import (
	"context"
	"net"
	"os"

	"github.com/automation-infra/automation-infra/cmd/internal/service"
	"github.com/automation-infra/automation-infra/config"
)

var version = "dev" // set by the linker

func main() { service.Main("keepalive", run) }

func run(ctx context.Context) error {
	c, err := config.LoadKeepalive()
	if err != nil {
		return err
	}
	log := service.NewLogger(c.Log, os.Stdout)
	rdb := service.Connect(c.Redis, log)
	defer func() { _ = rdb.Close() }()
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", c.KeepaliveAddr)
	if err != nil {
		return err
	}
	return service.Keepalive(ctx, service.Common{
		Version: version, Listener: l, Redis: rdb, RedisTimeout: c.Redis.Timeout, ShutdownGrace: c.ShutdownGrace, Log: log,
	})
}
