package api_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/automation-infra/automation-infra/api"
)

// TestPatience is how long a server bears with a client that does not go on, and what it takes of one that does not end.
func TestPatience(t *testing.T) {
	t.Parallel()
	const post = "POST /v1/leases/x/keepalive HTTP/1.1\r\nHost: x\r\n"
	for name, c := range map[string]struct {
		sent  string
		again string        // sent once a second after that
		reads bool          // whether the client reads what it is sent as it comes
		after time.Duration // when the connection is closed
		says  string        // how the answer begins; "" for none
	}{
		"nothing at all":          {reads: true, after: 5 * time.Second},
		"half a header":           {sent: "GET /livez HTTP/1.1\r\nHo", reads: true, after: 5 * time.Second, says: "HTTP/1.1 400 "},
		"a header without an end": {sent: "GET /livez HTTP/1.1\r\nX: ", again: "x", reads: true, after: 5 * time.Second},
		"half a body":             {sent: post + "Content-Length: 10\r\n\r\n{", reads: true, after: 10 * time.Second, says: "HTTP/1.1 408 "},
		"a body without an end":   {sent: post + "Content-Length: 100\r\n\r\n", again: "x", reads: true, after: 10 * time.Second, says: "HTTP/1.1 408 "},
		"no other request":        {sent: "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", reads: true, after: 2 * time.Minute, says: "HTTP/1.1 200 "},
		"the answer is not read":  {sent: "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n", after: 20 * time.Second},
		"16 KiB of header": {
			sent: "GET /livez HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", api.MaxHeaderBytes-40) + "\r\n\r\n", reads: true,
			after: 2 * time.Minute, says: "HTTP/1.1 200 ",
		},
		"more header":    {sent: "GET /livez HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", api.MaxHeaderBytes), reads: true, says: "HTTP/1.1 431 "},
		"too large body": {sent: post + "Content-Length: 10485760\r\n\r\n" + strings.Repeat("x", 1<<20), reads: true, says: "HTTP/1.1 413 "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				conn := serveOne(t)
				start := time.Now()
				var sending sync.WaitGroup
				sending.Go(func() { dribble(conn, c.sent, c.again) })
				if !c.reads {
					time.Sleep(time.Minute) //nolint:forbidigo // the clock of the bubble
				}
				answer, _ := io.ReadAll(conn) // it ends when the server closes the connection
				took := time.Since(start)
				_ = conn.Close()
				sending.Wait()
				if c.reads && (took < c.after || took > c.after+time.Second) {
					t.Errorf("closed after %s, want %s", took, c.after)
				}
				if !strings.HasPrefix(string(answer), c.says) || (c.says == "" && len(answer) > 0) {
					t.Errorf("answer %.200q, want %q", answer, c.says)
				}
			})
		})
	}
}

// dribble sends a text, and then another once a second until the connection is closed.
func dribble(conn net.Conn, text, again string) {
	_, err := io.WriteString(conn, text)
	for err == nil && again != "" {
		time.Sleep(time.Second) //nolint:forbidigo // the clock of the bubble
		_, err = io.WriteString(conn, again)
	}
}

// serveOne serves one connection, until the test ends.
func serveOne(t *testing.T) net.Conn {
	t.Helper()
	here, there := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	health := ready()
	h := api.NewKeepalive(api.KeepaliveOptions{Options: api.Options{Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Health: health}})
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := api.Serve(ctx, &oneConn{conn: there, closed: make(chan struct{})}, h, health, 10*time.Second, slog.New(slog.DiscardHandler)); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = here.Close()
		serving.Wait()
	})
	return here
}

// oneConn is a net.Listener that accepts one connection.
type oneConn struct {
	conn   net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }
