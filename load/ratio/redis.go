package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// startRedis starts a Redis of its own folder on a free port of the loopback address, configured as in the Compose stack.
func (b *bench) startRedis(ctx context.Context) (*server, error) {
	for range 10 { // another process may take the port before Redis does
		addr, err := freeAddr(ctx)
		if err != nil {
			return nil, err
		}
		conf, err := b.writeRedisConf(addr)
		if err != nil {
			return nil, err
		}
		s, err := b.start(ctx, "redis", nil, b.tools.redisServer, conf)
		if err != nil {
			return nil, err
		}
		s.addr = addr
		if err = s.await(ctx, "serves", func() bool { return s.printed("Ready to accept connections") }); err == nil {
			return s, nil
		}
		if ctx.Err() != nil || !strings.Contains(err.Error(), "listen") {
			return nil, err
		}
	}
	return nil, errors.New("redis-server found no free port")
}

func freeAddr(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// writeRedisConf makes a folder for a Redis, with its configuration, and returns the path of that.
func (b *bench) writeRedisConf(addr string) (string, error) {
	shipped, err := os.ReadFile(b.redisConf) //nolint:gosec // an option names the file
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.dir, fmt.Sprintf("redis-%d", len(b.servers)))
	if err := os.MkdirAll(dir, 0o700); err != nil { //nolint:gosec // in our own folder
		return "", err
	}
	path := filepath.Join(dir, "redis.conf")
	return path, os.WriteFile(path, []byte(redisConf(string(shipped), dir, addr)), 0o600) //nolint:gosec // in our own folder
}

// redisConf is a Redis configuration with another folder and address.
func redisConf(shipped, dir, addr string) string {
	var conf strings.Builder
	for line := range strings.Lines(shipped) {
		if directive, _, _ := strings.Cut(line, " "); !slices.Contains([]string{"dir", "bind", "port"}, directive) {
			conf.WriteString(line)
		}
	}
	host, port, _ := net.SplitHostPort(addr)
	fmt.Fprintf(&conf, "\ndir %q\nbind %s\nport %s\n", dir, host, port)
	return conf.String()
}

// watchCommand returns the command that act has some client send to Redis with word among its arguments.
func watchCommand(ctx context.Context, addr, word string, act func() error) ([]string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(conn)
	if !lines.Scan() || lines.Text() != "+OK" {
		return nil, errors.Join(fmt.Errorf("MONITOR: %q", lines.Text()), lines.Err())
	}
	if err := act(); err != nil {
		return nil, err
	}
	for lines.Scan() {
		if command := parseMonitored(lines.Text()); slices.Contains(command, word) {
			return command, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("MONITOR shows no command about %s", word), lines.Err())
}

// monitored is what MONITOR shows of a command: when, the database, the client, the quoted words.
var monitored = regexp.MustCompile(`^\+?[0-9.]+ \[[0-9]+ (\S+)\] (.*)$`)

// parseMonitored returns the words of a command that MONITOR shows; none for one that a script called.
func parseMonitored(line string) []string {
	m := monitored.FindStringSubmatch(line)
	if m == nil || m[1] == "lua" {
		return nil
	}
	var words []string
	for rest := m[2]; rest != ""; rest = strings.TrimPrefix(rest, " ") {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return nil
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return nil
		}
		words, rest = append(words, word), rest[len(quoted):]
	}
	return words
}
