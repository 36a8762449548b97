//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal is the terminal that stdin is, or none.
type terminal struct {
	fd     int // -1 for none
	before *term.State
	lentTo int // the process group that it was lent to; 0 for none
}

func openTerminal(in *os.File) *terminal {
	t := &terminal{fd: -1}
	if fd := int(in.Fd()); term.IsTerminal(fd) {
		t.fd = fd
		t.before, _ = term.GetState(fd) // restored if known
	}
	return t
}

// ours reports whether this process is in the foreground of the terminal.
func (t *terminal) ours() bool { return t.fd >= 0 && t.foreground() == syscall.Getpgrp() }

func (t *terminal) foreground() int {
	group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	if err != nil {
		return -1
	}
	return group
}

// lend makes a process group the foreground, if this process is, or if the group has made itself so already.
func (t *terminal) lend(group int) {
	if t.fd < 0 {
		return
	}
	if t.ours() {
		t.give(group)
	}
	if t.foreground() == group {
		t.lentTo = group
	}
}

// take takes the terminal back from whom it was lent to, as it was before.
func (t *terminal) take() {
	if t.lentTo == 0 || t.foreground() != t.lentTo {
		return
	}
	t.give(syscall.Getpgrp())
	t.lentTo = 0
	if t.before != nil {
		_ = term.Restore(t.fd, t.before) // it is the shell's again
	}
}

// give makes a process group the foreground. The system would stop who does so from the background.
func (t *terminal) give(group int) {
	signal.Ignore(syscall.SIGTTOU)
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group) // it may have ended
}
