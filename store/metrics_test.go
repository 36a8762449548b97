package store_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// metrics reads a registry: metrics by name and labels, as "name{a=b,c=d}".
func metrics(t testing.TB, reg prometheus.Gatherer) map[string]*dto.Metric {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*dto.Metric{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, pair := range m.GetLabel() {
				labels = append(labels, pair.GetName()+"="+pair.GetValue())
			}
			found[fmt.Sprintf("%s{%s}", family.GetName(), strings.Join(labels, ","))] = m
		}
	}
	return found
}

// Each lease that ends is counted once, by why it ended, with how long it was held: by the process that notices.
func TestEndedLeasesAreCounted(t *testing.T) {
	held := map[lease.Reason]time.Duration{
		lease.ReasonReleased: 0, lease.ReasonExpired: ttl + grace, lease.ReasonDeadline: 2*ttl + grace, lease.ReasonRevoked: 0,
	}
	for _, ending := range endings {
		t.Run(string(ending.reason), func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
				reg := prometheus.NewRegistry()
				l := newLabWith(t, r, store.Options{Registerer: reg}, device("a", ""))
				id := l.grant(t, lease.Request{MaxHold: 2 * ttl}).ID
				ending.end(t, l, id)
				for range 2 {
					l.reconcile(t, device("a", ""))
					l.reap(t)
				}
				all := metrics(t, reg)
				ended := all["lease_ended_total{pool=default,reason="+string(ending.reason)+"}"]
				if ended.GetCounter().GetValue() != 1 {
					t.Errorf("lease_ended_total %v, want 1", ended)
				}
				hold := all["lease_hold_seconds{pool=default}"].GetHistogram()
				got := time.Duration(hold.GetSampleSum() * float64(time.Second))
				if hold.GetSampleCount() != 1 || !l.about(got, held[ending.reason]) {
					t.Errorf("held %s (%d times), want %s once", got, hold.GetSampleCount(), held[ending.reason])
				}
			})
		})
	}
}

// Every call to Redis is timed, by what it was and how it went.
func TestRedisCallsAreTimed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		reg := prometheus.NewRegistry()
		l := newLabWith(t, r, store.Options{Registerer: reg}, device("a", ""))
		id := l.take(t, "a").ID
		l.renew(t, id)
		l.renew(t, id)
		const timed = "lease_redis_duration_seconds"
		for name, want := range map[string]uint64{
			timed + "{operation=register,result=ok}": 1, timed + "{operation=allocate,result=ok}": 1,
			timed + "{operation=keepalive,result=ok}": 2, timed + "{operation=keepalive,result=store_unavailable}": 0,
		} {
			if got := metrics(t, reg)[name].GetHistogram().GetSampleCount(); got != want {
				t.Errorf("%s: %d calls, want %d", name, got, want)
			}
		}
	})
}

func TestRefusedCallsAreTimed(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	s := store.New(storetest.Client(t, storetest.FreeAddr(t)), store.Options{Registerer: reg})
	wantCode(t, s.Ping(t.Context()), lease.CodeUnavailable)
	got := metrics(t, reg)["lease_redis_duration_seconds{operation=ping,result=store_unavailable}"]
	if got.GetHistogram().GetSampleCount() != 1 {
		t.Errorf("%v, want one call", got)
	}
}

// A scrape tells the devices of each pool by state, read from Redis, so that every process tells the same.
func TestDevicesAreCounted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, device("a", "x"), device("b", "x"), device("c", "y"), device("d", ""))
		l.grant(t, selecting("model=x"))
		l.maintenance(t, "c", true)
		collector := l.Collector(func() *lease.Inventory { return l.inventory })
		wantGauges(t, collector, map[string]float64{
			"lease_devices{pool=default,state=free}":        2,
			"lease_devices{pool=default,state=leased}":      1,
			"lease_devices{pool=default,state=maintenance}": 1,
			"lease_queue_length{pool=default}":              0,
			"lease_queue_oldest_seconds{pool=default}":      0,
			"lease_store_up{}":                              1,
		})
	})
}

// When Redis is down, a scrape says so instead of counting devices wrongly.
func TestScrapeOfAnOutage(t *testing.T) {
	t.Parallel()
	inventory := inventoryOf(device("a", ""))
	s := store.New(storetest.Client(t, storetest.FreeAddr(t)), store.Options{})
	wantGauges(t, s.Collector(func() *lease.Inventory { return inventory }), map[string]float64{"lease_store_up{}": 0})
}

// wantGauges fails unless a collector has these gauges and no others.
func wantGauges(t testing.TB, c prometheus.Collector, want map[string]float64) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(c)
	got := map[string]float64{}
	for name, m := range metrics(t, reg) {
		got[name] = m.GetGauge().GetValue()
	}
	if !maps.Equal(got, want) {
		t.Errorf("gauges %v, want %v", got, want)
	}
}
