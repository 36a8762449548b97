package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// place is a value of the file, and where it is.
type place struct {
	node   ast.Node // nil when the file has no such value
	line   int
	path   string
	secret bool // whether messages must not repeat what is in it, not even keys
}

// plainKey is a key that a path shows as it is.
var plainKey = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)

// child is the place of a value in a mapping. The path of one in a secret place stays that of the mapping: what YAML
// takes for a key may be a piece of a value, as in {password: abc,def}.
func (p place) child(key string, node ast.Node, line int) place {
	c := place{node: node, line: line, path: p.path, secret: p.secret}
	if p.secret {
		return c
	}
	if !plainKey.MatchString(key) {
		key = strconv.Quote(key)
	}
	c.path = strings.TrimPrefix(p.path+"."+key, ".")
	return c
}

// entry is a key of a mapping and its value.
type entry struct {
	key   string
	value place
}

// reader walks through the file and notes every problem.
type reader struct {
	lookup   func(string) (string, bool)
	devices  map[string]int // the line of the device of a name
	problems []Problem
}

func (r *reader) problem(at place, format string, args ...any) {
	r.problems = append(r.problems, Problem{Line: at.line, Path: at.path, Message: fmt.Sprintf(format, args...)})
}

// mapping returns the entries of a mapping in the order of the file, none for an empty value, and whether it is one.
func (r *reader) mapping(at place) ([]entry, bool) {
	if isNull(at.node) {
		return nil, true
	}
	node, ok := at.node.(*ast.MappingNode)
	if !ok {
		r.problem(at, "a mapping is needed here, not %s", kind(at.node))
		return nil, false
	}
	entries := make([]entry, 0, len(node.Values))
	lines := make(map[string]int, len(node.Values))
	for _, pair := range node.Values {
		key, _ := scalar(pair.Key)
		value := at.child(key, pair.Value, pair.Key.GetToken().Position.Line)
		if first, twice := lines[key]; twice {
			r.problem(value, "the same key a second time; the first is on line %d", first)
			continue
		}
		lines[key] = value.line
		entries = append(entries, entry{key, value})
	}
	return entries, true
}

// fields returns the values of a mapping that may have these keys only, and whether it is a mapping.
func (r *reader) fields(at place, allowed ...string) (map[string]place, bool) {
	entries, ok := r.mapping(at)
	fields := make(map[string]place, len(entries))
	for _, e := range entries {
		if !slices.Contains(allowed, e.key) {
			r.problem(e.value, "unknown field; allowed are %s", strings.Join(allowed, ", "))
			continue
		}
		fields[e.key] = e.value
	}
	return fields, ok
}

// list returns the items of a list, none for an empty value.
func (r *reader) list(at place) []place {
	if isNull(at.node) {
		return nil
	}
	node, ok := at.node.(*ast.SequenceNode)
	if !ok {
		r.problem(at, "a list is needed here, not %s", kind(at.node))
		return nil
	}
	items := make([]place, len(node.Values))
	for i, value := range node.Values {
		items[i] = place{node: value, line: value.GetToken().Position.Line, path: fmt.Sprintf("%s[%d]", at.path, i)}
	}
	return items
}

// text returns a text, or a number or boolean as it is written.
func (r *reader) text(at place) (string, bool) {
	if isNull(at.node) {
		r.problem(at, `a value is missing; "" is the empty text`)
		return "", false
	}
	text, ok := scalar(at.node)
	if !ok {
		r.problem(at, "a text is needed here, not %s", kind(at.node))
	}
	return text, ok
}

// isNull reports whether a value is missing or null.
func isNull(node ast.Node) bool {
	_, null := node.(*ast.NullNode)
	return null || node == nil
}

// scalar returns the text of a scalar as it is written, without quotes, and whether node is one.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode, *ast.BoolNode, *ast.NullNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// kind names what a value that is not null is.
func kind(node ast.Node) string {
	switch node.(type) {
	case *ast.MappingNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "a boolean"
	}
	return "a text"
}
