package lease

import (
	"cmp"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// Device is one piece of test hardware, as the inventory describes it.
type Device struct {
	Name       string            // unique in the whole inventory
	Pool       string            // the pool it is scheduled in
	Labels     map[string]string // what it is, to be selected by
	Attributes map[string]string // what is unique to it: serial number, rack
	Connection Connection        // how to reach it; for the holder only
}

// Class names the devices of a pool that have the same labels: "arch=arm64,model=rpi4", sorted by key, "-" without labels.
// It is never the name of a device.
func (d *Device) Class() string { return cmp.Or(labels.Set(d.Labels).String(), "-") }

// Connection is what a holder needs to reach a device: host, port, user, password… Values are strings, numbers or
// booleans. It prints as "[redacted]".
type Connection map[string]any

// String hides the connection.
func (Connection) String() string { return "[redacted]" }

// GoString hides the connection.
func (c Connection) GoString() string { return c.String() }

// LogValue hides the connection.
func (c Connection) LogValue() slog.Value { return slog.StringValue(c.String()) }

// DeviceState says what can be done with a device now.
type DeviceState string

// The states of a device; it is in exactly one of them.
const (
	DeviceFree        DeviceState = "free"
	DeviceLeased      DeviceState = "leased"
	DeviceMaintenance DeviceState = "maintenance" // out of service and not leased
)

// DeviceStates returns every state of a device.
func DeviceStates() []DeviceState {
	return []DeviceState{DeviceFree, DeviceLeased, DeviceMaintenance}
}

// DeviceStatus is what the store knows of a device.
type DeviceStatus struct {
	State       DeviceState
	Maintenance bool      // taken out of service; a leased device stays leased until its lease ends
	Note        string    // what the lab says of it
	Since       time.Time // when it entered State
	Lease       string    // id of the lease that holds it, "" when not leased
	Holder      string    // of that lease
	LastLease   string    // id of the latest lease that held it, "" when none did
	Grants      int64     // how many leases have held it
}

// DeviceChange is a change of what the lab says of a device; nil leaves a part as it is.
type DeviceChange struct {
	Maintenance *bool
	Note        *string
}
