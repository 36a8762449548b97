package store

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/automation-infra/automation-infra/lease"
)

type metrics struct {
	duration *prometheus.HistogramVec
	ended    *prometheus.CounterVec
	hold     *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lease_redis_duration_seconds", Help: "How long calls to Redis took.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 13), // 0.25 ms to 1 s
		}, []string{"operation", "result"}),
		ended: f.NewCounterVec(prometheus.CounterOpts{
			Name: "lease_ended_total", Help: "Leases that this process saw end, by why they ended.",
		}, []string{"pool", "reason"}),
		hold: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lease_hold_seconds", Help: "How long leases were held.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 9), // 1 s to 18 h
		}, []string{"pool"}),
	}
}

func (m *metrics) called(operation string, took time.Duration, err error) {
	result := "ok"
	var e *lease.Error
	if errors.As(err, &e) {
		result = string(e.Code)
	}
	m.duration.WithLabelValues(operation, result).Observe(took.Seconds())
}

func (m *metrics) leasesEnded(pool string, ended []endedLease) {
	for _, l := range ended {
		m.ended.WithLabelValues(pool, string(l.reason)).Inc()
		m.hold.WithLabelValues(pool).Observe(l.held.Seconds())
	}
}

// deviceCollector counts devices when it is asked.
type deviceCollector struct {
	store     *Store
	inventory func() *lease.Inventory
	devices   *prometheus.Desc
	up        *prometheus.Desc
}

// DeviceCollector returns the metrics lease_devices{pool,state}, read from Redis at each scrape, and lease_store_up. Every
// process reports the same numbers; aggregate them with max.
func (s *Store) DeviceCollector(inventory func() *lease.Inventory) prometheus.Collector {
	return &deviceCollector{
		store: s, inventory: inventory,
		devices: prometheus.NewDesc("lease_devices", "Devices of the inventory by what can be done with them.", []string{"pool", "state"}, nil),
		up:      prometheus.NewDesc("lease_store_up", "Whether Redis answered when this was scraped.", nil, nil),
	}
}

func (c *deviceCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.devices
	out <- c.up
}

func (c *deviceCollector) Collect(out chan<- prometheus.Metric) {
	up := 1.0
	inv := c.inventory()
	for _, name := range inv.Pools() {
		counts, err := c.store.countDevices(context.Background(), inv.Pool(name))
		if err != nil {
			up = 0
			break
		}
		for state, n := range counts {
			out <- prometheus.MustNewConstMetric(c.devices, prometheus.GaugeValue, float64(n), name, string(state))
		}
	}
	out <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, up)
}
