//go:build unix && !linux

package main

import "syscall"

// dieWithParent can't be had here.
func dieWithParent(*syscall.SysProcAttr) {}
