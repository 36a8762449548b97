package main

import "syscall"

// withDriver has a child killed when the driver ends without having stopped it, and keeps Ctrl-C from it: the driver stops it when all
// leases are given back.
func withDriver() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
