package main

import (
	"os"
	"syscall"
)

// withParent has a child killed when this program ends without having done so.
func withParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// pause has a process stand still until resume.
func pause(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

// resume has a paused process go on.
func resume(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
