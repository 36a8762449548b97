//go:build !unix

package service

// maxOpenFiles is how many files and connections the process may have open at once; 0 when that is not known.
func maxOpenFiles() int { return 0 }
