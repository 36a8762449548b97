package client_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// all collects a list.
func all[T any](t *testing.T, list iter.Seq2[*T, error], name func(*T) string) []string {
	t.Helper()
	names := []string{}
	for one, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name(one))
	}
	return names
}

func leaseID(l *client.Lease) string { return l.ID }

func deviceName(d *client.Device) string { return d.Name }

// Lists go on over pages, of 100 each, as often as they are read, and end where their reader does.
func TestLists(t *testing.T) {
	var devices []lease.Device
	var names []string
	for i := range 230 {
		devices = append(devices, device(fmt.Sprintf("d%03d", i), fmt.Sprintf("odd=%t", i%2 == 1)))
		names = append(names, devices[i].Name)
	}
	inLab(t, func(t *testing.T, l *lab) {
		var ids []string
		for range 130 {
			ids = append(ids, l.acquire(client.Request{}).ID)
			pass(10 * time.Millisecond) // they are listed by when they end
		}
		list := l.Devices(t.Context(), client.DeviceFilter{})
		for range 2 {
			if got := all(t, list, deviceName); !slices.Equal(got, names) {
				t.Errorf("devices: %v", got)
			}
		}
		if got := all(t, l.Leases(t.Context(), client.LeaseFilter{}), leaseID); !slices.Equal(got, ids) {
			t.Errorf("leases: %v, want %v", got, ids)
		}
		for d, err := range list {
			if err != nil || d.Name != "d000" || d.State != lease.DeviceLeased || d.Lease == "" || d.Grants != 1 || d.Labels["odd"] != "false" || d.Attributes["rack"] != "B2" || d.Since.IsZero() {
				t.Errorf("%+v, %v", d, err)
			}
			break
		}
		free := client.DeviceFilter{Pool: "default", State: lease.DeviceFree, Selector: "odd=true"}
		if got := all(t, l.Devices(t.Context(), free), deviceName); len(got) != 50 || got[0] != "d131" {
			t.Errorf("free odd devices: %v", got)
		}
		first := client.LeaseFilter{Pool: "default", State: lease.StateActive, Selector: "odd=false"}
		if got := all(t, l.Leases(t.Context(), first), leaseID); len(got) != 65 || got[0] != ids[0] {
			t.Errorf("leases of even devices: %v", got)
		}
		for _, err := range l.Leases(t.Context(), client.LeaseFilter{Pool: "nowhere"}) {
			if !errors.Is(err, lease.ErrInvalid) {
				t.Errorf("%v", err)
			}
		}
	}, devices...)
}

func TestQueueList(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		held := l.acquire(wanting("nuc-01"))
		var waits []<-chan waited
		for _, priority := range []int{0, 9} {
			r := wanting("nuc-01")
			r.Priority = new(priority)
			waits = append(waits, l.later(t.Context(), r, client.Waiting{For: time.Second}))
		}
		places := all(t, l.Queue(t.Context(), "default"), func(p *client.Lease) string {
			return fmt.Sprintf("%d: priority %d, %s", p.Queue.Place, p.Priority, p.State)
		})
		if !slices.Equal(places, []string{"1: priority 9, pending", "2: priority 0, pending"}) {
			t.Errorf("queue: %v", places)
		}
		for _, wait := range waits {
			if err := (<-wait).err; !errors.Is(err, lease.ErrNoneFree) {
				t.Error(err)
			}
		}
		for _, err := range l.Queue(t.Context(), "nowhere") {
			if !errors.Is(err, lease.ErrNotFound) {
				t.Errorf("%v", err)
			}
		}
		if err := l.Release(t.Context(), held); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

func TestSetDevice(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		d, err := l.SetDevice(t.Context(), "nuc-01", lease.DeviceChange{Maintenance: new(true), Note: new("fan broken")})
		if err != nil || !d.Maintenance || d.Note != "fan broken" || d.State != lease.DeviceMaintenance {
			t.Errorf("%+v, %v", d, err)
		}
		if d, err = l.SetDevice(t.Context(), "nuc-01", lease.DeviceChange{Maintenance: new(false)}); err != nil || d.Maintenance || d.Note != "fan broken" {
			t.Errorf("%+v, %v", d, err)
		}
		if d, err = l.Device(t.Context(), "nuc-01"); err != nil || d.State != lease.DeviceFree || d.Pool != "default" {
			t.Errorf("%+v, %v", d, err)
		}
		if _, err = l.SetDevice(t.Context(), "nuc-01", lease.DeviceChange{}); !errors.Is(err, lease.ErrInvalid) {
			t.Errorf("no change: %v", err)
		}
		if _, err = l.Device(t.Context(), "nuc-09"); !errors.Is(err, lease.ErrNotFound) {
			t.Errorf("no device: %v", err)
		}
	})
}
