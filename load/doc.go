// Command load puts a lab under load and says whether it held: how fast the services answered, and whether they kept their promises.
//
//	load                                   # 200 keepalives and 20 allocate/release cycles a second, against standalone
//	load -scenario morning -out report.html
//	load -scenario ./mine.yaml -allocator https://lab.example.com -l model=rpi4
//
// A scenario says what is done: leases that are kept alive, cycles of allocate and release, at a rate or all at once, holders that
// die, a rate that rises until the service is slow, or as much as a number of connections can do. -list shows those that are built in, -h
// what a scenario file may say. Without -allocator the driver starts a lab with as many devices as the scenario needs, and stops it at the
// end: standalone, or with -redis redis-server the allocator, the keepalive service and a Redis, which bear many times as much.
//
// # What is measured
//
// The loop is open: each request of a stream leaves at its moment, whatever became of those before, and its latency counts from that
// moment to the end of its answer. A service that stalls is charged with everybody who would have come meanwhile. What a holder does in
// the course of holding, its keepalives and its release, counts from when it is sent. A closed scenario is otherwise: each connection
// sends as soon as it has its answer, which finds out the most there is, and says little of latency.
//
// The latencies of all requests count, also of those that failed; rates are of successes alone. When the driver itself is late or
// short of places, it says so: then the latencies are its own as much as the service's.
//
// # What is checked
//
// The driver keeps books on each device by its own monotonic clock, and in favour of the service. It is certain that a lease lives until the
// sending of the last request that extended it, plus the remaining time that the answer told. It reports
//
//   - a double grant, when a device is granted while another lease certainly has it that was not to be released yet;
//   - a lost lease, when the service says that a lease is over which certainly lives;
//   - a fence regression, when a device is granted with a fence that is not above the one before.
//
// Any of these misses the floor, whatever the scenario says.
//
// # Exit codes
//
//	0    the floor held
//	1    it did not, or the run failed
//	2    the command line or the scenario is wrong, or the lab has too few devices
//	130  interrupted, after writing what was measured
//
// The driver gives back what it holds on every path but being killed; what it can't give back ends by itself within a TTL.
package main
