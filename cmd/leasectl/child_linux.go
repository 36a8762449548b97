package main

import "syscall"

// dieWithParent has the kernel kill a process when the thread that starts it ends.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
