// Command allocator runs the allocator service, which leases devices over HTTP. Its configuration is in the environment; the
// README lists it. SIGHUP reloads the inventory. With the argument healthcheck it says whether the one that runs is ready.
package main

import (
	"context"
	"os"

	"github.com/automation-infra/automation-infra/cmd/internal/service"
	"github.com/automation-infra/automation-infra/config"
)

var version = "dev" // set by the linker

func main() { service.Main("allocator", service.Command(os.Args[1:], run, healthcheck)) }

func run(ctx context.Context) error {
	c, err := config.LoadAllocator()
	if err != nil {
		return err
	}
	common, err := service.Open(ctx, version, c.AllocatorAddr, 1, c.Redis, c.Process)
	if err != nil {
		return err
	}
	defer common.Close()
	return service.Allocator(ctx, service.AllocatorParams{Common: common, Leasing: c.Leasing, Inventory: c.Inventory})
}

func healthcheck(ctx context.Context) error {
	c, err := config.LoadAllocator()
	if err != nil {
		return err
	}
	return service.Healthcheck(ctx, c.AllocatorAddr)
}
