package config

import (
	"cmp"
	_ "embed"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/automation-infra/automation-infra/lease"
)

// ExampleInventory is an inventory that explains itself. It needs no environment.
//
//go:embed inventory.example.yaml
var ExampleInventory []byte

// LoadInventory reads the inventory file at path; references in it are to the environment of the process. The error names
// the file; when the inventory has mistakes, it is an *InventoryError that lists all of them.
func LoadInventory(path string) (*lease.Inventory, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxInventorySize+1))
	if err != nil {
		return nil, err
	}
	inventory, err := ParseInventory(text, os.LookupEnv)
	if mistakes, ok := errors.AsType[*InventoryError](err); ok {
		mistakes.File = path
	}
	return inventory, err
}

// ParseInventory reads an inventory; lookup answers the references in it, as os.LookupEnv does. The error is an
// *InventoryError that lists every mistake, and never a connection value.
func ParseInventory(text []byte, lookup func(string) (string, bool)) (*lease.Inventory, error) {
	root, problems := parseDocument(text)
	if len(problems) > 0 {
		return nil, &InventoryError{Problems: problems}
	}
	if isNull(root) {
		return nil, &InventoryError{Problems: []Problem{{Message: "the file is empty; it needs pools"}}}
	}
	r := &reader{lookup: lookup, devices: map[string]int{}}
	pools := r.inventory(place{node: root, line: root.GetToken().Position.Line})
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
		return nil, &InventoryError{Problems: r.problems}
	}
	return lease.NewInventory(pools), nil
}

func (r *reader) inventory(at place) []lease.Pool {
	fields, ok := r.fields(at, "pools")
	if !ok {
		return nil
	}
	entries, ok := r.mapping(fields["pools"])
	if ok && len(entries) == 0 {
		r.problem(place{line: cmp.Or(fields["pools"].line, at.line), path: "pools"}, "at least one pool is needed")
	}
	pools := make([]lease.Pool, 0, len(entries))
	for _, e := range entries {
		pools = append(pools, r.pool(e))
	}
	return pools
}

func (r *reader) device(at place) lease.Device {
	if isNull(at.node) {
		r.problem(at, "a device is missing; remove the empty item or give it a name")
		return lease.Device{}
	}
	fields, ok := r.fields(at, "name", "labels", "attributes", "connection")
	if !ok {
		return lease.Device{}
	}
	return lease.Device{
		Name:       r.deviceName(at, fields),
		Labels:     r.texts(fields["labels"], lease.ValidateLabel),
		Attributes: r.texts(fields["attributes"], validateAttribute),
		Connection: r.connection(fields["connection"]),
	}
}

func (r *reader) deviceName(device place, fields map[string]place) string {
	at, found := fields["name"]
	if !found {
		r.problem(device, "a name is missing")
		return ""
	}
	name, ok := r.text(at)
	if !ok {
		return ""
	}
	if err := lease.ValidateName(name); err != nil {
		r.problem(at, "%v", err)
		return ""
	}
	if first, twice := r.devices[name]; twice {
		r.problem(at, "%q is the name of another device, on line %d; names are unique in all pools", name, first)
		return ""
	}
	r.devices[name] = at.line
	return name
}

// texts returns a mapping of texts, of which each pair is valid.
func (r *reader) texts(at place, validate func(key, value string) error) map[string]string {
	entries, _ := r.mapping(at)
	texts := make(map[string]string, len(entries))
	for _, e := range entries {
		value, ok := r.text(e.value)
		if !ok {
			continue
		}
		if err := validate(e.key, value); err != nil {
			r.problem(e.value, "%v", err)
		}
		texts[e.key] = value
	}
	return texts
}

func validateAttribute(key, _ string) error {
	if key == "" {
		return errors.New("an attribute needs a name")
	}
	return nil
}
