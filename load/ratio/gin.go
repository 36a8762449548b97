package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"
)

// ginCommand is the argument with which this program is the Gin that the services are compared with.
const ginCommand = "gin"

// fixedAnswer looks like the answer to a keepalive, and has its size.
type fixedAnswer struct {
	ID                       string `json:"id"`
	ExpireTime               string `json:"expire_time"`
	RemainingSeconds         int64  `json:"remaining_seconds"`
	DeadlineTime             string `json:"deadline_time"`
	KeepaliveIntervalSeconds int64  `json:"keepalive_interval_seconds"`
}

// newGin returns a Gin without middleware that answers every keepalive with the same JSON.
func newGin() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	answer := fixedAnswer{
		ID: "default-sm3mjtfie4266pfixmixoawdkc", ExpireTime: "2026-11-23T04:34:02.801Z", RemainingSeconds: 21600,
		DeadlineTime: "2026-11-23T16:32:42.777Z", KeepaliveIntervalSeconds: 7200,
	}
	engine := gin.New()
	engine.POST("/v1/leases/:id/keepalive", func(c *gin.Context) { c.JSON(http.StatusOK, answer) })
	return engine
}

// serveGin serves it on a free port until the context ends, and says where as the services do: in a line of its log.
func serveGin(ctx context.Context, out io.Writer) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	slog.New(slog.NewJSONHandler(out, nil)).Info("serving", "addr", l.Addr().String())
	failed := make(chan error, 1)
	go func() { failed <- newGin().RunListener(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return l.Close()
	}
}
