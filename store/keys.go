package store

import "github.com/automation-infra/automation-infra/lease"

// Every Redis key. The hash tag {pool} keeps a pool in one slot of a Redis Cluster. Names come from the inventory; ids
// from tokens. All values are plain text: `redis-cli --scan --pattern '*{default}*'` shows the state of a pool.
//
//	lock:{pool}:<device>        string  the id of the lease that holds the device. THE lock: set by SET NX PX, kept by
//	                                    PEXPIRE, ended by DEL or by its own expiry. A device is leased exactly while it lives.
//	lease:{pool}:<id>           hash    state, devices (names, blank between), holder, purpose, link, fence, ttl_ms,
//	                                    grace_ms, create_ms, deadline_ms, request (digest), ended_ms, ended_reason.
//	                                    Outlives the lease by an hour, so that a late keepalive hears why it ended.
//	active:{pool}               zset    active lease -> ms its locks expire
//	ended:{pool}                zset    ended lease -> ms it ended, for an hour
//	devices:{pool}              set     the devices of the inventory, and those that left it and are still leased
//	device:{pool}:<device>      hash    class, state (in_service, maintenance, removed), note, last_lease, grants
//	free:{pool}:<class>         zset    device in service and not leased -> ms it became free; the lowest is granted next
//	maintenance:{pool}:<class>  zset    device out of service and not leased -> ms it went there
//	fence:{pool}                string  the last fence: max(the one before + 1, Redis's clock in µs)
//	events:{pool}               stream  granted, renewed_late, released, expired, revoked, in_service, maintenance:
//	                                    about the last 10,000
//
// active, ended, free and maintenance are indexes: where one disagrees with a lock, the lock is right.
func poolKeys(pool string) []string {
	tag := ":{" + pool + "}"
	return []string{
		"lock" + tag + ":", "lease" + tag + ":", "device" + tag + ":", "free" + tag + ":", "maintenance" + tag + ":",
		"active" + tag, "ended" + tag, "devices" + tag, "fence" + tag, "events" + tag,
	}
}

// devicesKey is the set of a pool's known devices.
func devicesKey(pool string) string { return "devices:{" + pool + "}" }

// freeKey and maintenanceKey are the indexes of a class.
func freeKey(pool, class string) string        { return "free:{" + pool + "}:" + class }
func maintenanceKey(pool, class string) string { return "maintenance:{" + pool + "}:" + class }

// indexKey is the index that lists leases of a state.
func indexKey(pool string, state lease.State) string {
	if state == lease.StateActive {
		return "active:{" + pool + "}"
	}
	return "ended:{" + pool + "}"
}
