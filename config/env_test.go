package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/config"
)

// setenv gives the test an environment that has these variables and no others of ours. It keeps the test from being
// parallel: the environment belongs to the process.
func setenv(t *testing.T, variables map[string]string) {
	t.Helper()
	for _, v := range config.Variables() {
		t.Setenv(v.Name, "") // restored after the test
		if err := os.Unsetenv(v.Name); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range variables {
		t.Setenv(name, value)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDefaultsOfTheEnvironment(t *testing.T) {
	setenv(t, map[string]string{"INVENTORY": "lab.yaml"})
	a, err := config.LoadAllocator()
	if err != nil {
		t.Fatal(err)
	}
	redis := config.Redis{Addrs: []string{"127.0.0.1:6379"}, Timeout: 800 * time.Millisecond}
	process := config.Process{Log: config.Log{Level: slog.LevelInfo, Format: "json"}, MaxRequests: 1000, ShutdownGrace: 10 * time.Second}
	leasing := config.Leasing{KeepaliveURL: "http://localhost:7080", RetryAfter: 20 * time.Second, LeaseGrace: 2 * time.Second, MaxWaiting: 5000}
	equal(t, a, config.Allocator{
		AllocatorListener: config.AllocatorListener{AllocatorAddr: ":8080"},
		InventoryFile:     config.InventoryFile{Inventory: "lab.yaml"},
		Leasing:           leasing, Process: process, Redis: redis,
	})
	k, err := config.LoadKeepalive()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, k, config.Keepalive{
		KeepaliveListener: config.KeepaliveListener{KeepaliveAddr: ":7080"}, Process: process, Redis: redis,
	})
	setenv(t, nil)
	s, err := config.LoadStandalone()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, s, config.Standalone{
		AllocatorListener: config.AllocatorListener{AllocatorAddr: ":8080"},
		KeepaliveListener: config.KeepaliveListener{KeepaliveAddr: ":7080"},
		Leasing:           leasing, Process: process,
		EmbeddedRedis: config.EmbeddedRedis{EmbeddedRedisAddr: "127.0.0.1:6399"},
	})
}

// equal compares two values as Go would write them, secrets hidden.
func equal(t *testing.T, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func TestTheEnvironmentIsRead(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	writeFile(t, secret, "from a file \r\nand no more\n")
	setenv(t, map[string]string{
		"ALLOCATOR_ADDR": "127.0.0.1:0", "INVENTORY": "/etc/lab.yaml", "KEEPALIVE_URL": "https://lab.example.com/keepalive//",
		"RETRY_AFTER": "1m", "LEASE_GRACE": "0s", "SHUTDOWN_GRACE": "1m30s", "MAX_REQUESTS": "7", "MAX_WAITING": "8", "LOG_LEVEL": "WARN", "LOG_FORMAT": "text",
		"REDIS_ADDRS": "redis-1:6379, [::1]:6380", "REDIS_USERNAME": "lab", "REDIS_PASSWORD_FILE": secret,
		"REDIS_MASTER_NAME": "main", "REDIS_DB": "3", "REDIS_TLS": "true", "REDIS_CONFIRM_REPLICAS": "1", "REDIS_TIMEOUT": "10ms",
	})
	got, err := config.LoadAllocator()
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Redis.Password) != "from a file " {
		t.Errorf("the password is %q", string(got.Redis.Password))
	}
	equal(t, got, config.Allocator{
		AllocatorListener: config.AllocatorListener{AllocatorAddr: "127.0.0.1:0"},
		InventoryFile:     config.InventoryFile{Inventory: "/etc/lab.yaml"},
		Leasing:           config.Leasing{KeepaliveURL: "https://lab.example.com/keepalive", RetryAfter: time.Minute, MaxWaiting: 8},
		Process:           config.Process{Log: config.Log{Level: slog.LevelWarn, Format: "text"}, MaxRequests: 7, ShutdownGrace: 90 * time.Second},
		Redis: config.Redis{
			Addrs: []string{"redis-1:6379", "[::1]:6380"}, Username: "lab", Password: got.Redis.Password, PasswordFile: secret,
			MasterName: "main", DB: 3, TLS: true, Confirm: 1, Timeout: 10 * time.Millisecond,
		},
	})
}

func TestMistakesOfTheEnvironment(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	empty := filepath.Join(t.TempDir(), "empty")
	writeFile(t, empty, "\nhunter2\n")
	duration := ": a duration from "
	tests := []struct{ name, value, want string }{
		{"ALLOCATOR_ADDR", "8080", `ALLOCATOR_ADDR="8080": an address to listen on, such as :8080 or 127.0.0.1:8080`},
		{"ALLOCATOR_ADDR", ":http", `ALLOCATOR_ADDR=":http": an address`},
		{"ALLOCATOR_ADDR", ":65536", `ALLOCATOR_ADDR=":65536": an address`},
		{"INVENTORY", "", `INVENTORY="": the path of the inventory file`},
		{"KEEPALIVE_URL", "", `KEEPALIVE_URL="": an absolute http or https URL`},
		{"KEEPALIVE_URL", "lab.example.com", `KEEPALIVE_URL="lab.example.com": an absolute`},
		{"KEEPALIVE_URL", "ftp://lab.example.com", `KEEPALIVE_URL="ftp://lab.example.com": an absolute`},
		{"KEEPALIVE_URL", "http://", `KEEPALIVE_URL="http://": an absolute`},
		{"KEEPALIVE_URL", "http://lab/?a=b", `KEEPALIVE_URL="http://lab/?a=b": an absolute`},
		{"KEEPALIVE_URL", "http://lab/#", `KEEPALIVE_URL="http://lab/#": an absolute`},
		{"KEEPALIVE_URL", "http://me:hunter2@lab", `KEEPALIVE_URL="[redacted]@lab": an absolute`},
		{"RETRY_AFTER", "abc", `RETRY_AFTER="abc": a duration from 1s to 10m, in whole seconds, such as 20s`},
		{"RETRY_AFTER", "20", `RETRY_AFTER="20"` + duration},
		{"RETRY_AFTER", "0s", `RETRY_AFTER="0s"` + duration},
		{"RETRY_AFTER", "1500ms", `RETRY_AFTER="1500ms"` + duration},
		{"RETRY_AFTER", "10m1s", `RETRY_AFTER="10m1s"` + duration},
		{"LEASE_GRACE", "-1s", `LEASE_GRACE="-1s": a duration from 0s to 1m, such as 2s`},
		{"LEASE_GRACE", "61s", `LEASE_GRACE="61s"` + duration},
		{"SHUTDOWN_GRACE", "6m", `SHUTDOWN_GRACE="6m": a duration from 0s to 5m, such as 10s`},
		{"MAX_REQUESTS", "0", `MAX_REQUESTS="0": an integer from 1 to 100000`},
		{"MAX_WAITING", "many", `MAX_WAITING="many": an integer from 1 to 100000`},
		{"LOG_LEVEL", "trace", `LOG_LEVEL="trace": one of debug, info, warn, error`},
		{"LOG_LEVEL", "info+1", `LOG_LEVEL="info+1": one of`},
		{"LOG_FORMAT", "xml", `LOG_FORMAT="xml": one of json, text`},
		{"REDIS_ADDRS", "", `REDIS_ADDRS="": a comma list of host:port`},
		{"REDIS_ADDRS", "redis", `REDIS_ADDRS="redis": a comma list`},
		{"REDIS_ADDRS", "a:1,", `REDIS_ADDRS="a:1,": a comma list`},
		{"REDIS_ADDRS", ":6379", `REDIS_ADDRS=":6379": a comma list`},
		{"REDIS_ADDRS", "a:0", `REDIS_ADDRS="a:0": a comma list`},
		{"REDIS_ADDRS", "redis://:hunter2@a:1", `REDIS_ADDRS="[redacted]@a:1": a comma list`},
		{"REDIS_DB", "-1", `REDIS_DB="-1": an integer from 0`},
		{"REDIS_DB", "one", `REDIS_DB="one": an integer`},
		{"REDIS_TLS", "maybe", `REDIS_TLS="maybe": true or false`},
		{"PPROF_ADDR", "6060", `PPROF_ADDR="6060": an address to listen on, such as 127.0.0.1:6060`},
		{"REDIS_CONFIRM_REPLICAS", "-1", `REDIS_CONFIRM_REPLICAS="-1": an integer from 0; at most the replicas that there are`},
		{"REDIS_TIMEOUT", "9ms", `REDIS_TIMEOUT="9ms": a duration from 10ms to 10s, such as 800ms`},
		{"REDIS_TIMEOUT", "11s", `REDIS_TIMEOUT="11s"` + duration},
		{"REDIS_PASSWORD_FILE", none, fmt.Sprintf("REDIS_PASSWORD_FILE=%q: open %s: ", none, none)},
		{"REDIS_PASSWORD_FILE", empty, fmt.Sprintf("REDIS_PASSWORD_FILE=%q: its first line is empty", empty)},
	}
	for _, test := range tests {
		t.Run(test.name+"="+filepath.Base(test.value), func(t *testing.T) {
			setenv(t, map[string]string{"INVENTORY": "lab.yaml", test.name: test.value})
			_, err := config.LoadAllocator()
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if strings.Contains(fmt.Sprint(err), "hunter2") {
				t.Errorf("the error repeats a secret: %v", err)
			}
		})
	}
}

func TestAllMistakesOfTheEnvironmentAreToldAtOnce(t *testing.T) {
	setenv(t, map[string]string{
		"KEEPALIVE_URL": "nowhere", "RETRY_AFTER": "soon", "REDIS_TLS": "perhaps", "REDIS_DB": "x", "LOG_LEVEL": "loud",
		"REDIS_PASSWORD": "hunter2", "REDIS_PASSWORD_FILE": "/also", "ALLOCATOR_ADDR": "-",
	})
	_, err := config.LoadAllocator()
	want := []string{
		"ALLOCATOR_ADDR", "INVENTORY is not set", "KEEPALIVE_URL", "RETRY_AFTER", "LOG_LEVEL", "REDIS_PASSWORD_FILE", "REDIS_DB", "REDIS_TLS",
	}
	lines := strings.Split(fmt.Sprint(err), "\n")
	if !slices.EqualFunc(lines, want, strings.HasPrefix) {
		t.Errorf("got\n%v\nwant lines that begin with %q", err, want)
	}
	if strings.Contains(fmt.Sprint(err), "hunter2") {
		t.Errorf("the error repeats the password: %v", err)
	}
}

func TestMistakesOfTheOtherServices(t *testing.T) {
	setenv(t, map[string]string{"KEEPALIVE_ADDR": "x", "EMBEDDED_REDIS_ADDR": "y"})
	if _, err := config.LoadKeepalive(); err == nil || !strings.HasPrefix(err.Error(), `KEEPALIVE_ADDR="x": `) {
		t.Errorf("keepalive: %v", err)
	}
	_, err := config.LoadStandalone()
	if err == nil || !strings.Contains(err.Error(), `KEEPALIVE_ADDR="x": `) || !strings.Contains(err.Error(), "\nEMBEDDED_REDIS_ADDR=\"y\": ") {
		t.Errorf("standalone: %v", err)
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, v := range config.Variables() {
		if known[v.Name] {
			t.Errorf("%s is listed twice", v.Name)
		}
		known[v.Name] = true
		if v.Description == "" || v.Allowed == "" {
			t.Errorf("%+v is not described", v)
		}
	}
	for _, name := range []string{"ALLOCATOR_ADDR", "KEEPALIVE_ADDR", "EMBEDDED_REDIS_ADDR", "INVENTORY", "LOG_LEVEL", "REDIS_PASSWORD"} {
		if !known[name] {
			t.Errorf("%s is not listed", name)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	c := config.Allocator{Redis: config.Redis{Password: "hunter2"}}
	var logs bytes.Buffer
	slog.New(slog.NewJSONHandler(&logs, nil)).Info("start", "config", c, "password", c.Redis.Password)
	slog.New(slog.NewTextHandler(&logs, nil)).Info("start", "config", c, "password", c.Redis.Password)
	marshalled, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %+v %#v %s %s", c, c, c, logs.String(), marshalled)
	if strings.Contains(shown, "hunter2") || strings.Count(shown, "[redacted]") != 8 {
		t.Errorf("the password should be redacted 8 times: %s", shown)
	}
	if got := fmt.Sprint(config.Secret("")); got != "" {
		t.Errorf("an empty secret prints as %q", got)
	}
}
