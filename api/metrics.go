package api

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type httpMetrics struct {
	duration *prometheus.HistogramVec
	known    sync.Map // of kind: those of duration that were used before
}

// kind is what requests are told apart by.
type kind struct {
	method, route string
	status        int
}

func newHTTPMetrics(reg prometheus.Registerer) *httpMetrics {
	return &httpMetrics{duration: promauto.With(reg).NewHistogramVec(prometheus.HistogramOpts{
		Name: "lease_http_request_duration_seconds", Help: "How long requests took, by route template.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13), // 0.5 ms to 2 s
	}, []string{"method", "route", "status"})}
}

func (m *httpMetrics) observe(verb, route string, status int, took time.Duration) {
	k := kind{method(verb), route, status}
	observer, ok := m.known.Load(k)
	if !ok {
		observer, _ = m.known.LoadOrStore(k, m.duration.WithLabelValues(k.method, k.route, strconv.Itoa(k.status)))
	}
	observer.(prometheus.Observer).Observe(took.Seconds())
}

// method keeps the methods that clients make up out of metrics and logs.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}
