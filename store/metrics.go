package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/automation-infra/automation-infra/lease"
)

type metrics struct {
	duration *prometheus.HistogramVec
	ok       sync.Map // of operation: that of duration for calls that succeeded
	grants   *prometheus.CounterVec
	wait     *prometheus.HistogramVec
	ended    *prometheus.CounterVec
	hold     *prometheus.HistogramVec
	paused   *prometheus.GaugeVec
	losses   *prometheus.CounterVec
	jumps    *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lease_redis_duration_seconds", Help: "How long calls to Redis took.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 13), // 0.25 ms to 1 s
		}, []string{"operation", "result"}),
		grants: f.NewCounterVec(prometheus.CounterOpts{
			Name: "lease_grants_total", Help: "Leases that this process granted, also to who waited at another.",
		}, []string{"pool"}),
		wait: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lease_wait_seconds", Help: "How long leases waited in line until they were granted.",
			Buckets: append([]float64{0}, prometheus.ExponentialBuckets(0.25, 4, 9)...), // at once, 0.25 s to 4.5 h
		}, []string{"pool"}),
		ended: f.NewCounterVec(prometheus.CounterOpts{
			Name: "lease_ended_total", Help: "Leases that this process saw end, by why they ended.",
		}, []string{"pool", "reason"}),
		hold: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lease_hold_seconds", Help: "How long leases were held.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 9), // 1 s to 18 h
		}, []string{"pool"}),
		paused: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "lease_grants_paused_seconds", Help: "How much longer nothing of a pool is leased because Redis lost its state; 0 when grants go on.",
		}, []string{"pool"}),
		losses: f.NewCounterVec(prometheus.CounterOpts{
			Name: "lease_store_losses_total", Help: "How often this process saw that Redis had lost the state of a pool.",
		}, []string{"pool"}),
		jumps: f.NewCounterVec(prometheus.CounterOpts{
			Name: "lease_store_clock_jumps_total", Help: "How often Redis's clock jumped by over a second against this process's, by direction.",
		}, []string{"direction"}),
	}
	m.jumps.WithLabelValues(forward)
	m.jumps.WithLabelValues(backward)
	return m
}

// forward and backward are where Redis's clock may jump.
const forward, backward = "forward", "backward"

// jumped counts a jump of Redis's clock.
func (m *metrics) jumped(by time.Duration) {
	direction := forward
	if by < 0 {
		direction = backward
	}
	m.jumps.WithLabelValues(direction).Inc()
}

// guarded says how much longer grants of a pool are paused, and counts a loss of its state.
func (m *metrics) guarded(pool string, paused time.Duration, lost bool) {
	m.paused.WithLabelValues(pool).Set(paused.Seconds())
	losses := m.losses.WithLabelValues(pool)
	if lost {
		losses.Inc()
	}
}

func (m *metrics) called(operation string, took time.Duration, err error) {
	var e *lease.Error
	if errors.As(err, &e) {
		m.duration.WithLabelValues(operation, string(e.Code)).Observe(took.Seconds())
		return
	}
	ok, known := m.ok.Load(operation)
	if !known {
		ok, _ = m.ok.LoadOrStore(operation, m.duration.WithLabelValues(operation, "ok"))
	}
	ok.(prometheus.Observer).Observe(took.Seconds())
}

// report counts what a script did.
func (m *metrics) report(pool string, r reply) {
	for _, wait := range r.waited {
		m.grants.WithLabelValues(pool).Inc()
		m.wait.WithLabelValues(pool).Observe(max(0, wait).Seconds()) // Redis's clock may have gone back
	}
	for _, l := range r.ended {
		m.ended.WithLabelValues(pool, string(l.reason)).Inc()
		if l.held >= 0 {
			m.hold.WithLabelValues(pool).Observe(l.held.Seconds())
		}
	}
}

// collector counts devices and who waits for them when it is asked.
type collector struct {
	store     *Store
	inventory func() *lease.Inventory
	devices   *prometheus.Desc
	queue     *prometheus.Desc
	oldest    *prometheus.Desc
	up        *prometheus.Desc
}

// Collector returns the metrics lease_devices{pool,state}, lease_queue_length{pool} and lease_queue_oldest_seconds{pool}, read
// from Redis at each scrape, and lease_store_up. Every process reports the same numbers; aggregate them with max.
func (s *Store) Collector(inventory func() *lease.Inventory) prometheus.Collector {
	pool := []string{"pool"}
	return &collector{
		store: s, inventory: inventory,
		devices: prometheus.NewDesc("lease_devices", "Devices of the inventory by what can be done with them.", []string{"pool", "state"}, nil),
		queue:   prometheus.NewDesc("lease_queue_length", "Leases that wait in line.", pool, nil),
		oldest:  prometheus.NewDesc("lease_queue_oldest_seconds", "How long the one that has waited the longest has; 0 when none waits.", pool, nil),
		up:      prometheus.NewDesc("lease_store_up", "Whether Redis answered when this was scraped.", nil, nil),
	}
}

func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{c.devices, c.queue, c.oldest, c.up} {
		out <- desc
	}
}

func (c *collector) Collect(out chan<- prometheus.Metric) {
	up := 1.0
	inv := c.inventory()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	for _, name := range inv.Pools() {
		counts, err := c.store.count(context.Background(), inv.Pool(name))
		if err != nil {
			up = 0
			break
		}
		for state, n := range counts.devices {
			gauge(c.devices, float64(n), name, string(state))
		}
		gauge(c.queue, float64(counts.waiting), name)
		gauge(c.oldest, counts.oldest.Seconds(), name)
	}
	gauge(c.up, up)
}
