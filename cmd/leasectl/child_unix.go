//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// forwarded are the signals that are for the command.
func forwarded() []os.Signal {
	return []os.Signal{
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH,
		syscall.SIGALRM,
	}
}

// child is the command, and the process group that it leads.
type child struct {
	group    int         // its process group, and the process that leads it
	changes  chan change // each stop, and at last its end
	terminal *terminal
}

// change is that the command was stopped by job control, or has ended.
type change struct {
	stopped bool
	code    int // when it has ended: its exit code, or 128+n when signal n ended it
}

// startChild starts a command. One that may use the terminal becomes its foreground.
func startChild(std streams, path string, args, env []string) (*child, error) {
	c := &child{changes: make(chan change, 1), terminal: openTerminal(std.in)}
	cmd := &exec.Cmd{Path: path, Args: args, Env: env, Stdin: std.in, Stdout: std.out, Stderr: std.err, SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}
	if c.terminal.ours() {
		cmd.SysProcAttr.Foreground, cmd.SysProcAttr.Ctty = true, c.terminal.fd
	}
	dieWithParent(cmd.SysProcAttr)
	started := make(chan error)
	go c.follow(cmd, started)
	if err := <-started; err != nil {
		if cmd.SysProcAttr.Foreground {
			c.terminal.give(syscall.Getpgrp()) // it may have got so far
		}
		return nil, err
	}
	c.catchStops()
	return c, nil
}

// follow starts the command and waits for it, all on one thread: Linux takes the end of the thread that started a process for the end of
// its parent (prctl(2), PR_SET_PDEATHSIG).
func (c *child) follow(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	if err == nil {
		c.group = cmd.Process.Pid
		c.terminal.lend(c.group)
	}
	started <- err
	for err == nil {
		var w syscall.WaitStatus
		if _, err = syscall.Wait4(c.group, &w, syscall.WUNTRACED, nil); errors.Is(err, syscall.EINTR) {
			err = nil
			continue
		}
		switch {
		case err != nil:
			c.changes <- change{code: exitSystem}
		case w.Stopped():
			if byJobControl(w.StopSignal()) {
				c.changes <- change{stopped: true}
			}
		default:
			c.changes <- change{code: code(w)}
			return
		}
	}
}

// code is the exit code of a process, as shells have it.
func code(w syscall.WaitStatus) int {
	if w.Signaled() {
		return exitSignal + int(w.Signal())
	}
	return w.ExitStatus()
}

// byJobControl tells Ctrl-Z, and reading the terminal from the background, from what a debugger does.
func byJobControl(s syscall.Signal) bool {
	return s == syscall.SIGTSTP || s == syscall.SIGTTIN || s == syscall.SIGTTOU
}

// signal hands a signal on to the group.
func (c *child) signal(s os.Signal) {
	_ = syscall.Kill(-c.group, s.(syscall.Signal)) // it may have ended
}

// terminate asks the group to end, also if it is stopped.
func (c *child) terminate() {
	c.signal(syscall.SIGTERM)
	c.signal(syscall.SIGCONT)
}

func (c *child) kill() { c.signal(syscall.SIGKILL) }

// leftovers reports whether anything is left of the group. It buries those of it whose parents are gone, where that falls to this process.
func (c *child) leftovers() bool {
	for {
		if pid, err := syscall.Wait4(-c.group, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
			break
		}
	}
	return !errors.Is(syscall.Kill(-c.group, 0), syscall.ESRCH)
}

// catchStops hands Ctrl-Z on to the command when the terminal sends it here: the command has to be stopped first.
func (c *child) catchStops() {
	if signal.Ignored(syscall.SIGTSTP) {
		return
	}
	stops := make(chan os.Signal, 1)
	signal.Notify(stops, syscall.SIGTSTP)
	go func() {
		for s := range stops {
			c.signal(s)
		}
	}()
}

// stopAlong stops this process and the others of its job, as the command was stopped, until the shell continues them, and continues the
// command then. Nothing keeps the lease alive in that time; should it be over, that is found out first, and the command stays stopped.
func (c *child) stopAlong(lost <-chan struct{}) {
	const soon = 100 * time.Millisecond
	c.terminal.take()
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	defer signal.Stop(continued)
	_ = syscall.Kill(0, syscall.SIGTTIN) // stops ourselves; TSTP does no more, once Go's runtime has caught it
	select {
	case <-continued:
	case <-time.After(soon): // nobody would continue us, so that the system does not stop us
	}
	select {
	case <-lost:
		return
	case <-time.After(soon): // time enough for a timer of the lease that was due
	}
	c.terminal.lend(c.group)
	c.signal(syscall.SIGCONT)
}
