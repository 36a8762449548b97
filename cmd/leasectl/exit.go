package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os/exec"
	"syscall"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// The exit codes; see the package's comment.
const (
	exitUsage       = 64
	exitNoInput     = 66
	exitUnavailable = 69
	exitSoftware    = 70
	exitSystem      = 71
	exitCantCreate  = 73
	exitNoDevice    = 75
	exitLost        = 76
	exitRefused     = 77
	exitNever       = 78
	exitNotRunnable = 126
	exitNotFound    = 127
	exitSignal      = 128 // and the number of the signal
)

const exitCodes = `Exit codes:
  64   usage: the command line is wrong
  66   no token is kept here of the lease that was named, or of any
  69   the service does not answer
  70   the service has a defect, or this program has
  71   the system can't start the command
  73   the token of the lease can't be kept
  75   no device in time, or not what wait waits for
  76   the lease was lost, or is over
  77   refused: forbidden, or over quota
  78   never satisfiable: no such device, or the request is invalid
  126  run: the command can't be run
  127  run: there is no such command
  128+n  ended by signal n: 130 Ctrl-C, 143 TERM
Any other is that of the command of run.`

// failure is why the program ends with another exit code than 0. The message is one line, which says what to do; "" when there is
// nothing to say.
type failure struct {
	code    int
	message string
}

func (f *failure) Error() string { return f.message }

// signalled is the cause of a context that a signal ended.
type signalled struct{ signal syscall.Signal }

func (s *signalled) Error() string { return s.signal.String() }

// failed makes an error of the client a failure.
func (a *app) failed(err error) *failure {
	var f *failure
	var s *signalled
	var e *lease.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &s):
		return &failure{exitSignal + int(s.signal), s.Error() + ": gave up waiting"}
	case errors.Is(err, client.ErrLapsed):
		return &failure{exitLost, err.Error()}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &failure{exitUnavailable, err.Error()}
	case errors.As(err, &e):
		return a.refused(e, err)
	}
	return a.strange(err)
}

// strange is the failure of an answer that no allocator gives.
func (a *app) strange(err error) *failure {
	return &failure{exitUnavailable, fmt.Sprintf("%v; is %s the lease service? Set LEASES_URL or --url", err, a.url)}
}

// refused makes an answer of the service a failure that says what to do.
func (a *app) refused(e *lease.Error, err error) *failure {
	switch e.Code {
	case lease.CodeUnavailable:
		return &failure{exitUnavailable, fmt.Sprintf("%s: %s; start the service there, or set LEASES_URL or --url", a.url, reason(e))}
	case lease.CodeNotReplicated:
		return &failure{exitUnavailable, e.Message + "; if that goes on, the replicas of Redis are down: tell whoever runs the lab"}
	case lease.CodeOverloaded:
		return &failure{exitUnavailable, e.Message + "; if that goes on, the service has too much to do: tell whoever runs the lab"}
	case lease.CodeNoneFree:
		return &failure{exitNoDevice, e.Message + "; wait longer with --wait-timeout, or try again later"}
	case lease.CodeQuota:
		return &failure{exitRefused, e.Message + "; release a lease of yours, or ask for less"}
	case lease.CodeForbidden:
		return &failure{exitRefused, e.Message + "; acquire another lease"}
	case lease.CodeNoMatch:
		return &failure{exitNever, inField(e) + "; --explain tells what each label matches, leasectl get devices what there is"}
	case lease.CodeInvalid, lease.CodeConflict:
		return &failure{exitNever, inField(e) + "; correct the request"}
	case lease.CodeNotFound, lease.CodeEnded:
		return &failure{exitLost, e.Message + "; acquire another lease"}
	}
	return &failure{exitSoftware, fmt.Sprintf("%v; the log of the service at %s says more", err, a.url)}
}

// inField is the message of an error, with the part of the request that it is about.
func inField(e *lease.Error) string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// reason is the message and the cause of an error, without the request that net/http puts before it.
func reason(err error) string {
	var e *lease.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	var u *url.Error
	switch {
	case errors.As(e.Cause, &u):
		return e.Message + ": " + u.Err.Error()
	case e.Cause != nil:
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// find finds a command as a shell does.
func find(command string) (path string, err error) {
	if path, err = exec.LookPath(command); err != nil {
		return "", unstartable(command, err)
	}
	return path, nil
}

// unstartable is the failure of a command that can't be started.
func unstartable(command string, err error) *failure {
	why := err
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		why = inner
	}
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return &failure{exitNotFound, command + ": no such command; check its name and PATH"}
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM):
		return &failure{exitSystem, fmt.Sprintf("%s: the system can't start it now: %v", command, why)}
	}
	return &failure{exitNotRunnable, fmt.Sprintf("%s can't be run: %v", command, why)}
}
