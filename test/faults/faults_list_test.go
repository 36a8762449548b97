package faults_test

import (
	"syscall"
	"time"
)

// longerThanFailover is a TTL for which a lease that is lost with a master is still certain when another takes over.
const longerThanFailover = 6 * time.Second

// manyDevices is so many that most are free when a master dies: one that a lost lease had before would be kept by it for a while.
const manyDevices = 60

// fewClients are enough for what takes as long as a failover, and leave the labs beside theirs something of the machine.
const fewClients = 12

// faults are what leases survive.
func faults() []fault {
	kept := setting{fsync: "always"}
	wired := setting{fsync: "always", wired: true}
	ha := setting{fsync: "everysec", ha: true, confirm: 1, lossy: true, ttl: longerThanFailover, devices: manyDevices, clients: fewClients}
	split := ha
	split.direct = true
	empty := setting{lossy: true, forgetful: true, ttl: longerThanFailover, lingers: 30} // some have a lease when Redis has it no longer
	return []fault{
		{"Redis is killed, appendfsync always", kept, killRedis, []mutant{withoutFile, withoutClock}},
		{"Redis is killed, appendfsync everysec", setting{fsync: "everysec"}, killRedis, []mutant{withoutFile}},
		{"Redis comes back empty", empty, emptyRedis, []mutant{withoutPause, withoutMemory}},
		{"Redis is stopped and goes on", kept, stopRedis, []mutant{withoutOutage, withoutToken}},
		{"Redis is slow", wired, spoiled("latency", .7, map[string]int{"latency": 400, "jitter": 390}), []mutant{withoutToken}},
		{"connections to Redis are reset", wired, spoiled("reset_peer", .5, map[string]int{"timeout": 5}), []mutant{withoutToken}},
		{"connections to Redis are half open", wired, halfOpen, []mutant{withoutOutage}},
		{"answers of Redis come in slices", wired, spoiled("slicer", 1, map[string]int{"average_size": 32, "size_variation": 16, "delay": 20_000}), []mutant{withoutToken}},
		{"answers of Redis are lost", wired, spoiled("limit_data", 1, map[string]int{"bytes": 4000}), []mutant{withoutToken}},
		{"Redis is out of memory", kept, outOfMemory, []mutant{withoutNoEviction}},
		{"Redis is read-only", kept, readOnly, []mutant{withoutOutage}},
		{"Redis misses replicas", kept, missesReplicas, []mutant{withoutOutage}},
		{"Redis can't save", kept, cantSave, []mutant{withoutOutage}},
		{"locks are removed by hand", kept, removeLocks, []mutant{withoutOwner}},
		{"indexes are wrong", kept, spoilIndexes, []mutant{withoutLock}},
		{"services restart", kept, restartServices(syscall.SIGTERM), []mutant{withoutRespect}},
		{"services are killed", kept, restartServices(syscall.SIGKILL), []mutant{withoutRespect}},
		{"1,000 clients crash", setting{fsync: "always", crashing: true, devices: 200}, nil, []mutant{withoutGrace, withoutExpiry}},
		{"the master is killed", split, killMaster, []mutant{withoutConfirmation}},
		{"the master's host is lost", split, loseMaster, []mutant{withoutConfirmation}},
		{"the master is cut off", split, cutOffMaster, []mutant{withoutConfirmation}},
		{"the master is stopped and goes on", split, stopMaster, []mutant{withoutConfirmation}},
		{"planned failover, writes paused", ha, planFailover, []mutant{unpaused()}},
	}
}

// limits are what leases do not survive.
func limits() []fault {
	ha := setting{fsync: "everysec", ha: true, confirm: 1, lossy: true, ttl: longerThanFailover, devices: manyDevices, clients: fewClients}
	mixed := ha
	mixed.direct, mixed.mixed = true, true
	return []fault{
		{name: "the master is cut off, and clients ask both sides", setting: mixed, strike: cutOffMaster},
		{name: "planned failover, writes not paused", setting: ha, strike: planFailoverUnpaused},
		{name: "the master and the only replica that has the lease are lost", setting: ha, strike: loseTwo},
		{name: "Redis's clock steps 5 s forward", setting: setting{fsync: "always"}, strike: stepClock},
	}
}
