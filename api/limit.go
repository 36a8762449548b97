package api

import (
	"context"
	"sync/atomic"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/automation-infra/automation-infra/lease"
)

// What Options.MaxRequests and AllocatorOptions.MaxWaiting are when they are 0.
const (
	defaultMaxRequests = 1000
	defaultMaxWaiting  = 5000
)

// limit bounds how many requests do something at once.
type limit struct {
	most int64
	now  atomic.Int64
	full prometheus.Counter // requests that found no room
}

// limits makes the limits of a service, whose metrics they share.
type limits struct {
	factory promauto.Factory
	full    *prometheus.CounterVec
}

func newLimits(reg prometheus.Registerer) *limits {
	f := promauto.With(reg)
	return &limits{f, f.NewCounterVec(prometheus.CounterOpts{
		Name: "lease_overload_total", Help: "Requests that came when there were as many as may be: refused for limit requests, not let wait for limit waiting.",
	}, []string{"limit"})}
}

// limit returns a limit; a gauge tells how many requests are within it.
func (s *limits) limit(name string, most int, gauge, help string) *limit {
	l := &limit{most: int64(most), full: s.full.WithLabelValues(name)}
	s.factory.NewGaugeFunc(prometheus.GaugeOpts{Name: gauge, Help: help}, func() float64 { return float64(l.now.Load()) })
	return l
}

// enter takes a place; false when there is none, and nothing to leave.
func (l *limit) enter() bool {
	if l.now.Add(1) <= l.most {
		return true
	}
	l.now.Add(-1)
	l.full.Inc()
	return false
}

// leave gives a place up.
func (l *limit) leave() { l.now.Add(-1) }

// admit serves requests within the limit, and refuses all others at once.
func (l *limit) admit(ew *errorWriter) gin.HandlerFunc {
	return func(c *gin.Context) {
		if !l.enter() {
			ew.write(c, ew.problem(c.Request.Context(), &lease.Error{Code: lease.CodeOverloaded, Message: "too many requests are under way here; nothing was done, try again"}))
			return
		}
		if c.Request.URL.RawQuery == "" { // it does not wait in line
			defer l.leave()
			c.Next()
			return
		}
		p := &place{limit: l}
		defer p.leave()
		c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), placeKey{}, p))
		c.Next()
	}
}

// place is that of a request within a limit, which it may leave before it is answered.
type place struct {
	limit *limit
	left  bool
}

type placeKey struct{}

func (p *place) leave() {
	if !p.left {
		p.left = true
		p.limit.leave()
	}
}

// leavePlace leaves the place of the request with this context.
func leavePlace(ctx context.Context) {
	if p, ok := ctx.Value(placeKey{}).(*place); ok {
		p.leave()
	}
}
