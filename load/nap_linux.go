package main

import (
	"syscall"
	"time"
)

// nap waits about as long as it is told, to some 50 µs; a signal may end it early.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil) // the caller looks at the clock
}
