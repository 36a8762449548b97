package config

import (
	"cmp"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Allocator is the configuration of the allocator service.
type Allocator struct {
	AllocatorListener
	InventoryFile
	Leasing
	Process
	Redis Redis
}

// Keepalive is the configuration of the keepalive service.
type Keepalive struct {
	KeepaliveListener
	Process
	Redis Redis
}

// Standalone is the configuration of both services in one process, which brings its own Redis. Its Inventory may be
// empty: ExampleInventory takes its place.
type Standalone struct {
	AllocatorListener
	KeepaliveListener
	InventoryFile
	Leasing
	Process
	EmbeddedRedis
}

// AllocatorListener is where the allocator listens.
type AllocatorListener struct {
	AllocatorAddr string `envconfig:"ALLOCATOR_ADDR" default:":8080" desc:"where the allocator listens" allowed:"an address to listen on, such as :8080 or 127.0.0.1:8080"`
}

// KeepaliveListener is where the keepalive service listens.
type KeepaliveListener struct {
	KeepaliveAddr string `envconfig:"KEEPALIVE_ADDR" default:":7080" desc:"where the keepalive service listens" allowed:"an address to listen on, such as :7080 or 127.0.0.1:7080"`
}

// InventoryFile is where the inventory of the lab is.
type InventoryFile struct {
	Inventory string `envconfig:"INVENTORY" desc:"the inventory file of the lab; the allocator needs it, standalone has an example" allowed:"the path of the inventory file"`
}

// Leasing is how the allocator leases.
type Leasing struct {
	KeepaliveURL string        `envconfig:"KEEPALIVE_URL" default:"http://localhost:7080" desc:"where holders reach the keepalive service; every lease tells it" allowed:"an absolute http or https URL without user, query or fragment, such as https://lab.example.com"`
	RetryAfter   time.Duration `envconfig:"RETRY_AFTER" default:"20s" desc:"how long a client waits when no device is free" allowed:"a duration from 1s to 10m, in whole seconds, such as 20s"`
	LeaseGrace   time.Duration `envconfig:"LEASE_GRACE" default:"2s" desc:"how much longer a lock lives than its holder is told" allowed:"a duration from 0s to 1m, such as 2s"`
	MaxWaiting   int           `envconfig:"MAX_WAITING" default:"5000" desc:"how many requests wait in line at once; others are answered without waiting" allowed:"an integer from 1 to 100000"`
}

// Process is what every service has.
type Process struct {
	Log           Log
	PprofAddr     string        `envconfig:"PPROF_ADDR" desc:"where profiles are served under /debug/pprof/, for developers; empty for nowhere" allowed:"an address to listen on, such as 127.0.0.1:6060"`
	MaxRequests   int           `envconfig:"MAX_REQUESTS" default:"1000" desc:"how many requests are served at once, those that wait in line aside; others are refused" allowed:"an integer from 1 to 100000"`
	ShutdownGrace time.Duration `envconfig:"SHUTDOWN_GRACE" default:"10s" desc:"how long requests may take to finish when the service stops" allowed:"a duration from 0s to 5m, such as 10s"`
}

// Log is what is logged and how.
type Log struct {
	Level  slog.Level `envconfig:"LOG_LEVEL" default:"info" desc:"the least severe level that is logged" allowed:"one of debug, info, warn, error"`
	Format string     `envconfig:"LOG_FORMAT" default:"json" desc:"how log lines are written" allowed:"one of json, text"`
}

// Redis is how to reach Redis: one server, Sentinel when MasterName is set, else a Cluster when there are several
// addresses.
type Redis struct {
	Addrs        []string      `envconfig:"REDIS_ADDRS" default:"127.0.0.1:6379" desc:"Redis: a server, or the Sentinels or Cluster nodes, separated by commas" allowed:"a comma list of host:port, such as redis-1:6379,redis-2:6379"`
	Username     string        `envconfig:"REDIS_USERNAME" desc:"user name at Redis" allowed:"text"`
	Password     Secret        `envconfig:"REDIS_PASSWORD" desc:"password at Redis" allowed:"text"`
	PasswordFile string        `envconfig:"REDIS_PASSWORD_FILE" desc:"a file whose first line is the password at Redis" allowed:"the path of a file, without REDIS_PASSWORD"`
	MasterName   string        `envconfig:"REDIS_MASTER_NAME" desc:"the master to ask the Sentinels for; empty without Sentinel" allowed:"text"`
	DB           int           `envconfig:"REDIS_DB" default:"0" desc:"number of the Redis database" allowed:"an integer from 0"`
	TLS          bool          `envconfig:"REDIS_TLS" default:"false" desc:"whether to speak TLS with Redis" allowed:"true or false"`
	Confirm      int           `envconfig:"REDIS_CONFIRM_REPLICAS" default:"0" desc:"how many replicas of Redis must have a lease, or its extension, before a holder is told of it" allowed:"an integer from 0; at most the replicas that there are"`
	Timeout      time.Duration `envconfig:"REDIS_TIMEOUT" default:"800ms" desc:"how long one call to Redis may take" allowed:"a duration from 10ms to 10s, such as 800ms"`
}

// EmbeddedRedis is where the Redis of standalone listens.
type EmbeddedRedis struct {
	EmbeddedRedisAddr string `envconfig:"EMBEDDED_REDIS_ADDR" default:"127.0.0.1:6399" desc:"where the embedded Redis of standalone listens" allowed:"an address to listen on, such as 127.0.0.1:6399"`
}

// LoadAllocator reads the configuration of the allocator from the environment. The error has a line for each mistake.
func LoadAllocator() (Allocator, error) {
	var c Allocator
	hasInventory := func(e *environment) { e.require("INVENTORY", c.Inventory != "") }
	err := load(&c, c.AllocatorListener.check, hasInventory, c.Leasing.check, c.Process.check, c.Redis.check)
	return c, err
}

// LoadKeepalive reads the configuration of the keepalive service from the environment. The error has a line for each
// mistake.
func LoadKeepalive() (Keepalive, error) {
	var c Keepalive
	err := load(&c, c.KeepaliveListener.check, c.Process.check, c.Redis.check)
	return c, err
}

// LoadStandalone reads the configuration of standalone from the environment. The error has a line for each mistake.
func LoadStandalone() (Standalone, error) {
	var c Standalone
	err := load(&c, c.AllocatorListener.check, c.KeepaliveListener.check, c.Leasing.check, c.Process.check, c.EmbeddedRedis.check)
	return c, err
}

func (l *AllocatorListener) check(e *environment) {
	e.require("ALLOCATOR_ADDR", isListenAddress(l.AllocatorAddr))
}

func (l *KeepaliveListener) check(e *environment) {
	e.require("KEEPALIVE_ADDR", isListenAddress(l.KeepaliveAddr))
}

func (r *EmbeddedRedis) check(e *environment) {
	e.require("EMBEDDED_REDIS_ADDR", isListenAddress(r.EmbeddedRedisAddr))
}

func (l *Leasing) check(e *environment) {
	e.require("KEEPALIVE_URL", isBaseURL(l.KeepaliveURL))
	l.KeepaliveURL = strings.TrimRight(l.KeepaliveURL, "/")
	e.require("RETRY_AFTER", within(l.RetryAfter, time.Second, 10*time.Minute) && l.RetryAfter%time.Second == 0)
	e.require("LEASE_GRACE", within(l.LeaseGrace, 0, time.Minute))
	e.require("MAX_WAITING", within(l.MaxWaiting, 1, 100_000))
}

func (p *Process) check(e *environment) {
	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	e.require("LOG_LEVEL", slices.Contains(levels, p.Log.Level))
	e.require("LOG_FORMAT", p.Log.Format == "json" || p.Log.Format == "text")
	e.require("PPROF_ADDR", p.PprofAddr == "" || isListenAddress(p.PprofAddr))
	e.require("MAX_REQUESTS", within(p.MaxRequests, 1, 100_000))
	e.require("SHUTDOWN_GRACE", within(p.ShutdownGrace, 0, 5*time.Minute))
}

func (r *Redis) check(e *environment) {
	for i := range r.Addrs {
		r.Addrs[i] = strings.TrimSpace(r.Addrs[i])
	}
	e.require("REDIS_ADDRS", len(r.Addrs) > 0 && !slices.ContainsFunc(r.Addrs, func(a string) bool { return !isServerAddress(a) }))
	e.require("REDIS_DB", r.DB >= 0)
	e.require("REDIS_CONFIRM_REPLICAS", r.Confirm >= 0)
	e.require("REDIS_TIMEOUT", within(r.Timeout, 10*time.Millisecond, 10*time.Second))
	if r.PasswordFile == "" {
		return
	}
	e.require("REDIS_PASSWORD_FILE", r.Password == "")
	password, err := firstLine(r.PasswordFile)
	if err != nil {
		e.refuse("REDIS_PASSWORD_FILE", err.Error())
	}
	r.Password = Secret(password)
}

func within[T cmp.Ordered](value, least, most T) bool { return least <= value && value <= most }

// isListenAddress reports whether s is [host]:port; an empty host is every interface, port 0 any free one.
func isListenAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	return err == nil && isPort(port)
}

// isServerAddress reports whether s is host:port, to connect to.
func isServerAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	return err == nil && host != "" && !strings.ContainsAny(host, "/@ ") && isPort(port) && port != "0"
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// isBaseURL reports whether paths can be appended to s.
func isBaseURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil &&
		!strings.ContainsAny(s, "?#")
}

// firstLine returns the first line of a file, which must not be empty.
func firstLine(path string) (string, error) {
	content, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(content), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return "", errors.New("its first line is empty")
	}
	return line, nil
}
