package config_test

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/config"
	"github.com/automation-infra/automation-infra/lease"
)

// none is an empty environment.
func none(string) (string, bool) { return "", false }

// environment is one that has only these variables.
func environment(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, set := variables[name]
		return value, set
	}
}

func parse(t *testing.T, text string, lookup func(string) (string, bool)) *lease.Inventory {
	t.Helper()
	inventory, err := config.ParseInventory([]byte(text), lookup)
	if err != nil {
		t.Fatal(err)
	}
	return inventory
}

func TestParseInventory(t *testing.T) {
	t.Parallel()
	inventory := parse(t, `---
pools:
  default:
    ttl: 90s
    max_hold: 1h
    ageing: 90m
    ask_within: 5s
    limits: {devices_per_lease: 32, leases_per_holder: 1, devices_per_holder: 128}
    devices:
      - name: rpi4-01
        labels: {model: rpi4, arch: arm64, cores: 4, wifi: true, revision: 1.10}
        attributes: {rack: 007, "asset tag": 0x1F, spare: no, note: "", since: 2024-01-01, "quoted": 'it''s'}
        connection: {host: 192.0.2.11, port: 22, factor: 1.5, offset: -3, tls: true, password: "${PW}", pin: "0123"}
      - name: 42
        attributes:
          note: |
            two
            lines
  empty:
    devices:
`, environment(map[string]string{"PW": "a${B}"}))

	if got := strings.Join(inventory.Pools(), " "); got != "default empty" {
		t.Errorf("the pools are %s", got)
	}
	pool := inventory.Pool("default")
	if pool.TTL != 90*time.Second || pool.MaxHold != time.Hour {
		t.Errorf("TTL %v, longest hold %v", pool.TTL, pool.MaxHold)
	}
	if q := (lease.Queueing{Ageing: 90 * time.Minute, AskWithin: 5 * time.Second}); pool.Queueing != q {
		t.Errorf("the rules of the line are %+v, want %+v", pool.Queueing, q)
	}
	if l := (lease.Limits{DevicesPerLease: 32, LeasesPerHolder: 1, DevicesPerHolder: 128}); pool.Limits != l {
		t.Errorf("the limits are %+v, want %+v", pool.Limits, l)
	}
	want := lease.Device{
		Name: "rpi4-01", Pool: "default",
		Labels:     map[string]string{"model": "rpi4", "arch": "arm64", "cores": "4", "wifi": "true", "revision": "1.10"},
		Attributes: map[string]string{"rack": "007", "asset tag": "0x1F", "spare": "no", "note": "", "since": "2024-01-01", "quoted": "it's"},
		Connection: lease.Connection{
			"host": "192.0.2.11", "port": int64(22), "factor": 1.5, "offset": int64(-3), "tls": true, "password": "a${B}", "pin": "0123",
		},
	}
	if got := *inventory.Device("rpi4-01"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v %v", got, map[string]any(got.Connection))
	}
	if device := inventory.Device("42"); device == nil || device.Class() != "-" || device.Attributes["note"] != "two\nlines\n" {
		t.Errorf("device 42 is %+v", device)
	}
	empty := inventory.Pool("empty")
	if empty.TTL != time.Minute || empty.MaxHold != 12*time.Hour || len(empty.Devices) != 0 {
		t.Errorf("the empty pool is %+v", empty)
	}
	if q := (lease.Queueing{Ageing: lease.DefaultAgeing, AskWithin: lease.DefaultAskWithin}); empty.Queueing != q || empty.Limits != (lease.Limits{}) {
		t.Errorf("the empty pool has the rules %+v and %+v", empty.Queueing, empty.Limits)
	}
}

func TestExampleInventory(t *testing.T) {
	t.Parallel()
	inventory := parse(t, string(config.ExampleInventory), none)
	pool := inventory.Pool(lease.DefaultPool)
	if pool == nil || len(pool.Devices) < 7 || len(pool.Classes()) != 3 {
		t.Errorf("the example has the pool %+v", pool)
	}
	for _, device := range pool.Devices {
		if host, _ := device.Connection["host"].(string); !strings.HasPrefix(host, "192.0.2.") {
			t.Errorf("%s has the address %q, which is not for documentation", device.Name, host)
		}
	}
	if q := (lease.Queueing{Ageing: lease.DefaultAgeing, AskWithin: lease.DefaultAskWithin}); pool.Queueing != q || pool.Limits != (lease.Limits{}) {
		t.Errorf("the example has the rules %+v and %+v", pool.Queueing, pool.Limits)
	}
}

func TestLimitsOfTheExampleAreValidWhenTheyAreMeant(t *testing.T) {
	t.Parallel()
	limits := parse(t, strings.Replace(string(config.ExampleInventory), "# limits:", "limits:", 1), none).Pool(lease.DefaultPool).Limits
	if limits.DevicesPerLease == 0 || limits.LeasesPerHolder == 0 || limits.DevicesPerHolder == 0 {
		t.Errorf("the limits are %+v", limits)
	}
}

