package service

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/sync/errgroup"

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
	watcher *config.Watcher // nil when there is no file, or it can't be watched
}

// openInventory reads the inventory; a bad file is an error that lists every mistake. From then on changes are noticed.
func openInventory(path string, reg prometheus.Registerer, log *slog.Logger) (*inventory, error) {
	i := &inventory{path: path, log: log, changed: make(chan struct{}, 1)}
	i.openWatcher()
	inv, err := i.read()
	if err != nil {
		return nil, errors.Join(err, i.close())
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

func (i *inventory) openWatcher() {
	if i.path == "" {
		return
	}
	var err error
	if i.watcher, err = config.NewWatcher(i.path); err != nil {
		i.log.Error("inventory is not watched; send SIGHUP after changes", "file", i.path, "error", err)
	}
}

func (i *inventory) close() error {
	if i.watcher == nil {
		return nil
	}
	return i.watcher.Close()
}

// follow reloads when the file changes, and on each hang-up signal, until the context ends.
func (i *inventory) follow(ctx context.Context) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	wake := make(chan struct{}, 1)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return i.watch(ctx, wake) })
	g.Go(func() error {
		for {
			select {
			case <-wake:
				i.reload()
			case <-hangup:
				i.reload()
			case <-ctx.Done():
				return nil
			}
		}
	})
	return g.Wait()
}

// watch sends when the file changes, until the context ends.
func (i *inventory) watch(ctx context.Context, wake chan<- struct{}) error {
	if i.watcher == nil {
		return nil
	}
	return i.watcher.Run(ctx, func() {
		select {
		case wake <- struct{}{}:
		default: // a reload is due already
		}
	})
}
