package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/automation-infra/automation-infra/lease"
)

// MaxBodyBytes is the largest request body taken.
const MaxBodyBytes = 64 << 10

// requestIDHeader names a request in logs; a client may choose the name.
const requestIDHeader = "X-Request-Id"

var requestIDRE = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// observe gives the request an id, measures it, and writes its access line: never a header, hence never a token.
func observe(log *slog.Logger, m *httpMetrics) gin.HandlerFunc {
	return func(c *gin.Context) {
		start := time.Now()
		id := c.GetHeader(requestIDHeader)
		if !requestIDRE.MatchString(id) {
			id = rand.Text()
		}
		c.Header(requestIDHeader, id)
		c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), requestIDKey{}, id))
		c.Next()
		took, route, status := time.Since(start), c.FullPath(), c.Writer.Status()
		if !mayWait(c) {
			m.observe(c.Request.Method, route, status, took)
		}
		attrs := []slog.Attr{
			slog.String("method", method(c.Request.Method)), slog.String("route", route), slog.Int("status", status),
			slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.String("remote", c.Request.RemoteAddr),
		}
		if id := leaseID(c); id != "" {
			attrs = append(attrs, slog.String("lease_id", id))
		}
		log.LogAttrs(c.Request.Context(), accessLevel(route), "request", attrs...)
	}
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

// recoverPanic answers a panic of a handler with 500, and logs where it was.
func recoverPanic(ew *errorWriter) gin.HandlerFunc {
	return gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, cause any) {
		ew.write(c, ew.problem(c.Request.Context(), fmt.Errorf("panic: %v\n%s", cause, debug.Stack())))
	})
}

// readBody reads the whole body before anything looks at it, so that its size, and whether it arrives at all, are settled
// in one place.
func readBody(ew *errorWriter) gin.HandlerFunc {
	return func(c *gin.Context) {
		// Answers are JSON whatever is asked for; huma's negotiation panics on headers such as "a;q,".
		c.Request.Header.Del("Accept")
		if c.Request.Body == nil || c.Request.Body == http.NoBody {
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, MaxBodyBytes))
		var tooLarge *http.MaxBytesError
		var network net.Error
		switch {
		case errors.As(err, &tooLarge):
			ew.respond(c, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is at most %d bytes", MaxBodyBytes))
		case errors.As(err, &network) && network.Timeout():
			ew.respond(c, http.StatusRequestTimeout, "the body did not arrive in time")
		case err != nil:
			ew.respond(c, http.StatusBadRequest, "the body did not arrive whole")
		}
		c.Request.Body = io.NopCloser(bytes.NewReader(body))
	}
}
