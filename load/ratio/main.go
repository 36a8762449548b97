// Command ratio says how fast the services are in terms of what they are made of: it runs, one after the other and in turns, Gin
// answering a fixed JSON, the keepalive service, the allocator, and Redis running the keepalive script alone, all on one machine in
// one run, and prints how they compare. Such ratios mean the same on every machine; requests per second do not.
//
// It runs the programs as they are shipped, with their default configuration, over a Redis configured as the Compose stack's. It
// needs Linux, and wrk, redis-server and redis-benchmark; what it starts listens on loopback, and is gone when it ends.
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
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "ratio: %v\n", err)
		os.Exit(1)
	}
}

// run measures, and writes the report to stdout and progress to stderr. A missed target is an error only when that is asked for.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 1 && args[0] == ginCommand {
		return serveGin(ctx, stdout)
	}
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	r, err := measureAll(ctx, o, stderr)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil {
		return err
	}
	if err := r.write(stdout); err != nil {
		return err
	}
	if o.json != "" {
		if err := r.writeJSON(o.json); err != nil {
			return err
		}
	}
	if n := r.missed(); o.check && n > 0 {
		return fmt.Errorf("targets missed: %d", n)
	}
	return nil
}

// measureAll measures the chosen sets. Whatever it started has ended when it returns.
func measureAll(ctx context.Context, o options, progress io.Writer) (*report, error) {
	b, err := newBench(ctx, o, progress)
	if err != nil {
		return nil, err
	}
	defer b.close()
	for _, s := range o.sets {
		if err := s.run(b.ctx, b); err != nil {
			return nil, fmt.Errorf("set %s: %w", s.name, err)
		}
	}
	return b.report, nil
}
