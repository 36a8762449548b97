package faults_test

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/store/storetest"
)

const redisProgram = "redis-server"

// server is a Redis of its own.
type server struct {
	*process
	addr  string
	dir   string
	admin *redis.Client
}

// newServer starts a Redis that keeps its data with appendfsync as said; "" for no append-only file.
func newServer(t *testing.T, fsync string, args ...string) *server {
	t.Helper()
	if fsync != "" {
		args = append(args, "--appendonly", "yes", "--appendfsync", fsync)
	}
	for range attempts {
		s := &server{addr: storetest.FreeAddr(t), dir: folder(t)}
		host, port, _ := net.SplitHostPort(s.addr)
		s.process = newProcess(t, s.dir, redisProgram, nil, append([]string{
			"--bind", host, "--port", port, "--dir", s.dir, "--save", "", "--maxmemory-policy", "noeviction",
			"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1",
		}, args...)...)
		s.admin = storetest.Client(t, s.addr)
		s.start(t)
		if s.serves(t, s.ready) {
			return s
		}
	}
	t.Fatal("Redis does not start")
	return nil
}

// begin starts it again, and waits until it serves.
func (s *server) begin(t *testing.T) {
	t.Helper()
	s.start(t)
	if !s.serves(t, s.ready) {
		t.Fatal("Redis does not start again")
	}
}

func (s *server) ready(ctx context.Context) bool {
	return s.info(ctx, "server", "process_id") == strconv.Itoa(s.pid.Pid) && s.admin.Ping(ctx).Err() == nil
}

// set changes its configuration.
func (s *server) set(t *testing.T, name, value string) {
	t.Helper()
	if err := s.admin.ConfigSet(t.Context(), name, value).Err(); err != nil {
		t.Errorf("CONFIG SET %s %s: %v", name, value, err)
	}
}

// do runs a command, given with blanks between its words.
func (s *server) do(t *testing.T, command string) {
	t.Helper()
	var args []any
	for _, word := range strings.Fields(command) {
		args = append(args, word)
	}
	if err := s.admin.Do(t.Context(), args...).Err(); err != nil {
		t.Errorf("%s: %v", command, err)
	}
}

// info is a field of INFO, "" when it is not there or nobody answers.
func (s *server) info(ctx context.Context, section, field string) string {
	text, _ := s.admin.Info(ctx, section).Result()
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found && name == field {
			return value
		}
	}
	return ""
}

// folder is a folder for the data of one process, gone when the test ends. TEST_FAULTS_DATA says where: best where there is no disk,
// since what a slow disk does to the append-only file is not what the tests are about.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv("TEST_FAULTS_DATA"), "faults-") //nolint:usetesting // not where t.TempDir is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
