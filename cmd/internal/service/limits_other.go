//go:build !unix

package service

import "syscall"

// maxOpenFiles is how many files and connections the process may have open at once; 0 when that is not known.
func maxOpenFiles() int { return 0 }

// limitReceived would bound how many bytes the kernel keeps of each connection.
func limitReceived(string, string, syscall.RawConn) error { return nil }
