package service

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/automation-infra/automation-infra/config"
	"github.com/automation-infra/automation-infra/lease"
)

// inventory is the lab's inventory file, and the last good state of it.
type inventory struct {
	path    string // "" for the built-in example
	log     *slog.Logger
	inForce atomic.Pointer[lease.Inventory]
	changed chan struct{} // holds one element after a change
	fresh   prometheus.Gauge
}

// openInventory reads the inventory; a bad file is an error that lists every mistake.
func openInventory(path string, reg prometheus.Registerer, log *slog.Logger) (*inventory, error) {
	i := &inventory{path: path, log: log, changed: make(chan struct{}, 1)}
	inv, err := i.read()
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	i.inForce.Store(inv)
	i.fresh = promauto.With(reg).NewGauge(prometheus.GaugeOpts{
		Name: "lease_inventory_last_reload_successful", Help: "Whether the inventory in force is what the file says.",
	})
	i.fresh.Set(1)
	return i, nil
}

func (i *inventory) read() (*lease.Inventory, error) {
	if i.path == "" {
		return config.ParseInventory(config.ExampleInventory, os.LookupEnv)
	}
	return config.LoadInventory(i.path)
}

// current returns the inventory in force.
func (i *inventory) current() *lease.Inventory { return i.inForce.Load() }

// reload takes up the file as it is now; a bad file changes nothing.
func (i *inventory) reload() {
	inv, err := i.read()
	if err != nil {
		i.fresh.Set(0)
		i.log.Error("inventory refused; the one before stays in force", "file", i.path, "error", err)
		return
	}
	i.fresh.Set(1)
	i.inForce.Store(inv)
	i.log.Info("inventory loaded", "file", i.path, "pools", len(inv.Pools()))
	select {
	case i.changed <- struct{}{}:
	default: // the reaper has not taken the last change yet, and will take both
	}
}

// follow reloads when the file changes, and on each hang-up signal, until the context ends.
func (i *inventory) follow(ctx context.Context, hangup <-chan os.Signal) error {
	if i.path == "" {
		return nil
	}
	wake := make(chan struct{}, 1)
	watched := make(chan error, 1)
	go func() {
		watched <- config.Watch(ctx, i.path, func() {
			select {
			case wake <- struct{}{}:
			default:
			}
		})
	}()
	for {
		select {
		case <-wake:
			i.reload()
		case <-hangup:
			i.reload()
		case err := <-watched:
			return err
		}
	}
}
