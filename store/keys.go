package store

import "github.com/automation-infra/automation-infra/lease"

// Every Redis key. The hash tag {pool} keeps a pool in one slot of a Redis Cluster. Names come from the inventory; ids
// from tokens. All values are plain text: `redis-cli --scan --pattern '*{default}*'` shows the state of a pool.
//
//	lock:{pool}:<device>        string  the id of the lease that holds the device. THE lock: set by SET NX PX, kept by
//	                                    PEXPIRE, ended by DEL or by its own expiry. A device is leased exactly while it lives.
//	lease:{pool}:<id>           hash    state, demands (JSON, as asked), devices (names, blank between), holder, purpose, link, priority,
//	                                    fence, ttl_ms, grace_ms, create_ms, grant_ms, deadline_ms, request (digest), ended_ms,
//	                                    ended_reason, retractable (until its holder is told of it again), confirmed_ms (until when
//	                                    replicas are known to have it, if they are to confirm); of one that waits or waited also
//	                                    hold_ms, ask_ms, wants, matching (how many devices could do). Outlives the lease by an hour,
//	                                    so that a late keepalive hears why it ended. wants is what the demands mean:
//	                                    "2*<class>|<class>;1*<device>" is two devices of either class, and that one device.
//	active:{pool}               zset    active lease -> ms its locks expire
//	ended:{pool}                zset    ended lease -> ms it ended, for an hour
//	devices:{pool}              set     the devices of the inventory, and those that left it and are still leased
//	device:{pool}:<device>      hash    class, state (in_service, maintenance, removed), note, last_lease, grants
//	free:{pool}:<class>         zset    device in service and not leased -> ms it became free; the lowest is granted next
//	maintenance:{pool}:<class>  zset    device out of service and not leased -> ms it went there
//	fence:{pool}                string  the last number drawn, for a fence or a place in line: max(the one before + 1, Redis's
//	                                    clock in µs)
//	queue:{pool}                zset    the line: pending lease -> its order, the lowest first: the number it drew, less the
//	                                    µs of waiting that its priority counts as
//	queue:{pool}:<class>        zset    those of the line that could have a device of the class, with their orders
//	queue:{pool}:<device>       zset    those that want this one device. A class is "-" or has a "=", a device neither
//	wanted:{pool}               zset    classes (0) and devices (1) that have such a queue
//	tickets:{pool}              zset    pending lease -> ms it is dropped unless someone asks for it before
//	asked:{pool}                zset    pending lease -> ms it was first asked for
//	holder:{pool}:<holder>      hash    pending and active leases of a holder -> how many devices
//	events:{pool}               stream  queued, granted, renewed_late, released, expired, revoked, abandoned, in_service,
//	                                    maintenance: about the last 10,000
//	pulse:{pool}                string  written to see whether replicas follow; lives for a second
//	epoch:{pool}                hash    since_ms, when an allocator first put devices of the pool into this Redis; grace_ms, as
//	                                    allocators have it. Each replica remembers since_ms: where it is another, this is a Redis that
//	                                    lost its state
//	longest:{pool}              string  the longest TTL ms that a holder was told lately, for as long as such a lease may live
//	paused:{pool}               string  while it lives, nothing is granted: since Redis lost its state, until leases from before are
//	                                    over; ms when it ends
//	lost:{pool}                 string  since_ms of the epoch that came after a loss, for an hour: a keepalive of a lease without a
//	                                    record is told store_lost
//
// active, ended, free and maintenance are indexes: where one disagrees with a lock, the lock is right. On the channel "leases"
// the scripts publish the id of each lease that leaves the line, granted or not.
//
// poolKeys is what the scripts are given of a pool: ":{pool}", which they make all of these names from.
func poolKeys(pool string) []string { return []string{":{" + pool + "}"} }

// devicesKey is the set of a pool's known devices.
func devicesKey(pool string) string { return "devices:{" + pool + "}" }

// freeKey and maintenanceKey are the indexes of a class.
func freeKey(pool, class string) string        { return "free:{" + pool + "}:" + class }
func maintenanceKey(pool, class string) string { return "maintenance:{" + pool + "}:" + class }

// indexKey is the index that lists leases of a state.
func indexKey(pool string, state lease.State) string {
	switch state {
	case lease.StatePending:
		return "queue:{" + pool + "}"
	case lease.StateActive:
		return "active:{" + pool + "}"
	}
	return "ended:{" + pool + "}"
}

// askedKey is the index of when tickets were first asked for.
func askedKey(pool string) string { return "asked:{" + pool + "}" }

// channel is where the scripts publish the id of each lease that leaves the line.
const channel = "leases"

// pulseKey is written to see whether replicas follow; it lives for a second.
func pulseKey(pool string) string { return "pulse:{" + pool + "}" }
