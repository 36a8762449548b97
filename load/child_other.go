//go:build !linux

package main

import "syscall"

// withDriver can do nothing here: Ctrl-C ends a child with the driver.
func withDriver() *syscall.SysProcAttr { return nil }
