package api

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"path"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/automation-infra/automation-infra/lease"
)

// keepaliveLines is how many access lines of keepalives that succeeded are written a second. They tell nothing, and would be
// most of the log.
const keepaliveLines = 10

// accessLog writes a line for each request: never a header, hence never a token.
type accessLog struct {
	log    *slog.Logger
	second atomic.Int64 // the one that lines counts
	lines  atomic.Int64
	left   atomic.Int64 // how many lines were left out since the last
}

// write writes the line of a request that began at a time and has been answered.
func (a *accessLog) write(c *gin.Context, start time.Time, took time.Duration) {
	route, status := c.FullPath(), c.Writer.Status()
	level := accessLevel(route)
	if !a.log.Enabled(c.Request.Context(), level) || (route == keepaliveRoute && status == http.StatusOK && !a.sample(start.Unix())) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", method(c.Request.Method)), slog.String("route", route), slog.Int("status", status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.String("remote", c.Request.RemoteAddr),
	}
	if id := leaseID(c); id != "" {
		attrs = append(attrs, slog.String("lease_id", id))
	}
	if left := a.left.Swap(0); left > 0 {
		attrs = append(attrs, slog.Int64("keepalives_left_out", left))
	}
	a.log.LogAttrs(c.Request.Context(), level, "request", attrs...)
}

// sample reports whether a keepalive that succeeded in some second is to have a line.
func (a *accessLog) sample(second int64) bool {
	if a.second.Swap(second) != second {
		a.lines.Store(0)
	}
	if a.lines.Add(1) <= keepaliveLines {
		return true
	}
	a.left.Add(1)
	return false
}

// leaseID is the lease that a request is about, or made; "" for none.
func leaseID(c *gin.Context) string {
	id, err := lease.ParseID(cmp.Or(c.Param("id"), path.Base(c.Writer.Header().Get("Location"))))
	if err != nil {
		return ""
	}
	return id.String()
}

// accessLevel keeps probes and scrapes out of the log.
func accessLevel(route string) slog.Level {
	switch route {
	case "/livez", "/readyz", "/metrics":
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

type requestIDKey struct{}

// LogHandler adds the request id to what is logged in the context of a request.
func LogHandler(h slog.Handler) slog.Handler { return logHandler{h} }

type logHandler struct{ slog.Handler }

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	if id, ok := ctx.Value(requestIDKey{}).(string); ok {
		r.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }
