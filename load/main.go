package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintf(os.Stderr, "load: %v\n", err)
	}
	os.Exit(exitCode(err))
}

// What ends a run otherwise than well.
var (
	errUsage       = errors.New("usage")
	errInterrupted = errors.New("interrupted; this is what was measured until then")
	errMissed      = errors.New("the floor was missed")
)

// exitCode is the exit code of the program.
func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 2
	case errors.Is(err, errInterrupted):
		return 130
	}
	return 1
}

// usageError is an error of the command line, the scenario or the choice of the lab.
type usageError struct{ error }

func (usageError) Is(target error) bool { return target == errUsage }

func (e usageError) Unwrap() error { return e.error }

// run does what the command line says: the report goes to stdout, progress to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return usageError{err}
	case o.list:
		return listScenarios(stdout)
	}
	report, err := measure(ctx, o, stderr)
	if report == nil {
		return err
	}
	if err == nil {
		err = report.verdict()
	}
	return errors.Join(err, report.publish(o.out, stdout))
}
