package store_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// TestMain proves that neither the store nor the fixtures leave a goroutine behind.
func TestMain(m *testing.M) {
	logging.Disable() // go-redis writes down every outage, and outages are what is tested here
	preset("rapid.nofailfile", "RAPID_NOFAILFILE", "true")
	preset("rapid.checks", "RAPID_CHECKS", "40")
	goleak.VerifyTestMain(m)
}

// preset gives a flag another default; the environment and the command line have the last word.
func preset(name, variable, value string) {
	if _, set := os.LookupEnv(variable); set {
		return
	}
	if err := flag.Set(name, value); err != nil {
		panic(err)
	}
}

const (
	pool  = "default"
	grace = time.Minute
	ttl   = 10 * time.Minute // of a lease that asks for none
	hold  = time.Hour        // likewise, and the longest
)

// lab is a pool of devices on a Redis of its own, known to a store.
type lab struct {
	*storetest.Redis
	*store.Store
	inventory *lease.Inventory
	queueing  lease.Queueing // the pool's, from the next reconcile on
	limits    lease.Limits   // likewise
}

// newLab registers devices.
func newLab(t testing.TB, r *storetest.Redis, devices ...lease.Device) *lab {
	t.Helper()
	return newLabWith(t, r, store.Options{}, devices...)
}

func newLabWith(t testing.TB, r *storetest.Redis, o store.Options, devices ...lease.Device) *lab {
	t.Helper()
	o.Grace, o.Timeout = grace, 20*time.Second
	l := &lab{Redis: r, Store: store.New(r.Client, o)}
	l.reconcile(t, devices...)
	return l
}

// reconcile makes devices the inventory.
func (l *lab) reconcile(t testing.TB, devices ...lease.Device) {
	t.Helper()
	l.inventory = lease.NewInventory([]lease.Pool{{
		Name: pool, TTL: ttl, MaxHold: hold, Queueing: l.queueing, Limits: l.limits, Devices: devices,
	}})
	if err := l.Reconcile(t.Context(), l.inventory.Pool(pool)); err != nil {
		t.Fatalf("reconcile: %v", err)
	}
}

func inventoryOf(devices ...lease.Device) *lease.Inventory {
	return lease.NewInventory([]lease.Pool{{Name: pool, TTL: ttl, MaxHold: hold, Devices: devices}})
}

// device is a device with a label model, or with none when model is "".
func device(name, model string) lease.Device {
	d := lease.Device{Name: name}
	if model != "" {
		d.Labels = map[string]string{"model": model}
	}
	return d
}

// plain is n devices without labels, named in order.
func plain(n int) []lease.Device {
	devices := make([]lease.Device, n)
	for i := range devices {
		devices[i] = device(fmt.Sprintf("d%03d", i), "")
	}
	return devices
}

func namesOf(devices []lease.Device) []string {
	names := make([]string, len(devices))
	for i := range devices {
		names[i] = devices[i].Name
	}
	return names
}

// naming and selecting are requests for one device.
func naming(device string) lease.Request {
	return lease.Request{Demands: []lease.Demand{{Name: device}}}
}

func selecting(selector string) lease.Request {
	return lease.Request{Demands: []lease.Demand{{Selector: selector}}}
}

// want is a fresh request, resolved in the inventory.
func (l *lab) want(t testing.TB, r lease.Request) lease.Grant {
	t.Helper()
	r.Pool = pool
	g, err := l.inventory.Resolve(lease.NewToken().ID(pool), r)
	if err != nil {
		t.Fatalf("resolve %+v: %v", r, err)
	}
	return g
}

// grant is granted a lease.
func (l *lab) grant(t testing.TB, r lease.Request) *lease.Lease {
	t.Helper()
	got, granted, err := l.Allocate(t.Context(), l.want(t, r))
	if err != nil || !granted {
		t.Fatalf("allocate %+v: granted %v, %v", r, granted, err)
	}
	return got
}

// take is granted a lease of one device.
func (l *lab) take(t testing.TB, device string) *lease.Lease {
	t.Helper()
	return l.grant(t, naming(device))
}

