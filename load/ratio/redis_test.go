package main

import (
	"bufio"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// recordedMonitor is what Redis's MONITOR shows of a reaping and of a keepalive, shortened.
const recordedMonitor = `+1795438075.413904 [0 127.0.0.1:33286] "evalsha" "44af5a02e03e2c0b75535fd21b48bbfb8a177404" "2" "lock:{default}:" "lease:{default}:"
+1795438075.414664 [0 lua] "HMGET" "default-xivuwej6dr5q66dyubbyjv5qm4" "state"
+1795438075.417060 [0 127.0.0.1:56764] "evalsha" "7e09547605b09acdc4e0741eb7fd98a9f5ac60e2" "2" "lock:{default}:" "lease:{default}:" "default-xivuwej6dr5q66dyubbyjv5qm4"
`

func TestParseMonitored(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		`+1.5 [0 127.0.0.1:1] "ping"`:                      {"ping"},
		`1.5 [3 [::1]:1] "set" "a key" "\"\\ \x00\r\n"`:    {"set", "a key", "\"\\ \x00\r\n"},
		`+1.5 [0 unix:/run/redis.sock] "evalsha" "" "1"`:   {"evalsha", "", "1"},
		`+1.5 [0 lua] "HMGET" "lease:{default}:x" "state"`: nil,
		`+OK`:                          nil,
		`+1.5 [0 127.0.0.1:1] "broken`: nil,
	} {
		if got := parseMonitored(line); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestWatchCommand(t *testing.T) {
	t.Parallel()
	addr := fakeRedis(t, "+OK\r\n"+recordedMonitor)
	const id = "default-xivuwej6dr5q66dyubbyjv5qm4"
	acted := false
	got, err := watchCommand(t.Context(), addr, id, func() error { acted = true; return nil })
	want := []string{"evalsha", "7e09547605b09acdc4e0741eb7fd98a9f5ac60e2", "2", "lock:{default}:", "lease:{default}:", id}
	if err != nil || !acted || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, acted: %v; want %q", got, err, acted, want)
	}
	if got, err := watchCommand(t.Context(), addr, "another", func() error { return nil }); err == nil {
		t.Errorf("another's command is %q", got)
	}
	broken := errors.New("broken")
	if _, err := watchCommand(t.Context(), addr, id, func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("the act failed, but: %v", err)
	}
	refusing := fakeRedis(t, "-NOAUTH Authentication required.\r\n")
	if _, err := watchCommand(t.Context(), refusing, id, func() error { return nil }); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("MONITOR is refused, but: %v", err)
	}
}

// fakeRedis is a Redis that answers each connection's first line with a text, and closes it.
func fakeRedis(t *testing.T, answer string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			if line, err := bufio.NewReader(conn).ReadString('\n'); err == nil && line == "MONITOR\r\n" {
				_, _ = conn.Write([]byte(answer))
			}
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

func TestRedisConf(t *testing.T) {
	t.Parallel()
	got := redisConf("# kept\ndir /data\nappendonly yes\nport 1\nbind 0.0.0.0\nsave \"\"", "/tmp/a b", "127.0.0.1:1234")
	want := "# kept\nappendonly yes\nsave \"\"\ndir \"/tmp/a b\"\nbind 127.0.0.1\nport 1234\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestParseRedisBenchmark is of what redis-benchmark 7.0 prints.
func TestParseRedisBenchmark(t *testing.T) {
	t.Parallel()
	const recorded = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"EVALSHA e5bb30a112d51b68e71daca59e51578661a68001 1 lock:{default}: x","15764.58","0.059","0.008","0.063","0.111","0.183","6.311"
`
	got, err := parseRedisBenchmark([]byte(recorded), 30_000)
	if err != nil {
		t.Fatal(err)
	}
	if got.requests != 30_000 || got.took.Round(time.Millisecond) != 1903*time.Millisecond || got.p50 != 63*time.Microsecond || got.p99 != 183*time.Microsecond {
		t.Errorf("got %+v", got)
	}
	header, line, _ := strings.Cut(recorded, "\n")
	for name, output := range map[string]string{
		"nothing": "", "no measurement": header + "\n", "no header": line, "older": "\"SET\",\"15764.58\"\n\"GET\",\"15764.58\"\n",
	} {
		if got, err := parseRedisBenchmark([]byte(output), 30_000); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
