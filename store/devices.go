package store

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/lease"
)

// Devices reads devices of a pool by name, in that order. A device that Redis does not know, such as after it lost its data
// and before Reconcile, is free since no time.
func (s *Store) Devices(ctx context.Context, pool string, names []string) ([]lease.DeviceStatus, error) {
	all := make([]lease.DeviceStatus, 0, len(names))
	for some := range slices.Chunk(names, batch) {
		reply, err := s.run(ctx, s.scripts.devices, pool, anys(some)...)
		if err != nil {
			return nil, err
		}
		for i := range some {
			d, err := reply.device(i)
			if err != nil {
				return nil, err
			}
			all = append(all, d)
		}
	}
	return all, nil
}

// SetDevice changes what the lab says of a device. A leased device that is taken out of service stays leased until its
// lease ends. The error is lease.CodeNotFound when Redis does not know the device.
func (s *Store) SetDevice(ctx context.Context, pool, name string, change lease.DeviceChange) (lease.DeviceStatus, error) {
	state, note := "", ""
	if change.Maintenance != nil {
		state = "in_service"
		if *change.Maintenance {
			state = "maintenance"
		}
	}
	if change.Note != nil {
		note = *change.Note
	}
	reply, err := s.run(ctx, s.scripts.setDevice, pool, name, state, change.Note != nil, note)
	if err != nil {
		return lease.DeviceStatus{}, err
	}
	if reply.outcome != "set" {
		return lease.DeviceStatus{}, &lease.Error{Code: lease.CodeNotFound, Message: "no device is named " + name}
	}
	return reply.device(0)
}

// Reconcile makes the devices of a pool known to Redis, takes out those that left it, and puts right where the indexes
// disagree with the locks. Devices that left stay leased until their leases end. It may run at any time, anywhere.
func (s *Store) Reconcile(ctx context.Context, pool *lease.Pool) error {
	known := make(map[string]bool, len(pool.Devices))
	s.guard.inventory(pool.Name, pool.TTL)
	for some := range slices.Chunk(pool.Devices, batch) {
		args := make([]any, 0, 2*len(some))
		for i := range some {
			known[some[i].Name] = true
			args = append(args, some[i].Name, some[i].Class())
		}
		if _, err := s.runGuarded(ctx, s.scripts.register, pool.Name, args...); err != nil {
			return err
		}
	}
	gone, err := s.unknownDevices(ctx, pool.Name, known)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(gone, batch) {
		if _, err := s.run(ctx, s.scripts.retire, pool.Name, anys(some)...); err != nil {
			return err
		}
	}
	return s.requeue(ctx, pool)
}

// requeue has those who wait do so for what their demands mean in the inventory. Demands that nothing satisfies any more wait
// for a better inventory.
func (s *Store) requeue(ctx context.Context, pool *lease.Pool) error {
	for after := ""; ; {
		tickets, next, err := s.Leases(ctx, pool.Name, lease.StatePending, after, batch)
		if err != nil {
			return err
		}
		var args []any
		for _, t := range tickets {
			wants, matching, _ := pool.Match(t.Demands) // none when nothing matches
			args = append(args, t.ID.String(), wantsText(wants), matching)
		}
		if len(args) > 0 {
			if _, err := s.run(ctx, s.scripts.requeue, pool.Name, args...); err != nil {
				return err
			}
		}
		if after = next; after == "" {
			return nil
		}
	}
}

// unknownDevices returns the devices that Redis has and known has not.
func (s *Store) unknownDevices(ctx context.Context, pool string, known map[string]bool) ([]string, error) {
	var gone []string
	var cursor uint64
	for {
		var names []string
		err := s.call(ctx, "sscan", func(ctx context.Context) (err error) {
			names, cursor, err = s.rdb.SScan(ctx, devicesKey(pool), cursor, "", batch).Result()
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if !known[name] {
				gone = append(gone, name)
			}
		}
		if cursor == 0 {
			return gone, nil
		}
	}
}

// counts is how a pool is used.
type counts struct {
	devices map[lease.DeviceState]int64
	waiting int64
	oldest  time.Duration // how long the lease that has waited the longest has
}

// count counts the devices of a pool by state, without looking at each, and who waits for them.
func (s *Store) count(ctx context.Context, pool *lease.Pool) (counts, error) {
	var free, maintenance []*redis.IntCmd
	var waiting *redis.IntCmd
	var first *redis.ZSliceCmd
	var now *redis.TimeCmd
	err := s.call(ctx, "count", func(ctx context.Context) error {
		_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, class := range pool.Classes() {
				free = append(free, p.ZCard(ctx, freeKey(pool.Name, class.Name)))
				maintenance = append(maintenance, p.ZCard(ctx, maintenanceKey(pool.Name, class.Name)))
			}
			waiting, first, now = p.ZCard(ctx, askedKey(pool.Name)), p.ZRangeWithScores(ctx, askedKey(pool.Name), 0, 0), p.Time(ctx)
			return nil
		})
		return err
	})
	if err != nil {
		return counts{}, err
	}
	c := counts{devices: map[lease.DeviceState]int64{}, waiting: waiting.Val()}
	for i := range free {
		c.devices[lease.DeviceFree] += free[i].Val()
		c.devices[lease.DeviceMaintenance] += maintenance[i].Val()
	}
	c.devices[lease.DeviceLeased] = max(0, int64(len(pool.Devices))-c.devices[lease.DeviceFree]-c.devices[lease.DeviceMaintenance])
	for _, z := range first.Val() {
		c.oldest = max(0, now.Val().Sub(time.UnixMilli(int64(z.Score))))
	}
	return c, nil
}

func anys(list []string) []any {
	all := make([]any, len(list))
	for i, v := range list {
		all[i] = v
	}
	return all
}