// read reads a lease that has a record.
func (l *lab) read(t testing.TB, id lease.ID) *lease.Lease {
	t.Helper()
	got, err := l.Lease(t.Context(), id)
	if err != nil {
		t.Fatalf("read %s: %v", id, err)
	}
	return got
}

// status reads a device.
func (l *lab) status(t testing.TB, device string) lease.DeviceStatus {
	t.Helper()
	got, err := l.Devices(t.Context(), pool, []string{device})
	if err != nil {
		t.Fatalf("read device %s: %v", device, err)
	}
	return got[0]
}

// wantStates fails unless the devices are in these states.
func (l *lab) wantStates(t testing.TB, want map[string]lease.DeviceState) {
	t.Helper()
	for name, state := range want {
		if got := l.status(t, name).State; got != state {
			t.Errorf("device %s is %s, want %s", name, got, state)
		}
	}
}

// renew keeps a lease alive.
func (l *lab) renew(t testing.TB, id lease.ID) lease.Renewal {
	t.Helper()
	got, err := l.Keepalive(t.Context(), id)
	if err != nil {
		t.Fatalf("keepalive %s: %v", id, err)
	}
	return got
}

// release returns a lease.
func (l *lab) release(t testing.TB, id lease.ID) {
	t.Helper()
	if err := l.Release(t.Context(), id); err != nil {
		t.Fatalf("release %s: %v", id, err)
	}
}

// reap reaps all that is due, and returns how long until more is, for those who wait.
func (l *lab) reap(t testing.TB) (next time.Duration) {
	t.Helper()
	next, err := l.Reap(t.Context(), pool)
	if err != nil {
		t.Fatalf("reap: %v", err)
	}
	return next
}

// set changes a device.
func (l *lab) set(t testing.TB, device string, c lease.DeviceChange) lease.DeviceStatus {
	t.Helper()
	got, err := l.SetDevice(t.Context(), pool, device, c)
	if err != nil {
		t.Fatalf("set device %s: %v", device, err)
	}
	return got
}

// maintenance takes a device out of service, or puts it back.
func (l *lab) maintenance(t testing.TB, device string, on bool) lease.DeviceStatus {
	t.Helper()
	return l.set(t, device, lease.DeviceChange{Maintenance: &on})
}

// about reports whether a duration is what it should be, but for what passed by itself.
func (l *lab) about(got, want time.Duration) bool { return (got - want).Abs() <= l.Slack }

// moment is the shortest time that surely makes a difference.
func (l *lab) moment() time.Duration { return l.Slack + time.Millisecond }

// remove has an operator remove the lock of a device.
func (l *lab) remove(t testing.TB, device string) {
	t.Helper()
	if n, err := l.Client.Del(t.Context(), "lock:{"+pool+"}:"+device).Result(); n != 1 || err != nil {
		t.Fatalf("remove the lock of %s: %d, %v", device, n, err)
	}
}

// dump reads all that is stored.
func (l *lab) dump(t testing.TB) *dump {
	t.Helper()
	d, err := takeDump(t.Context(), l.Client, pool)
	if err != nil {
		t.Fatalf("read Redis: %v", err)
	}
	return d
}

// wantCode fails unless the error has the code.
func wantCode(t testing.TB, err error, code lease.Code) {
	t.Helper()
	_ = coded(t, err, code)
}

// coded is an error of ours; it fails unless that has the code.
func coded(t testing.TB, err error, code lease.Code) *lease.Error {
	t.Helper()
	var e *lease.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("error %v, want %s", err, code)
	}
	return e
}

// wantEnded fails unless the error says that the lease ended for the reason.
func wantEnded(t testing.TB, err error, reason lease.Reason) time.Time {
	t.Helper()
	e := coded(t, err, lease.CodeEnded)
	if e.Ended == nil || e.Ended.Reason != reason {
		t.Fatalf("ended %+v, want %s", e.Ended, reason)
	}
	return e.Ended.Time
}
