//go:build unix

package service

import "syscall"

// maxOpenFiles is how many files and connections the process may have open at once; 0 when that is not known. The Go runtime has raised
// it to the hard limit at the start.
func maxOpenFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<20))
}
