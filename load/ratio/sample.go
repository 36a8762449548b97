package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// sample is one measurement of a contender.
type sample struct {
	PerSecond    float64 `json:"per_second"`
	P50Ms        float64 `json:"p50_ms"` // of a request
	P99Ms        float64 `json:"p99_ms"`
	ServiceCPUUs float64 `json:"service_cpu_us"` // CPU time that one takes, in user and kernel
	RedisCPUUs   float64 `json:"redis_cpu_us"`
	ClientCPUUs  float64 `json:"load_generator_cpu_us"`
	OtherCores   float64 `json:"other_cores"` // how much of the machine was busy with what does not belong to the run
}

// measure measures a contender.
func (b *bench) measure(ctx context.Context, c contender, seconds int) (sample, error) {
	if c.lab != nil {
		if err := c.lab.alone(); err != nil {
			return sample{}, err
		}
	}
	before, err := b.usageOf(c.service, c.redis)
	if err != nil {
		return sample{}, err
	}
	start := time.Now()
	t, err := c.run(ctx, seconds)
	if err = errors.Join(err, b.alive()); err != nil {
		return sample{}, c.explain(err)
	}
	took := time.Since(start)
	after, err := b.usageOf(c.service, c.redis)
	if err != nil {
		return sample{}, err
	}
	return newSample(t, after.since(before), c.perUnit, took), c.settle(ctx, t)
}

// explain adds to an error what the servers complained about last.
func (c contender) explain(err error) error {
	for _, s := range []*server{c.service, c.redis} {
		if s != nil {
			err = fmt.Errorf("%w; %s said: %s", err, s.name, s.complaint())
		}
	}
	return fmt.Errorf("%s: %w", c.name, err)
}

// settle does what is to be done after a run.
func (c contender) settle(ctx context.Context, t traffic) error {
	if c.tidy != nil {
		if err := c.tidy(ctx, t); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	if c.service == nil {
		return nil
	}
	return c.service.forgetOutput()
}

// newSample puts together what the load generator says, and what was taken in the time that it took.
func newSample(t traffic, taken usage, perUnit int, took time.Duration) sample {
	units := float64(t.requests) / float64(perUnit)
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / units }
	others := taken.machine - taken.ours - t.cpu
	return sample{
		PerSecond: units / t.took.Seconds(), P50Ms: inMilliseconds(t.p50), P99Ms: inMilliseconds(t.p99),
		ServiceCPUUs: each(taken.service), RedisCPUUs: each(taken.redis), ClientCPUUs: each(t.cpu),
		OtherCores: max(0, others.Seconds()/took.Seconds()),
	}
}

func inMilliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
