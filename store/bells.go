package store

import (
	"context"
	"log/slog"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/lease"
)

// bells wake those who wait for leases in line. All of a process share one subscription.
type bells struct {
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]bool // by lease id
}

// Watch returns a channel that receives something when a lease may have left the line, also by another process, as long as
// Listen runs. Word of that may get lost, as Redis goes down: who waits reads the lease now and then all the same. stop ends
// it.
func (s *Store) Watch(id lease.ID) (changed <-chan struct{}, stop func()) {
	return s.bells.add(id.String())
}

func (b *bells) add(id string) (<-chan struct{}, func()) {
	bell := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		b.waiting = map[string]map[chan struct{}]bool{}
	}
	if b.waiting[id] == nil {
		b.waiting[id] = map[chan struct{}]bool{}
	}
	b.waiting[id][bell] = true
	return bell, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if delete(b.waiting[id], bell); len(b.waiting[id]) == 0 {
			delete(b.waiting, id)
		}
	}
}

// ring wakes those who wait for a lease.
func (b *bells) ring(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wakeAll(b.waiting[id])
}

// ringAll wakes everyone.
func (b *bells) ringAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, some := range b.waiting {
		wakeAll(some)
	}
}

func wakeAll(bells map[chan struct{}]bool) {
	for bell := range bells {
		wake(bell)
	}
}

func wake(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // it has rung already
	}
}

// Listen hears from Redis which leases left the line, for Watch, until the context ends. It survives outages.
func (s *Store) Listen(ctx context.Context, log *slog.Logger) {
	subscription := s.rdb.Subscribe(ctx, channel)
	defer func() { _ = subscription.Close() }() // its connection may be broken already
	messages := subscription.ChannelWithSubscriptions()
	for {
		select {
		case <-ctx.Done():
			return
		case message := <-messages:
			switch m := message.(type) {
			case *redis.Subscription:
				log.Debug("listening for leases that leave the line")
				s.bells.ringAll() // word may have got lost before
			case *redis.Message:
				s.bells.ring(m.Payload)
			}
		}
	}
}
