package store

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

const (
	reapEvery      = time.Second      // how late an ended lease is noticed when nobody allocates or waits
	reconcileEvery = 30 * time.Second // how long a hand-made mess in the indexes lasts
)

// Reaper keeps Redis in order: it ends leases that are due, just when they are while somebody waits for that, and reconciles
// the inventory. Any number of them may run; none has to, since locks expire by themselves and each allocation reaps first.
type Reaper struct {
	store     *Store
	inventory func() *lease.Inventory
	log       *slog.Logger
	pools     map[string]*lease.Pool // all ever seen: one that left the inventory may have leases still
	stale     bool                   // whether the last attempt to reconcile failed
	failing   bool
}

// NewReaper returns a Reaper for the inventory in force.
func (s *Store) NewReaper(inventory func() *lease.Inventory, log *slog.Logger) *Reaper {
	return &Reaper{store: s, inventory: inventory, log: log, pools: map[string]*lease.Pool{}}
}

// Run reaps and reconciles until the context ends, and reconciles at once when the inventory changed, or when Guard sees that Redis
// lost its state.
func (r *Reaper) Run(ctx context.Context, changed <-chan struct{}) {
	reap, reconcile := time.NewTimer(reapEvery), time.NewTicker(reconcileEvery)
	defer reap.Stop()
	defer reconcile.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-changed:
			err = r.Reconcile(ctx)
		case <-r.store.emptied:
			err = r.Reconcile(ctx)
		case <-reconcile.C:
			err = r.Reconcile(ctx)
		case <-reap.C:
			if err = r.reap(ctx, reap); err == nil && r.stale {
				err = r.Reconcile(ctx)
			}
		case <-r.store.joined: // what it waits for may be due before long
			err = r.reap(ctx, reap)
		}
		r.report(ctx, err)
	}
}

// Reconcile reconciles every pool of the inventory, and those that left it.
func (r *Reaper) Reconcile(ctx context.Context) error {
	r.stale = true
	inv := r.inventory()
	for name := range r.pools {
		r.pools[name] = &lease.Pool{Name: name}
	}
	for _, name := range inv.Pools() {
		r.pools[name] = inv.Pool(name)
	}
	for _, name := range slices.Sorted(maps.Keys(r.pools)) {
		if err := r.store.Reconcile(ctx, r.pools[name]); err != nil {
			return err
		}
	}
	r.stale = false
	return nil
}

// reap reaps every pool, and sets the timer to when that is to be done again.
func (r *Reaper) reap(ctx context.Context, again *time.Timer) error {
	next := reapEvery
	defer func() { again.Reset(next) }()
	for name := range r.pools {
		due, err := r.store.Reap(ctx, name)
		if err != nil {
			return err
		}
		if due > 0 {
			next = min(next, due)
		}
	}
	return nil
}

// report logs when an outage begins and when it is over, not every second of it.
func (r *Reaper) report(ctx context.Context, err error) {
	failing := err != nil && !errors.Is(ctx.Err(), context.Canceled)
	switch {
	case failing && !r.failing:
		r.log.Error("reaping does not work; leases still end by themselves", "error", err)
	case !failing && r.failing:
		r.log.Info("reaping works again")
	}
	r.failing = failing
}
