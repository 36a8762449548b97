package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/automation-infra/automation-infra/client"
)

// variable is an environment variable.
type variable struct{ name, value string }

// variables tell a command what it leased. The first of a name is the one that counts, so that no key of a connection can pose as
// something of the lease.
type variables struct {
	all   []variable
	taken map[string]bool
}

func (v *variables) add(name, value string) {
	if !v.taken[name] {
		v.all, v.taken[name] = append(v.all, variable{name, value}), true
	}
}

// withhold sees to it that a name is not given away.
func (v *variables) withhold(name string) { v.taken[name] = true }

// variablesOf are those of a lease: LEASE_ID and so on; LEASE_DEVICE and each key of the connection, when it has one device; and the same
// for each demand with a name, as LEASE_<AS>_…, numbered if that has several.
func variablesOf(l *client.Lease, exportToken bool) ([]variable, error) {
	v := &variables{taken: map[string]bool{}}
	devices, err := devicesJSON(l)
	if err != nil {
		return nil, err
	}
	v.add("LEASE_ID", l.ID)
	v.add("LEASE_POOL", l.Pool)
	v.add("LEASE_FENCE", strconv.FormatInt(l.Fence, 10))
	v.add("LEASE_EXPIRE_TIME", l.Expire.UTC().Format(time.RFC3339Nano))
	v.add("LEASE_DEVICES", strings.Join(deviceNames(l), " "))
	v.add("LEASE_JSON", devices)
	if exportToken {
		v.add("LEASE_TOKEN", string(l.Token))
	}
	v.withhold("LEASE_TOKEN")
	if len(l.Devices) == 1 {
		v.addDevice("LEASE_", l.Devices[0])
	}
	v.withhold("LEASE_DEVICE")
	number := map[string]int{}
	for _, d := range l.Devices {
		if d.As != "" {
			number[d.As]++
			v.addDevice(prefix(l, d.As, number[d.As]), d)
		}
	}
	return v.all, nil
}

// addDevice adds the name of a device and each key of its connection.
func (v *variables) addDevice(prefix string, d client.LeasedDevice) {
	v.add(prefix+"DEVICE", d.Name)
	for _, key := range slices.Sorted(maps.Keys(d.Connection)) {
		v.add(prefix+strings.ToUpper(key), fmt.Sprint(d.Connection[key]))
	}
}

// prefix is how the names of the variables of the nth device of a demand begin.
func prefix(l *client.Lease, as string, n int) string {
	several := 0
	for _, d := range l.Devices {
		if d.As == as {
			several++
		}
	}
	if several == 1 {
		return "LEASE_" + strings.ToUpper(as) + "_"
	}
	return fmt.Sprintf("LEASE_%s_%d_", strings.ToUpper(as), n)
}

func deviceNames(l *client.Lease) []string {
	names := make([]string, len(l.Devices))
	for i, d := range l.Devices {
		names[i] = d.Name
	}
	return names
}

// devicesJSON is the devices of a lease with their connections, as the API writes them.
func devicesJSON(l *client.Lease) (string, error) {
	text, err := l.Reveal()
	if err != nil {
		return "", err
	}
	var b struct {
		Devices json.RawMessage `json:"devices"`
	}
	if err := json.Unmarshal(text, &b); err != nil {
		return "", err
	}
	return string(b.Devices), nil
}

// environ is an environment with variables of a lease, and of no other: when leases are nested, what is left of the outer one must not
// be taken for the inner one's.
func environ(inherited []string, url string, vars []variable) []string {
	env := slices.DeleteFunc(slices.Clone(inherited), func(one string) bool {
		return strings.HasPrefix(one, "LEASE_") || strings.HasPrefix(one, "LEASES_URL=")
	})
	env = append(env, "LEASES_URL="+url)
	for _, v := range vars {
		env = append(env, v.name+"="+v.value)
	}
	return env
}

// exports are lines for eval in a POSIX shell.
func exports(vars []variable) string {
	var b strings.Builder
	for _, v := range vars {
		fmt.Fprintf(&b, "export %s='%s'\n", v.name, strings.ReplaceAll(v.value, "'", `'\''`))
	}
	return b.String()
}
