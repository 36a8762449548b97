package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// programs are what a lab is started from.
type programs struct {
	bin   string // the folder of the project's programs
	redis string // the redis-server to run allocator and keepalive over; "" for standalone, which brings its own
}

// startedLab is a lab that the driver started, of the project's own programs as they are configured by default. They are processes of
// their own, so that driver and services share the machine, as they do with others, but no Go runtime.
type startedLab struct {
	lab
	folder    string // of the inventory and of Redis; removed at the end
	inventory string // the file
	children  []*child
}

// startLab starts a lab of so many devices on free ports of loopback. Stop it at the end.
func startLab(ctx context.Context, p programs, devices int) (s *startedLab, err error) {
	if p.bin, err = filepath.Abs(p.bin); err != nil { // a bare name would be looked up in PATH
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, usageError{err}
	}
	folder, err := os.MkdirTemp("", "load")
	if err != nil {
		return nil, err
	}
	s = &startedLab{folder: folder, inventory: filepath.Join(folder, "inventory.yaml"), lab: lab{pool: lease.DefaultPool}}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if err := os.WriteFile(s.inventory, []byte(inventoryOf(devices)), 0o600); err != nil {
		return nil, err
	}
	what, start := "standalone", s.startStandalone
	if p.redis != "" {
		what, start = "allocator, keepalive and redis-server", s.startServices
	}
	s.about = fmt.Sprintf("%s with %s devices, on this machine", what, count(devices))
	return s, start(ctx, p)
}

// check says which program is missing.
func (p programs) check() error {
	needed := []string{"standalone"}
	if p.redis != "" {
		needed = []string{"allocator", "keepalive"}
	}
	for _, name := range needed {
		if _, err := os.Stat(filepath.Join(p.bin, name)); err != nil {
			return fmt.Errorf("%w; make build makes it, -bin says where it is, and -allocator names a lab that runs", err)
		}
	}
	return nil
}

// inventoryOf is an inventory of so many devices, all alike.
func inventoryOf(devices int) string {
	var b strings.Builder
	b.WriteString("pools:\n  " + lease.DefaultPool + ":\n    devices:\n")
	for n := range devices {
		fmt.Fprintf(&b, "      - {name: load-%05d, labels: {model: load}, connection: {host: 192.0.2.1, port: 22}}\n", n+1)
	}
	return b.String()
}

// anyPort is an address for the system to choose the port of.
const anyPort = "127.0.0.1:0"

func (s *startedLab) startStandalone(ctx context.Context, p programs) error {
	serving := map[string]string{}
	env := []string{"INVENTORY=" + s.inventory, "ALLOCATOR_ADDR=" + anyPort, "KEEPALIVE_ADDR=" + anyPort, "EMBEDDED_REDIS_ADDR=" + anyPort}
	err := s.start(ctx, filepath.Join(p.bin, "standalone"), nil, env, func(line []byte) bool {
		if service, addr, is := servesAt(line); is {
			serving[service] = "http://" + addr
		}
		return len(serving) == 2
	})
	if err != nil {
		return err
	}
	s.allocator, s.keepalive = serving["allocator"], serving["keepalive"]
	return s.untilReady(ctx)
}

func (s *startedLab) startServices(ctx context.Context, p programs) error {
	redis, err := s.startRedis(ctx, p.redis)
	if err != nil {
		return err
	}
	for _, service := range []struct {
		name string
		url  *string
		env  []string
	}{
		{"allocator", &s.allocator, []string{"ALLOCATOR_ADDR=" + anyPort, "INVENTORY=" + s.inventory}},
		{"keepalive", &s.keepalive, []string{"KEEPALIVE_ADDR=" + anyPort}},
	} {
		env := slices.Concat(service.env, []string{"REDIS_ADDRS=" + redis})
		err := s.start(ctx, filepath.Join(p.bin, service.name), nil, env, func(line []byte) bool {
			_, addr, is := servesAt(line)
			*service.url = "http://" + addr
			return is
		})
		if err != nil {
			return err
		}
	}
	return s.untilReady(ctx)
}

// servesAt reads a log line in which a service says where it serves; the service is "" where there is but one.
func servesAt(line []byte) (service, addr string, is bool) {
	var entry struct{ Msg, Service, Addr string }
	if json.Unmarshal(line, &entry) != nil || entry.Msg != "serving" {
		return "", "", false
	}
	return entry.Service, entry.Addr, true
}

// startRedis starts a Redis as the services want it, and returns its address.
func (s *startedLab) startRedis(ctx context.Context, program string) (addr string, err error) {
	for range 5 { // another process may take the port before Redis does
		if addr, err = freeAddr(ctx); err != nil {
			return "", err
		}
		_, port, _ := net.SplitHostPort(addr)
		args := []string{
			"--bind", "127.0.0.1", "--port", port, "--dir", s.folder, "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction",
		}
		err = s.start(ctx, program, args, nil, func(line []byte) bool { return bytes.Contains(line, []byte("Ready to accept connections")) })
		if !errors.Is(err, errEnded) {
			return addr, err
		}
		s.children = s.children[:len(s.children)-1]
	}
	return "", err
}

func freeAddr(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", anyPort)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// start starts a program, and waits until it serves.
func (s *startedLab) start(ctx context.Context, program string, args, env []string, serves func([]byte) bool) error {
	c, err := startChild(program, args, env, serves)
	if err != nil {
		return err
	}
	s.children = append(s.children, c)
	return c.untilServing(ctx)
}

// untilReady waits until the services are ready.
func (s *startedLab) untilReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for _, url := range []string{s.allocator + "/readyz", s.keepalive + "/readyz"} {
		for !ready(ctx, url) {
			select {
			case <-again.C:
			case <-ctx.Done():
				return fmt.Errorf("not ready within %s: %s", startWithin, url)
			}
		}
	}
	return nil
}

func ready(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = answer.Body.Close() // what it says is not of interest
	return answer.StatusCode == http.StatusOK
}

// guard returns a context that is over when a program of the lab ends, the cause of which is why.
func (s *startedLab) guard(ctx context.Context) (guarded context.Context, done func()) {
	guarded, cancel := context.WithCancelCause(ctx)
	for _, c := range s.children {
		go func() {
			select {
			case <-c.exited:
				cancel(c.why())
			case <-guarded.Done():
			}
		}()
	}
	return guarded, func() { cancel(nil) }
}

// stop ends the programs, the services before Redis, and removes what was made for them.
func (s *startedLab) stop() {
	for _, c := range slices.Backward(s.children) {
		c.stop()
	}
	_ = os.RemoveAll(s.folder) // a temporary folder
}
