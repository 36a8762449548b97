package api

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"
)

// MaxBodyBytes is the largest request body taken.
const MaxBodyBytes = 64 << 10

// requestIDHeader names a request in logs; a client may choose the name.
const requestIDHeader = "X-Request-Id"

var requestIDRE = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// observe gives the request an id, measures it, and has its access line written.
func observe(access *accessLog, m *httpMetrics) gin.HandlerFunc {
	return func(c *gin.Context) {
		start := time.Now()
		id := c.GetHeader(requestIDHeader)
		if id == "" || !requestIDRE.MatchString(id) {
			id = newRequestID()
		}
		c.Writer.Header()[requestIDHeader] = []string{id}
		c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), requestIDKey{}, id))
		c.Next()
		took := time.Since(start)
		if !mayWait(c) {
			m.observe(c.Request.Method, c.FullPath(), c.Writer.Status(), took)
		}
		access.write(c, start, took)
	}
}

// newRequestID makes a name that no other request has; it is no secret.
func newRequestID() string {
	var random [16]byte
	binary.NativeEndian.PutUint64(random[:8], rand.Uint64()) //nolint:gosec // no secret
	binary.NativeEndian.PutUint64(random[8:], rand.Uint64()) //nolint:gosec // no secret
	return hex.EncodeToString(random[:])
}

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
		body, err := readAll(c.Request)
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

// readAll reads the body of a request, if it is not too long.
func readAll(r *http.Request) ([]byte, error) {
	if r.ContentLength > MaxBodyBytes {
		return nil, &http.MaxBytesError{Limit: MaxBodyBytes}
	}
	return io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxBodyBytes))
}
