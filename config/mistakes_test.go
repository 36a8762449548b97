package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/automation-infra/automation-infra/config"
	"github.com/automation-infra/automation-infra/lease"
)

// problems parses an inventory that has mistakes and returns the lines of its error.
func problems(t *testing.T, text string) []string {
	t.Helper()
	inventory, err := config.ParseInventory([]byte(text), none)
	mistakes, ok := errors.AsType[*config.InventoryError](err)
	if !ok || inventory != nil {
		t.Fatalf("got %v and error %v, want an *InventoryError alone", inventory, err)
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(mistakes.Problems) {
		t.Errorf("%d lines tell %d problems", len(lines), len(mistakes.Problems))
	}
	return lines
}

// inPool is an inventory whose default pool has these lines, the first of which is line 3.
func inPool(lines ...string) string {
	return "pools:\n  default:\n    " + strings.Join(lines, "\n    ") + "\n"
}

// device is an inventory with a device that has these fields, on line 5.
func device(fields string) string {
	return inPool("devices:", "  - name: a", "    "+fields)
}

func TestMistakesOfAnInventory(t *testing.T) {
	t.Parallel()
	const (
		pool    = "pools.default"
		first   = "pools.default.devices[0]"
		seconds = ", in whole seconds, such as "
	)
	tests := map[string]struct {
		text string
		want []string // each the beginning of a line
	}{
		"empty file":           {"", []string{"inventory: the file is empty; it needs pools"}},
		"comments only":        {"# nothing\n", []string{"inventory: the file is empty"}},
		"null document":        {"~\n", []string{"inventory: the file is empty"}},
		"not a mapping":        {"- a\n", []string{"inventory:1: a mapping is needed here, not a list"}},
		"text":                 {"a\n", []string{"inventory:1: a mapping is needed here, not a text"}},
		"no pools":             {"{}\n", []string{"inventory:1: pools: at least one pool is needed"}},
		"null pools":           {"\npools:\n", []string{"inventory:2: pools: at least one pool"}},
		"empty pools":          {"pools: {}\n", []string{"inventory:1: pools: at least one pool"}},
		"pools is a list":      {"pools:\n  - a\n", []string{"inventory:1: pools: a mapping is needed here, not a list"}},
		"unknown at the top":   {"pools: {a: {}}\nversion: 1\n", []string{"inventory:2: version: unknown field; allowed are pools"}},
		"unknown in a pool":    {inPool("size: 1"), []string{"inventory:3: " + pool + ".size: unknown field; allowed are ttl, max_hold, ageing, ask_within, limits, devices"}},
		"unknown in a device":  {device("lables: {}"), []string{"inventory:5: " + first + ".lables: unknown field; allowed are name, labels, attributes, connection"}},
		"pool name":            {"pools:\n  Lab One:\n", []string{`inventory:2: pools."Lab One": "Lab One" is not a name: `}},
		"pool twice":           {"pools:\n  a:\n  b:\n  a:\n", []string{"inventory:4: pools.a: the same key a second time; the first is on line 2"}},
		"pool is a text":       {"pools:\n  a: b\n", []string{"inventory:2: pools.a: a mapping is needed here, not a text"}},
		"ttl without unit":     {inPool("ttl: 60"), []string{"inventory:3: " + pool + `.ttl: "60" is not a duration from 3s to 12h` + seconds + "1m"}},
		"ttl too short":        {inPool("ttl: 2s"), []string{"inventory:3: " + pool + `.ttl: "2s" is not a duration from 3s`}},
		"ttl over max_hold":    {inPool("ttl: 61s", "max_hold: 1m"), []string{"inventory:3: " + pool + `.ttl: "61s" is not a duration from 3s to 1m` + seconds + "1m"}},
		"ttl in part":          {inPool("ttl: 3500ms"), []string{"inventory:3: " + pool + `.ttl: "3500ms" is not`}},
		"ttl null":             {inPool("ttl:"), []string{"inventory:3: " + pool + `.ttl: a value is missing`}},
		"ttl a list":           {inPool("ttl: [60s]"), []string{"inventory:3: " + pool + `.ttl: a text is needed here, not a list`}},
		"max_hold too long":    {inPool("max_hold: 721h"), []string{"inventory:3: " + pool + `.max_hold: "721h" is not a duration from 3s to 720h` + seconds + "12h"}},
		"max_hold too short":   {inPool("max_hold: 1s"), []string{"inventory:3: " + pool + `.max_hold: "1s" is not`}},
		"ageing in part":       {inPool("ageing: 500ms"), []string{"inventory:3: " + pool + `.ageing: "500ms" is not a duration from 1s to 24h` + seconds + "5m"}},
		"ageing zero":          {inPool("ageing: 0s"), []string{"inventory:3: " + pool + `.ageing: "0s" is not a duration from 1s to 24h`}},
		"ageing too long":      {inPool("ageing: 24h1s"), []string{"inventory:3: " + pool + `.ageing: "24h1s" is not a duration from 1s to 24h`}},
		"ask_within too short": {inPool("ask_within: 4s"), []string{"inventory:3: " + pool + `.ask_within: "4s" is not a duration from 5s to 1h` + seconds + "45s"}},
		"ask_within too long":  {inPool("ask_within: 61m"), []string{"inventory:3: " + pool + `.ask_within: "61m" is not a duration from 5s to 1h`}},
		"ask_within null":      {inPool("ask_within:"), []string{"inventory:3: " + pool + `.ask_within: a value is missing`}},
		"limits is a number":   {inPool("limits: 4"), []string{"inventory:3: " + pool + ".limits: a mapping is needed here, not a number"}},
		"unknown limit":        {inPool("limits: {devices: 1}"), []string{"inventory:3: " + pool + ".limits.devices: unknown field; allowed are devices_per_lease, leases_per_holder, devices_per_holder"}},
		"limit zero":           {inPool("limits: {devices_per_lease: 0}"), []string{"inventory:3: " + pool + `.limits.devices_per_lease: "0" is not a number from 1 to 32; leave it out for no limit`}},
		"limit too high":       {inPool("limits: {devices_per_lease: 33}"), []string{"inventory:3: " + pool + `.limits.devices_per_lease: "33" is not a number from 1 to 32`}},
		"limit of holder":      {inPool("limits: {leases_per_holder: 129}"), []string{"inventory:3: " + pool + `.limits.leases_per_holder: "129" is not a number from 1 to 128; leave it out for no limit`}},
		"limit below zero":     {inPool("limits: {devices_per_holder: -1}"), []string{"inventory:3: " + pool + `.limits.devices_per_holder: "-1" is not a number from 1 to 128; leave it out for no limit`}},
		"limit in octal":       {inPool("limits: {devices_per_lease: 010}"), []string{"inventory:3: " + pool + `.limits.devices_per_lease: "010" is not a number`}},
		"limit in part":        {inPool("limits: {devices_per_lease: 1.5}"), []string{"inventory:3: " + pool + `.limits.devices_per_lease: "1.5" is not a number`}},
		"limit null":           {inPool("limits: {devices_per_lease: }"), []string{"inventory:3: " + pool + ".limits.devices_per_lease: a value is missing"}},
		"limit a list":         {inPool("limits: {devices_per_lease: [1]}"), []string{"inventory:3: " + pool + ".limits.devices_per_lease: a text is needed here, not a list"}},
		"line and limits": {
			inPool("ageing: 5", "limits:", "  devices_per_lease: many", "  leases_per_holder: 0", "ask_within: soon"),
			[]string{
				"inventory:3: pools.default.ageing: ", "inventory:5: pools.default.limits.devices_per_lease: ",
				"inventory:6: pools.default.limits.leases_per_holder: ", "inventory:7: pools.default.ask_within: ",
			},
		},
		"devices is a mapping":  {inPool("devices: {a: b}"), []string{"inventory:3: " + pool + ".devices: a list is needed here, not a mapping"}},
		"devices is a boolean":  {inPool("devices: true"), []string{"inventory:3: " + pool + ".devices: a list is needed here, not a boolean"}},
		"empty device":          {inPool("devices:", "  -", "  - name: a"), []string{"inventory:4: " + first + ": a device is missing"}},
		"device is a text":      {inPool("devices:", "  - a"), []string{"inventory:4: " + first + ": a mapping is needed here, not a text"}},
		"device without name":   {inPool("devices:", "  - labels: {}"), []string{"inventory:4: " + first + ": a name is missing"}},
		"name null":             {inPool("devices:", "  - name:"), []string{"inventory:4: " + first + ".name: a value is missing"}},
		"name":                  {inPool("devices:", "  - name: rpi4/01"), []string{"inventory:4: " + first + `.name: "rpi4/01" is not a name: 1 to 64 of `}},
		"name twice":            {"pools:\n  a:\n    devices:\n    - name: x\n  b:\n    devices:\n    - name: x\n", []string{`inventory:7: pools.b.devices[0].name: "x" is the name of another device, on line 4; names are unique in all pools`}},
		"label key":             {device("labels: {a b: c}"), []string{"inventory:5: " + first + `.labels."a b": "a b" is not a label key: `}},
		"label value":           {device("labels: {model: a/b}"), []string{"inventory:5: " + first + `.labels.model: "a/b" is not a label value: `}},
		"label null":            {device("labels: {model: }"), []string{"inventory:5: " + first + `.labels.model: a value is missing; "" is the empty text`}},
		"label twice":           {device("labels: {model: a, model: b}"), []string{"inventory:5: " + first + ".labels.model: the same key a second time; the first is on line 5"}},
		"labels is a list":      {device("labels: [a]"), []string{"inventory:5: " + first + ".labels: a mapping is needed here, not a list"}},
		"attribute list":        {device("attributes: {rack: [1]}"), []string{"inventory:5: " + first + ".attributes.rack: a text is needed here, not a list"}},
		"attribute null":        {device("attributes: {rack: ~}"), []string{"inventory:5: " + first + ".attributes.rack: a value is missing"}},
		"attribute no name":     {device(`attributes: {"": a}`), []string{"inventory:5: " + first + `.attributes."": an attribute needs a name`}},
		"connection list":       {device("connection: [a]"), []string{"inventory:5: " + first + ".connection: a mapping is needed here, not a list"}},
		"connection of mapping": {device("connection: {ssh: {port: 22}}"), []string{"inventory:5: " + first + ".connection: a text, number or boolean is needed here, not a mapping"}},
		"connection key":        {device("connection: {Host: a}"), []string{"inventory:5: " + first + ".connection: a key of a connection is a-z, 0-9 and _, and begins with a letter"}},
		"connection null":       {device("connection: {host: }"), []string{"inventory:5: " + first + ".connection: a key has no value; "}},
		"octal":                 {device("connection: {pin: 0123}"), []string{"inventory:5: " + first + ".connection: a number that would not stay as it is written: quote it"}},
		"integer too large":     {device("connection: {pin: 9223372036854775808}"), []string{"inventory:5: " + first + ".connection: a number that would not stay"}},
		"float too precise":     {device("connection: {version: 1.10}"), []string{"inventory:5: " + first + ".connection: a number that would not stay"}},
		"infinity":              {device("connection: {factor: .inf}"), []string{"inventory:5: " + first + ".connection: a text, number or boolean is needed here, not a number"}},
		"variable not set":      {device("connection: {password: \"${NAME}\"}"), []string{"inventory:5: " + first + ".connection: the environment variable NAME is not set"}},
		"variable not a name":   {device("connection: {password: \"${a-b}\"}"), []string{"inventory:5: " + first + ".connection: ${ is not followed by the name of an environment variable"}},
		"anchor and alias":      {device("labels: &l {a: b}\n        attributes: *l"), []string{"inventory:5: anchors (&) are not supported", "inventory:6: aliases (*) are not supported"}},
		"merge key":             {device("labels: {<<: {a: b}}"), []string{"inventory:5: merge keys (<<) are not supported"}},
		"tag":                   {device("labels: {a: !!str 1}"), []string{"inventory:5: tags (!) are not supported"}},
		"complex key":           {"? pools\n: {}\n", []string{"inventory:1: keys that begin with ? are not supported"}},
		"directive":             {"%YAML 1.2\n---\npools: {a: {}}\n", []string{"inventory:1: directives (%) are not supported"}},
		"two documents":         {"pools: {a: {}}\n---\npools: {b: {}}\n", []string{"inventory:3: a second document begins"}},
		"tab":                   {"pools:\n\ta:\n", []string{"inventory:2: not YAML: "}},
		"quote not closed":      {"pools:\n  a: \"b\n", []string{"inventory:2: not YAML: could not find end character of double-quoted text"}},
		"brace not closed":      {"pools:\n  a: {\n", []string{"inventory:2: not YAML: "}},
		"indentation":           {"pools:\n  a:\n    ttl: 60s\n   devices:\n", []string{"inventory:4: not YAML: "}},
		"not UTF-8":             {"pools:\n  a: {} # \xff\n", []string{"inventory:2: not UTF-8 text"}},
		"too large":             {strings.Repeat("#", 16<<20+1), []string{"inventory: larger than 16 MiB"}},
		"too deep":              {strings.Repeat("[", 1<<16), []string{"inventory:1: nested deeper than 64 levels"}},
		"too deep in blocks":    {strings.Repeat("- ", 1<<16), []string{"inventory:1: nested deeper than 64 levels"}},
		"too deep in mappings":  {strings.Repeat("a: ", 1<<16), []string{"inventory:1: nested deeper than 64 levels"}},
		"too many keys":         {strings.Repeat("a:\n", 1<<14), []string{"inventory:10001: more than 10000 keys in one mapping"}},
		"too many keys in flow": {"{" + strings.Repeat("a,", 1<<14), []string{"inventory:1: more than 10000 keys in one mapping"}},
		"too many items":        {strings.Repeat("-\n", 1<<17), []string{"inventory:100001: more than 100000 items in one list"}},
		"too many in flow":      {"[" + strings.Repeat("a,", 1<<17), []string{"inventory:1: more than 100000 items in one list"}},
		"too many blank lines":  {"a: |\n" + strings.Repeat("\n", 1<<17), []string{"inventory:1002: more than 1000 blank lines in a row"}},
		"every mistake, in order": {
			inPool("ttl: 1s", "devices:", "  - {name: A, labels: {b c: 1}, x: y}", "  - name: b", "    connection: {p: ~}", "size: 1"),
			[]string{
				"inventory:3: pools.default.ttl: ", "inventory:5: pools.default.devices[0].x: ", "inventory:5: pools.default.devices[0].name: ",
				"inventory:5: pools.default.devices[0].labels.", "inventory:7: pools.default.devices[1].connection: ", "inventory:8: pools.default.size: ",
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := problems(t, test.text)
			for i := range max(len(lines), len(test.want)) {
				if i >= len(lines) || i >= len(test.want) || !strings.HasPrefix(lines[i], test.want[i]) {
					t.Fatalf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(test.want, "\n"))
				}
			}
		})
	}
}

