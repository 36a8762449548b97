package service

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/api"
	"github.com/automation-infra/automation-infra/config"
)

// ballast is bytes of the heap that nobody uses, nor touches, so that they take no memory. The garbage collector runs when the heap
// has doubled, and that of a service is 5 MB: it would run dozens of times a second, for a fifth of the service's time. GOGC would do
// the same, but for large heaps too. See docs/performance.md.
const ballast = 32 << 20

// Main runs a program until it ends or is told to: SIGINT and SIGTERM end the context, an error is one line on stderr and
// exit code 1.
func Main(name string, run func(context.Context) error) {
	unused := make([]byte, ballast)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	runtime.KeepAlive(unused)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// NewLogger returns the log of a process.
func NewLogger(c config.Log, out io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Level}
	if c.Format == "text" {
		return slog.New(api.LogHandler(slog.NewTextHandler(out, options)))
	}
	return slog.New(api.LogHandler(slog.NewJSONHandler(out, options)))
}

// Connect returns a client of the configured Redis. It connects when it is used, so a Redis that is down is no error here.
func Connect(c config.Redis, log *slog.Logger) redis.UniversalClient {
	redis.SetLogger(redisLogger{log})
	o := &redis.UniversalOptions{
		Addrs: c.Addrs, MasterName: c.MasterName, DB: c.DB, Username: c.Username, Password: string(c.Password),
		// The store's contexts alone say how long a call may take.
		ContextTimeoutEnabled: true, ReadTimeout: -1, WriteTimeout: -1, DialTimeout: c.Timeout, DialerRetries: 1,
		MaxRetries: -1,                    // a script may have run though its reply was lost
		PoolSize:   10 * runtime.NumCPU(), // however few of them the process uses: connections wait, for replicas of Redis too
	}
	if c.TLS {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return redis.NewUniversalClient(o)
}

// redisLogger takes what go-redis says about its connections into our log. The calls that fail report themselves.
type redisLogger struct{ log *slog.Logger }

// Printf implements go-redis's logger.
func (l redisLogger) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, fmt.Sprintf(format, args...))
}
