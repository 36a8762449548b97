package storetest

import (
	"bytes"
	"context"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Real starts a redis-server on a free port of the loopback address, with nothing kept on disk.
func Real(t testing.TB, program string, args ...string) *Redis {
	t.Helper()
	for range 10 { // another process may take the port before the server does
		if addr, ok := start(t, program, args); ok {
			c := Client(t, addr)
			return &Redis{Client: c, Addr: addr, Advance: advanceReal(t, c), Slack: 20 * time.Second}
		}
	}
	t.Fatalf("%s found no free port", program)
	return nil
}

// start starts a server and waits until it answers; ok is false when it lost its port to another process.
func start(t testing.TB, program string, args []string) (addr string, ok bool) {
	t.Helper()
	addr = FreeAddr(t)
	host, port, _ := net.SplitHostPort(addr)
	var log bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, append([]string{ //nolint:gosec // whoever runs the tests names the program
		"--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", "--dir", t.TempDir(),
	}, args...)...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v; install Debian's package redis-server, or unset TEST_REDIS", program, err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed, unless it lost its port
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		<-exited
	})
	return addr, answers(t, addr, cmd.Process.Pid, exited)
}

// answers waits until the process with this id serves the address; false when it has exited instead.
func answers(t testing.TB, addr string, pid int, exited <-chan struct{}) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = c.Close() }()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		info, err := c.InfoMap(ctx, "server").Result()
		if err == nil {
			return info["Server"]["process_id"] == strconv.Itoa(pid)
		}
		select {
		case <-exited:
			return false
		case <-ctx.Done():
			t.Fatalf("redis-server at %s: %v", addr, err)
		case <-poll.C:
		}
	}
}
