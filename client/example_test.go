package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/api"
	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
)

func Example() {
	ctx := context.Background()
	lab, stop := standalone()
	defer stop()
	c, err := client.New(lab, client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = c.Run(ctx, client.Request{
		Demands: []lease.Demand{{Selector: "model=rpi4", As: "board"}},
		Holder:  "nightly",
	}, client.Waiting{For: 10 * time.Minute}, func(_ context.Context, l *client.Lease) error {
		board := l.Devices[0]
		fmt.Printf("%s is %s at %s:%d\n", board.As, board.Name, board.Connection["host"], board.Connection["port"])
		return errors.New("it does not boot")
	})
	fmt.Println(err)
	// Output:
	// board is rpi4-01 at 192.0.2.1:22
	// it does not boot
}

// Wait in line, and be told how that goes.
func ExampleClient_Acquire() {
	ctx := context.Background()
	lab, stop := standalone()
	defer stop()
	c, _ := client.New(lab, client.Options{})
	nuc := client.Request{Demands: []lease.Demand{{Name: "nuc-01"}}, Priority: new(7)}
	first, _ := c.Acquire(ctx, nuc, client.Waiting{})

	_, err := c.Acquire(ctx, nuc, client.Waiting{})
	fmt.Println(errors.Is(err, lease.ErrNoneFree), "again in", client.RetryAfter(err))

	second, _ := c.Acquire(ctx, nuc, client.Waiting{For: time.Hour, OnQueue: func(pending *client.Lease) {
		fmt.Printf("place %d of %d\n", pending.Queue.Place, pending.Queue.Length)
		_ = c.Release(ctx, first)
	}})
	fmt.Println(second.Devices[0].Name, second.Fence > first.Fence)
	_ = c.Release(ctx, second)
	// Output:
	// true again in 20s
	// place 1 of 1
	// nuc-01 true
}

// Keep a lease alive while something else goes on.
func ExampleClient_Hold() {
	lab, stop := standalone()
	defer stop()
	c, _ := client.New(lab, client.Options{})
	l, _ := c.Acquire(context.Background(), client.Request{}, client.Waiting{})
	holding := c.Hold(context.Background(), l)
	defer func() { _ = holding.Release() }()

	go func() { _ = c.Release(context.Background(), l) }() // somebody takes it away
	select {
	case <-holding.Context().Done():
		fmt.Println("lost:", errors.Is(context.Cause(holding.Context()), lease.ErrEnded))
	case <-time.After(time.Minute):
		fmt.Println("held")
	}
	// Output:
	// lost: true
}

func ExampleClient_Devices() {
	lab, stop := standalone()
	defer stop()
	c, _ := client.New(lab, client.Options{})
	for d, err := range c.Devices(context.Background(), client.DeviceFilter{Selector: "model=rpi4"}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(d.Name, d.State)
	}
	// Output:
	// rpi4-01 free
	// rpi4-02 free
}

// standalone runs both services over an embedded Redis, as the program of this name does, and returns the URL of the allocator.
func standalone() (url string, stop func()) {
	embedded := miniredis.NewMiniRedis()
	embedded.ClockTTL(true)
	rdb := redis.NewClient(&redis.Options{MaxRetries: -1, Dialer: func(context.Context, string, string) (net.Conn, error) { return embedded.Dial() }})
	s := store.New(rdb, store.Options{Grace: grace, Timeout: time.Minute})
	inventory := lease.NewInventory([]lease.Pool{{Name: "default", TTL: 3 * time.Second, MaxHold: maxHold, Devices: []lease.Device{
		device("nuc-01", "model=nuc"), device("rpi4-01", "model=rpi4"), device("rpi4-02", "model=rpi4"),
	}}})
	if err := s.Reconcile(context.Background(), inventory.Pool("default")); err != nil {
		panic(err)
	}
	options := func() api.Options {
		health := api.NewHealth()
		health.SetReady()
		return api.Options{Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Health: health}
	}
	keepalive := httptest.NewServer(api.NewKeepalive(api.KeepaliveOptions{Options: options(), Store: s}))
	allocator := httptest.NewServer(api.NewAllocator(api.AllocatorOptions{
		Options: options(), Store: s, Inventory: func() *lease.Inventory { return inventory }, KeepaliveURL: keepalive.URL, RetryAfter: 20 * time.Second,
	}))
	return allocator.URL, func() {
		allocator.Close() // which also closes the idle connections of http.DefaultTransport
		keepalive.Close()
		_ = rdb.Close()
		embedded.Close()
	}
}
