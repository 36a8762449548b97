// Command leasectl leases test hardware on the command line. Its main use is
//
//	leasectl run -l model=rpi4 -- pytest tests/
//
// which waits for a device, runs the command while it is leased, and gives it back on every path. `leasectl acquire`, `release` and
// `keepalive` do the same in steps, for shells. LEASES_URL or --url says where the service is.
//
// The exit code of run is the command's own, 128+n when signal n ended it; 126 and 127 are a command that can't be run and one that is
// not there. Its own codes are those of sysexits.h that fit:
//
//	64  usage: the command line is wrong
//	66  no token is kept here of the lease that was named, or of any
//	69  the service does not answer
//	70  the service has a defect, or this program has
//	71  the system can't start the command
//	73  the token of the lease can't be kept
//	75  no device in time, or not what wait waits for
//	76  the lease was lost, or is over
//	77  refused: forbidden, or over quota
//	78  never satisfiable: no such device, or the request is invalid
//
// # What run promises
//
// The command runs only while its lease does. When no keepalive gets through, its process group gets TERM so early that there is time
// for an orderly end, at most --kill-after, and KILL when the lease's time is over on the local monotonic clock, which is before the
// service gives the device to anyone else. When the service says that the lease is over, the group gets TERM, and KILL --kill-after later.
// What is left of the process group when the command has ended is ended in the same way before the device is given back; a daemon
// that means to stay has left the group.
//
// When leasectl itself is killed with KILL, the kernel kills the command, too, on Linux; not what that has started. The device is free
// again a TTL, and the service's grace, after the last keepalive.
//
// While leasectl is stopped, nothing keeps the lease alive. Ctrl-Z stops the command first, and leasectl after it; when continued after the
// lease's time, the command is ended instead. Never stop leasectl alone with kill -STOP.
package main

import (
	"context"
	"os"
)

var version = "dev" // set by the linker

func main() {
	os.Exit(run(context.Background(), os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}
