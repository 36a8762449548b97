// Command keepalive runs the keepalive service, which extends leases over HTTP. Its configuration is in the environment; the
// README lists it.
package main

import (
	"context"

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
	common, err := service.Open(ctx, version, c.KeepaliveAddr, c.Redis, c.Process)
	if err != nil {
		return err
	}
	defer common.Close()
	return service.Keepalive(ctx, common)
}
