package config

import (
	"cmp"
	"fmt"
	"strings"
)

// Problem is one mistake in an inventory.
type Problem struct {
	Line    int    // counted from 1; 0 when it is about the whole file
	Path    string // such as pools.default.devices[3].labels.model, without keys of connections; "" for the line or the file
	Message string // what is wrong and what is allowed; nothing of a connection but names of environment variables
}

// InventoryError lists every mistake of an inventory, in the order of its lines.
type InventoryError struct {
	File     string // "" when it was not read from a file
	Problems []Problem
}

// Error returns one line for each problem: "inventory.yaml:12: pools.default.devices[3].name: …".
func (e *InventoryError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		line := cmp.Or(e.File, "inventory") + ":"
		if p.Line > 0 {
			line += fmt.Sprintf("%d:", p.Line)
		}
		if p.Path != "" {
			line += " " + p.Path + ":"
		}
		lines[i] = line + " " + p.Message
	}
	return strings.Join(lines, "\n")
}
