package faults_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/store/storetest"
)

const (
	grace  = 500 * time.Millisecond // how much longer locks live
	margin = 50 * time.Millisecond  // of that, what clocks that are kept in step by adjusting them may lose
)

// setting is what a lab is made of.
type setting struct {
	fsync     string        // of the append-only file; "" for none
	wired     bool          // whether a wire lies between the services and Redis
	ha        bool          // Redis with two replicas and three Sentinels
	ttl       time.Duration // 0 for usualTTL
	direct    bool          // in ha: a pair of services that asks no Sentinel, but goes to the first master; half of the clients use it
	mixed     bool          // whether every client uses every service nonetheless
	confirm   int           // how many replicas confirm
	lossy     bool          // whether a failover may lose releases
	forgetful bool          // whether all leases may be lost, though not given to others while they are certain
	devices   int           // 0 for usualDevices
	clients   int           // 0 for usualClients
	lingers   int           // how often a client keeps its lease for longer than a TTL, in thousandths; 0 for usualLingers
	crashing  bool          // clients that wait in line and crash, instead of the usual ones
	storeWait time.Duration // REDIS_TIMEOUT; 0 for usualStoreWait
	least     int           // how many operations there are at the least
	recovers  time.Duration // how long it may take to serve again, and how late a device may be free on a busy machine
}

const (
	usualTTL       = 3 * time.Second // the shortest that there is
	usualDevices   = 20
	usualClients   = 24
	usualLingers   = 5
	usualStoreWait = 500 * time.Millisecond
)

// lab is two allocators and two keepalive services over a Redis, and clients that use them.
type lab struct {
	setting
	programs   string // the folder of the services
	redis      *server
	wire       *wire  // if it is wired; in ha, between the first master and everyone but the direct services
	group      *group // in ha
	allocators []*service
	keepalives []*service
	history    *history
}

// service is one replica of a service.
type service struct {
	*process
	url      string
	profiles string // the URL where it serves profiles
}

// newLab starts a lab, and waits until all of it is ready.
func newLab(t *testing.T, programs string, s setting) *lab {
	t.Helper()
	s.devices, s.clients, s.lingers = orUsual(s.devices, usualDevices), orUsual(s.clients, usualClients), orUsual(s.lingers, usualLingers)
	s.ttl = orUsual(s.ttl, usualTTL)
	s.storeWait = orUsual(s.storeWait, usualStoreWait)
	l := &lab{setting: s, programs: programs, history: newHistory()}
	l.redis = newServer(t, s.fsync)
	env := []string{"REDIS_ADDRS=" + l.redis.addr}
	switch {
	case s.ha:
		l.wire = newWire(t, l.redis.addr)
		l.group = newGroup(t, l.redis, l.wire.Listen, s.fsync)
		env = l.group.env()
	case s.wired:
		l.wire = newWire(t, l.redis.addr)
		env = []string{"REDIS_ADDRS=" + l.wire.Listen}
	}
	inventory := "INVENTORY=" + l.inventory(t)
	for i := range 2 {
		own := env
		if s.direct && i == 0 {
			own = []string{"REDIS_ADDRS=" + l.redis.addr}
		}
		l.keepalives = append(l.keepalives, l.newService(t, "keepalive", "KEEPALIVE_ADDR", own...))
		l.allocators = append(l.allocators, l.newService(t, "allocator", "ALLOCATOR_ADDR", append(own, inventory)...))
	}
	return l
}

func orUsual[T comparable](value, usual T) T {
	var none T
	if value == none {
		return usual
	}
	return value
}

// newService starts a replica of a service.
func (l *lab) newService(t *testing.T, program, addrName string, env ...string) *service {
	t.Helper()
	for range attempts {
		addr, profiles := storetest.FreeAddr(t), storetest.FreeAddr(t)
		all := append([]string{
			addrName + "=" + addr, "PPROF_ADDR=" + profiles, "LEASE_GRACE=" + grace.String(), "REDIS_CONFIRM_REPLICAS=" + strconv.Itoa(l.confirm),
			"REDIS_TIMEOUT=" + l.storeWait.String(), "LOG_LEVEL=warn", "SHUTDOWN_GRACE=5s",
		}, env...)
		s := &service{newProcess(t, t.TempDir(), filepath.Join(l.programs, program), all), "http://" + addr, "http://" + profiles}
		s.start(t)
		if s.serves(t, s.ready) {
			return s
		}
	}
	t.Fatalf("the %s does not start", program)
	return nil
}

func (s *service) ready(ctx context.Context) bool {
	_, err := fetch(ctx, s.url+"/readyz")
	return err == nil
}

// fetch gets what is at a URL.
func fetch(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status)
	}
	return body, err
}

// inventory writes the inventory file.
func (l *lab) inventory(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "pools:\n  default:\n    ttl: %s\n    ask_within: 5s\n    devices:\n", l.ttl)
	for i := range l.devices {
		fmt.Fprintf(&b, "      - {name: %s, labels: {model: board}, connection: {host: 192.0.2.1}}\n", device(i))
	}
	path := filepath.Join(t.TempDir(), "inventory.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// device is the name of a device.
func device(i int) string { return fmt.Sprintf("board-%03d", i) }
