package api

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
)

// Health says whether a service is to be sent requests. A new one is not ready.
type Health struct {
	obstacle atomic.Pointer[string]
	stop     sync.Once
	stopping chan struct{}
}

// NewHealth returns a Health that is not ready because it starts.
func NewHealth() *Health {
	h := &Health{stopping: make(chan struct{})}
	h.SetNotReady("starting")
	return h
}

// SetReady says that the service can serve.
func (h *Health) SetReady() { h.obstacle.Store(nil) }

// SetNotReady says why it can't.
func (h *Health) SetNotReady(why string) { h.obstacle.Store(&why) }

// SetStopping says that the service ends: it is never ready again, and whoever waits in a request is to be answered now.
func (h *Health) SetStopping() { h.stop.Do(func() { close(h.stopping) }) }

// Stopping is closed when the service ends.
func (h *Health) Stopping() <-chan struct{} { return h.stopping }

// Obstacle says why the service can't serve, "" when it can.
func (h *Health) Obstacle() string {
	select {
	case <-h.stopping:
		return "stopping"
	default:
	}
	if why := h.obstacle.Load(); why != nil {
		return *why
	}
	return ""
}

// pause is a pool of which nothing is leased for now.
type pause struct {
	Pool   string    `json:"pool"`
	Until  time.Time `json:"until_time"`
	Reason string    `json:"reason"`
}

// pauses lists pools with until when they are paused, by name. A service with such is ready: keepalives, reads and releases go on.
func pauses(paused map[string]time.Time) []pause {
	var list []pause
	for _, pool := range slices.Sorted(maps.Keys(paused)) {
		list = append(list, pause{pool, paused[pool].UTC().Truncate(time.Second), "the lease store lost its state"})
	}
	return list
}

// handler answers 200 when the service is ready and the store answers, with what is paused; else 503 and why.
func (h *Health) handler(store Pinger) gin.HandlerFunc {
	return func(c *gin.Context) {
		why := h.Obstacle()
		if why == "" && store.Ping(c.Request.Context()) != nil {
			why = "the lease store does not answer"
		}
		if why != "" {
			c.JSON(http.StatusServiceUnavailable, gin.H{"ready": false, "reason": why})
			return
		}
		answer := gin.H{"ready": true}
		if paused := pauses(store.Pauses()); paused != nil {
			answer["grants_paused"] = paused
		}
		c.JSON(http.StatusOK, answer)
	}
}
