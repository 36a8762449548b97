package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startWithin is how long a program may take until it serves, and stopWithin, to end when it is told to.
const (
	startWithin = 30 * time.Second
	stopWithin  = 10 * time.Second
)

// errEnded is that a program which the driver started ended though nobody told it to.
var errEnded = errors.New("ended by itself")

// child is a program that runs for the driver.
type child struct {
	name    string
	process *os.Process
	serving chan struct{} // closed when it said that it serves
	exited  chan struct{}
	said    []byte // the end of what it said; after exited
}

// startChild starts a program with an environment that is PATH and env alone. serves looks at each line that it says, until it finds
// in one that the program serves.
func startChild(program string, args, env []string, serves func(line []byte) bool) (*child, error) {
	c := &child{name: filepath.Base(program), serving: make(chan struct{}), exited: make(chan struct{})}
	cmd := exec.Command(program, args...) //nolint:gosec,noctx // whoever runs this names the program; stop ends it, gently
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	cmd.SysProcAttr = withDriver()
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = theirs, theirs
	err = cmd.Start()
	_ = theirs.Close() // the child has its own
	if err != nil {
		_ = ours.Close() // nothing was read
		return nil, err
	}
	c.process = cmd.Process
	go func() {
		defer close(c.exited)
		c.listen(ours, serves)
		_ = ours.Close() // it was read
		if err := cmd.Wait(); err != nil {
			c.said = fmt.Appendf(c.said, " (%v)", err)
		}
	}()
	return c, nil
}

// listen reads what the program says, to its end.
func (c *child) listen(from io.Reader, serves func([]byte) bool) {
	const kept = 2 << 10
	lines := bufio.NewReader(from)
	for waiting := true; ; {
		line, err := lines.ReadSlice('\n')
		c.said = append(c.said, line...)
		c.said = c.said[max(0, len(c.said)-kept):]
		if waiting && serves(line) {
			waiting = false
			close(c.serving)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// untilServing waits until the program serves. The error says that it ended, or took too long.
func (c *child) untilServing(ctx context.Context) error {
	late := time.NewTimer(startWithin)
	defer late.Stop()
	select {
	case <-c.serving:
		return nil
	case <-c.exited:
		return c.why()
	case <-late.C:
		return fmt.Errorf("%s does not serve within %s", c.name, startWithin)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// why is an errEnded with the last that the program said; call it after exited.
func (c *child) why() error {
	return fmt.Errorf("%s %w; it said: %s", c.name, errEnded, strings.Join(strings.Fields(string(c.said)), " "))
}

// stop ends the program.
func (c *child) stop() {
	_ = c.process.Signal(syscall.SIGTERM) // it may have ended
	late := time.NewTimer(stopWithin)
	defer late.Stop()
	select {
	case <-c.exited:
	case <-late.C:
		_ = c.process.Kill() // it may have ended
		<-c.exited
	}
}
