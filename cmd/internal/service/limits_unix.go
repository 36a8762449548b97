//go:build unix

package service

import (
	"errors"
	"syscall"
)

// maxOpenFiles is how many files and connections the process may have open at once; 0 when that is not known. The Go runtime has raised
// it to the hard limit at the start.
func maxOpenFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<20))
}

// limitReceived bounds how many bytes the kernel keeps of each connection that are not read yet. The connections that a socket accepts
// have its setting: socket(7).
func limitReceived(_, _ string, socket syscall.RawConn) error {
	var failed error
	err := socket.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, received)
	})
	return errors.Join(err, failed)
}
