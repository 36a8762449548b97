package stack_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

const (
	boards  = 600 // devices of the lab that are alike
	holding = 30  // leases that are kept alive throughout
)

// lab is the stack with an inventory of its own, and leases that somebody holds.
type lab struct {
	*stack
	client *client.Client
	held   []*client.Lease
}

// inventoryFile is where the lab's inventory is.
func inventoryFile() string { return filepath.Join(os.Getenv("TEST_STACK"), "lab", "inventory.yaml") }

// inventory returns an inventory of the boards, the device spare, and others.
func inventory(others ...string) string {
	var b strings.Builder
	b.WriteString("pools:\n  default:\n    devices:\n")
	for i := range boards {
		fmt.Fprintf(&b, "      - {name: board-%03d, labels: {model: board}, connection: {host: 192.0.2.1, port: %d}}\n", i, 1000+i)
	}
	for _, name := range append(others, "spare") {
		fmt.Fprintf(&b, "      - {name: %s, labels: {model: other}, connection: {password: \"${LAB_PASSWORD}\"}}\n", name)
	}
	return b.String()
}

// newLab returns a lab that is not up yet, with the settings that `make .env` makes, and of these Compose files.
func newLab(t *testing.T, name string, files []string, env ...string) *lab {
	t.Helper()
	dir := os.Getenv("TEST_STACK")
	run(t, nil, "make", ".env")
	write(t, inventoryFile(), inventory())
	write(t, filepath.Join(dir, "devices.env"), "LAB_PASSWORD=from devices.env\n")
	l := &lab{stack: newStack(t, name, append(env, "INVENTORY_DIR=./lab", "INVENTORY_FILE=inventory.yaml")...)}
	l.files = files
	l.client = l.stack.client(t, client.Options{})
	return l
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// board is a request for any board, of a lease that lives long without keepalive.
func board() client.Request {
	return client.Request{Demands: []lease.Demand{{Selector: "model=board"}}, TTL: 10 * time.Minute, Holder: "test"}
}

// hold leases the boards that are held throughout.
func (l *lab) hold(t *testing.T) {
	t.Helper()
	for range holding {
		got, err := l.client.Acquire(t.Context(), board(), client.Waiting{})
		if err != nil {
			t.Fatal(err)
		}
		l.held = append(l.held, got)
	}
}

// keepalive keeps one of the held leases alive, asking once.
func (l *lab) keepalive(ctx context.Context, n int) error {
	one := *l.held[n%len(l.held)]
	return l.client.Keepalive(ctx, &one)
}

// cycle leases a board and releases it. The client repeats what failed, with the same token.
func (l *lab) cycle(ctx context.Context, c *client.Client) error {
	got, err := c.Acquire(ctx, board(), client.Waiting{})
	if err != nil {
		return err
	}
	return c.Release(ctx, got)
}

// leased returns how many boards are leased.
func (l *lab) leased(t *testing.T) int {
	t.Helper()
	n := 0
	for _, err := range l.client.Devices(t.Context(), client.DeviceFilter{State: lease.DeviceLeased, Selector: "model=board"}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// lost returns how many of these leases are not what they were.
func (l *lab) lost(t *testing.T, leases []*client.Lease) int {
	t.Helper()
	n := 0
	for _, was := range leases {
		now, err := l.client.Get(t.Context(), was.ID, was.Token)
		if err != nil || now.State != lease.StateActive || now.Fence != was.Fence {
			t.Logf("lost: %v is %v, %v", was, now, err)
			n++
		}
	}
	return n
}
