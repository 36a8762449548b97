package main

import (
	"cmp"
	"context"
	"errors"
	"io"
)

// measure runs the scenario against its lab. The report is nil when nothing was measured; with an error it is of the time until then.
func measure(ctx context.Context, o options, stderr io.Writer) (*report, error) {
	at := o.lab
	if at.allocator == "" {
		started, err := startLab(ctx, o.programs, o.scenario.devices)
		if err != nil {
			return nil, interruptedOr(ctx, err)
		}
		defer started.stop()
		guarded, done := started.guard(ctx)
		defer done()
		ctx, at = guarded, started.lab
	}
	at.about = cmp.Or(at.about, at.allocator)
	transport := newTransport()
	defer transport.CloseIdleConnections()
	d := newDriver(o.scenario, at, transport, precisely)
	return d.measure(ctx, stderr)
}

// measure runs the scenario, shows progress, and reports.
func (d *driver) measure(ctx context.Context, stderr io.Writer) (*report, error) {
	stop := d.showProgress(stderr)
	err := d.drive(ctx)
	stop()
	if cause := context.Cause(ctx); errors.Is(cause, errEnded) {
		err = cause // it was not a person who interrupted
	}
	if !d.recorder.begun() {
		return nil, err
	}
	return d.report(), err
}
