// Command keepalive runs the keepalive service, which extends leases over HTTP. Its configuration is in the environment; the
// README lists it. With the argument healthcheck it says whether the one that runs is ready.
package main

import (
	"context"
	"os"
	"runtime"

	"github.com/automation-infra/automation-infra/cmd/internal/service"
	"github.com/automation-infra/automation-infra/config"
)

var version = "dev" // set by the linker

func main() {
	oneCore()
	service.Main("keepalive", service.Command(os.Args[1:], run, healthcheck))
}

// oneCore has the process use one core unless GOMAXPROCS says otherwise: to hand the little there is to a keepalive from core to core
// costs a sixth more than to do it, idle or busy. Where one core is not enough, there are replicas. See docs/performance.md.
func oneCore() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

func run(ctx context.Context) error {
	c, err := config.LoadKeepalive()
	if err != nil {
		return err
	}
	common, err := service.Open(ctx, version, c.KeepaliveAddr, 1, c.Redis, c.Process)
	if err != nil {
		return err
	}
	defer common.Close()
	return service.Keepalive(ctx, common)
}

func healthcheck(ctx context.Context) error {
	c, err := config.LoadKeepalive()
	if err != nil {
		return err
	}
	return service.Healthcheck(ctx, c.KeepaliveAddr)
}
