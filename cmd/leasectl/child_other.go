//go:build !unix

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// forwarded are the signals that are for the command. Here, the system sends them to it, too.
func forwarded() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

// child is the command. There are no process groups here: what it has started is left alone.
type child struct {
	process  *os.Process
	changes  chan change
	terminal *terminal
}

// change is that the command has ended.
type change struct {
	stopped bool // never
	code    int
}

// terminal is not lent here.
type terminal struct{}

func (*terminal) take() {}

func startChild(std streams, path string, args, env []string) (*child, error) {
	cmd := &exec.Cmd{Path: path, Args: args, Env: env, Stdin: std.in, Stdout: std.out, Stderr: std.err}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{process: cmd.Process, changes: make(chan change, 1)}
	go func() {
		_ = cmd.Wait() // its exit code is in ProcessState
		c.changes <- change{code: cmd.ProcessState.ExitCode()}
	}()
	return c, nil
}

func (c *child) signal(s os.Signal) { _ = c.process.Signal(s) } // it may have ended

func (c *child) terminate() { c.kill() }

func (c *child) kill() { _ = c.process.Kill() } // it may have ended

func (c *child) leftovers() bool { return false }

func (c *child) stopAlong(<-chan struct{}) {}
