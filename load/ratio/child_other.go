//go:build !linux

package main

import (
	"errors"
	"os"
	"syscall"
)

func withParent() *syscall.SysProcAttr { return nil }

func pause(*os.Process) error { return errors.ErrUnsupported }

func resume(*os.Process) error { return errors.ErrUnsupported }