func TestTooManyClasses(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("pools:\n  default:\n    devices:\n")
	add := func(i int) { fmt.Fprintf(&text, "    - {name: d%d, labels: {serial: s%d}}\n", i, i) }
	for i := range lease.MaxClasses {
		add(i)
	}
	parse(t, text.String(), none)
	add(lease.MaxClasses)
	want := "inventory:2: pools.default: its devices have 129 different sets of labels, at most 128 are allowed; " +
		"a label that is unique to one device belongs in attributes"
	if got := problems(t, text.String()); len(got) != 1 || got[0] != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestConnectionValuesAreNotRepeated(t *testing.T) {
	t.Parallel()
	for _, connection := range []string{
		"{password: abc,hunter2}", "{password: a,hunter2:0123}", "{password: abc,hunter2: x}", "{password: a, hunter2, hunter2}", "{password: |hunter2}",
		"{password: !hunter2 x}", "{password: &hunter2 x}", "{password: *hunter2}", "{password: @hunter2}", "{password: \"hunter2}",
		"{password: [hunter2]}", "{password: {hunter2: 1}}", "user:hunter2", "\n          password: |hunter2", "\n          password: >hunter2",
		"\n          password: %hunter2", "\n          password: \"\\hunter2\"", "{password:hunter2,hunter2}", "\n          hunter2",
		"\n          - hunter2", "{password: \"${hunter2-}\"}", "{Password-hunter2: x}", "{password: !!int hunter2}",
	} {
		t.Run(connection, func(t *testing.T) {
			t.Parallel()
			text := device("connection: "+connection) + "    size: 1\n"
			if got := strings.Join(problems(t, text), "\n"); strings.Contains(got, "hunter2") {
				t.Errorf("a piece of the password is told: %s", got)
			}
		})
	}
}
