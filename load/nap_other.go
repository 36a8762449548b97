//go:build !linux

package main

import "time"

// nap waits about as long as it is told.
func nap(d time.Duration) { <-time.After(d) }
