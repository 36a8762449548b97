package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/automation-infra/automation-infra/config"
)

// FuzzParseInventory holds that any text is an inventory with a pool, or has problems that are each told in a line.
func FuzzParseInventory(f *testing.F) {
	f.Add(config.ExampleInventory)
	for _, text := range []string{
		"", "pools: {}", "pools: {a: {}}", "---\npools:\n  a:\n...\n", "pools: [", "a: \"", "a: |\n\n", "a: &b *c", "? a\n: b", "%YAML 1.2\n---\n",
		"<<: {}", "!!str a", "- - - a", "key:\n}", "{? {? ", ">\n>", "{0", "*-0", "|0#", "0\n:", "pools:\r\n\ta:", "\ufeffpools:", "\xff",
		inPool("ttl: 60s", "max_hold: 12h", "ageing: 5m", "ask_within: 45s", "limits: {devices_per_lease: 4}", "devices: [{name: a, labels: {b: 1}, attributes: {c: 0x1}, connection: {d: \"${E}$${\"}}]"),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		inventory, err := config.ParseInventory(text, none)
		if err == nil {
			if len(inventory.Pools()) == 0 {
				t.Error("an inventory without pools")
			}
			return
		}
		mistakes, ok := errors.AsType[*config.InventoryError](err)
		if !ok || len(mistakes.Problems) == 0 {
			t.Fatalf("%v is not an *InventoryError with problems", err)
		}
		if lines := strings.Count(err.Error(), "\n") + 1; lines != len(mistakes.Problems) {
			t.Errorf("%d lines tell %d problems:\n%v", lines, len(mistakes.Problems), err)
		}
	})
}

// FuzzConnectionSecret holds that no message repeats a value of a connection, however it is written.
func FuzzConnectionSecret(f *testing.F) {
	const secret = "hunter2"
	for _, around := range [][2]string{
		{"", ""}, {"\"", "\""}, {"'", ""}, {"a,", ""}, {"a, ", ": b"}, {"|", ""}, {"!", " x"}, {"&", ""}, {"\"\\", ""}, {"[", "]"}, {"%", ""}, {"@", ""}, {"# ", ""},
	} {
		f.Add(around[0], around[1], true)
		f.Add(around[0], around[1], false)
	}
	f.Fuzz(func(t *testing.T, before, after string, flow bool) {
		if strings.ContainsAny(before+after, "\r\n}") || strings.HasSuffix(before, "${") {
			t.Skip("leaves the connection, or names a variable")
		}
		text := device("connection:\n          password: " + before + secret + after)
		if flow {
			text = device("connection: {password: " + before + secret + after + "}")
		}
		if _, err := config.ParseInventory([]byte(text), none); err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%q is told: %v", text, err)
		}
	})
}