func TestRulesOfTheLineAndLimits(t *testing.T) {
	t.Parallel()
	asDefault := lease.Queueing{Ageing: lease.DefaultAgeing, AskWithin: lease.DefaultAskWithin}
	tests := map[string]struct {
		fields   string
		queueing lease.Queueing
		limits   lease.Limits
	}{
		"nothing":      {"{}", asDefault, lease.Limits{}},
		"shortest":     {"{ageing: 1s, ask_within: 5s}", lease.Queueing{Ageing: time.Second, AskWithin: 5 * time.Second}, lease.Limits{}},
		"longest":      {"{ageing: 24h, ask_within: 60m}", lease.Queueing{Ageing: 24 * time.Hour, AskWithin: time.Hour}, lease.Limits{}},
		"one of both":  {"{ask_within: 2m}", lease.Queueing{Ageing: lease.DefaultAgeing, AskWithin: 2 * time.Minute}, lease.Limits{}},
		"null limits":  {"{limits: }", asDefault, lease.Limits{}},
		"empty limits": {"{limits: {}}", asDefault, lease.Limits{}},
		"one limit":    {"{limits: {leases_per_holder: 128}}", asDefault, lease.Limits{LeasesPerHolder: 128}},
		"lowest":       {"{limits: {devices_per_lease: 1, devices_per_holder: 1}}", asDefault, lease.Limits{DevicesPerLease: 1, DevicesPerHolder: 1}},
		"quoted":       {`{limits: {devices_per_lease: "32"}}`, asDefault, lease.Limits{DevicesPerLease: lease.MaxDevices}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := parse(t, "pools: {a: "+test.fields+"}", none).Pool("a")
			if pool.Queueing != test.queueing || pool.Limits != test.limits {
				t.Errorf("got %+v and %+v", pool.Queueing, pool.Limits)
			}
		})
	}
}

func TestMaxHoldAloneShortensTheDefaultTTL(t *testing.T) {
	t.Parallel()
	pool := parse(t, "pools: {a: {max_hold: 30s}}", none).Pool("a")
	if pool.TTL != 30*time.Second {
		t.Errorf("the TTL is %v", pool.TTL)
	}
}

func TestTheTextMayComeFromAnyEditor(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"byte order mark": "\ufeffpools:\n  a:\n",
		"CRLF":            "pools:\r\n  a:\r\n    devices:\r\n      - name: d\r\n",
		"JSON":            `{"pools": {"a": {"devices": [{"name": "d"}]}}}`,
		"empty documents": "---\npools:\n  a:\n...\n---\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if parse(t, text, none).Pool("a") == nil {
				t.Error("pool a is missing")
			}
		})
	}
}

func TestReferencesToTheEnvironment(t *testing.T) {
	t.Parallel()
	lookup := environment(map[string]string{"A": "1", "_b2": "x y", "EMPTY": "", "NESTED": "${A}"})
	tests := map[string]struct{ yaml, want string }{
		"alone":        {`"${A}"`, "1"},
		"in a text":    {`"<${A}${_b2}>"`, "<1x y>"},
		"plain":        {`a${A}`, "a1"},
		"single quote": {`'${A}'`, "1"},
		"block":        {"|\n            ${A}\n            b", "1\nb\n"},
		"empty":        {`"${EMPTY}"`, ""},
		"escaped":      {`"$${A}"`, "${A}"},
		"dollars":      {`"$A $$ $ {A}"`, "$A $$ $ {A}"},
		"not twice":    {`"${NESTED}"`, "${A}"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inventory := parse(t, device("connection:\n          value: "+test.yaml), lookup)
			if got := inventory.Device("a").Connection["value"]; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	t.Run("only in connections", func(t *testing.T) {
		t.Parallel()
		inventory := parse(t, device(`attributes: {a: "${A}"}`), lookup)
		if got := inventory.Device("a").Attributes["a"]; got != "${A}" {
			t.Errorf("got %q", got)
		}
	})
}

func TestLoadInventory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.yaml")
	writeFile(t, path, device(`connection: {password: "${LAB_PASSWORD}"}`))

	_, err := config.LoadInventory(path)
	want := path + ":5: pools.default.devices[0].connection: the environment variable LAB_PASSWORD is not set"
	if fmt.Sprint(err) != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	t.Setenv("LAB_PASSWORD", "hunter2")
	inventory, err := config.LoadInventory(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := inventory.Device("a").Connection["password"]; got != "hunter2" {
		t.Errorf("the password is %q", got)
	}
	for _, absent := range []string{path + ".none", filepath.Dir(path)} {
		if _, err := config.LoadInventory(absent); err == nil || !strings.Contains(err.Error(), absent) {
			t.Errorf("the error does not name %s: %v", absent, err)
		}
	}
}

// large returns an inventory of n devices, all of one pool.
func large(n int) []byte {
	var text strings.Builder
	text.WriteString("pools:\n  default:\n    devices:\n")
	for i := range n {
		fmt.Fprintf(&text, `      - name: d%d
        labels: {model: rpi4, arch: arm64}
        attributes: {rack: B2}
        connection: {host: 192.0.2.11, port: 22, user: pi, password: "x"}
`, i)
	}
	return []byte(text.String())
}

func TestTenThousandDevices(t *testing.T) {
	t.Parallel()
	const devices = 10_000
	inventory := parse(t, string(large(devices)), none)
	if got := len(inventory.Pool(lease.DefaultPool).Devices); got != devices {
		t.Errorf("%d devices", got)
	}
}

func BenchmarkParseInventory(b *testing.B) {
	text := large(10_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := config.ParseInventory(text, none); err != nil {
			b.Fatal(err)
		}
	}
}
