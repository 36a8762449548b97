package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// redisBenchmark sends a command to a Redis n times. An answer that is an error has redis-benchmark fail.
func (b *bench) redisBenchmark(ctx context.Context, s *server, connections, n int, command []string) (traffic, error) {
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return traffic{}, err
	}
	args := append([]string{"-h", host, "-p", port, "-c", strconv.Itoa(connections), "-n", strconv.Itoa(n), "--csv"}, command...)
	output, cpu, err := b.generate(ctx, b.tools.redisBenchmark, args...)
	if err != nil {
		return traffic{}, err
	}
	t, err := parseRedisBenchmark(output, n)
	t.cpu = cpu
	return t, err
}

// parseRedisBenchmark reads redis-benchmark's CSV of a run of n commands.
func parseRedisBenchmark(output []byte, n int) (traffic, error) {
	lines, err := csv.NewReader(bytes.NewReader(output)).ReadAll()
	if err != nil || len(lines) != 2 {
		return traffic{}, fmt.Errorf("redis-benchmark does not say what it measured: %s", bytes.TrimSpace(output))
	}
	values := map[string]float64{}
	for i, name := range lines[0] {
		if value, err := strconv.ParseFloat(lines[1][i], 64); err == nil {
			values[name] = value
		}
	}
	rate, p50, p99 := values["rps"], values["p50_latency_ms"], values["p99_latency_ms"]
	if rate <= 0 || p50 <= 0 || p99 <= 0 {
		return traffic{}, errors.New("redis-benchmark: rps, p50_latency_ms or p99_latency_ms is missing: it is Redis 7's that is needed")
	}
	return traffic{
		requests: n, took: time.Duration(float64(n) / rate * float64(time.Second)),
		p50: milliseconds(p50), p99: milliseconds(p99),
	}, nil
}

func milliseconds(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
