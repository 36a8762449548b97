package config

import (
	"regexp"
	"strconv"

	"github.com/goccy/go-yaml/ast"

	"github.com/automation-infra/automation-infra/lease"
)

// connectionKey is what keys of a connection match, so that they can become names of environment variables.
var connectionKey = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// reference is ${NAME}, what could have been meant to be one, or the escaped $${.
var reference = regexp.MustCompile(`\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{`)

// connection reads how to reach a device. Its problems repeat nothing of it but names of environment variables.
func (r *reader) connection(at place) lease.Connection {
	at.secret = true
	entries, _ := r.mapping(at)
	connection := make(lease.Connection, len(entries))
	for _, e := range entries {
		if !connectionKey.MatchString(e.key) {
			r.problem(e.value, "a key of a connection is a-z, 0-9 and _, and begins with a letter; quote values that contain a comma or a colon")
			continue
		}
		if value, ok := r.connectionValue(e.value); ok {
			connection[e.key] = value
		}
	}
	return connection
}

// connectionValue returns a string, int64, float64 or bool.
func (r *reader) connectionValue(at place) (any, bool) {
	switch n := at.node.(type) {
	case *ast.StringNode:
		return r.expand(at, n.Value)
	case *ast.LiteralNode:
		return r.expand(at, n.Value.Value)
	case *ast.BoolNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode:
		return r.number(at, n.GetToken().Value)
	case *ast.NullNode:
		r.problem(at, `a key has no value; write "" for the empty text, and quote a text that contains a comma`)
	default:
		r.problem(at, "a text, number or boolean is needed here, not %s", kind(n))
	}
	return nil, false
}

// number returns a number that reads the same after it was one. What does not, like 0123 or 1.10, was meant to be a text.
func (r *reader) number(at place, text string) (any, bool) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(i, 10) == text {
		return i, true
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && strconv.FormatFloat(f, 'f', -1, 64) == text {
		return f, true
	}
	r.problem(at, "a number that would not stay as it is written: quote it to make it text, or write it in decimal, without + and without zeros at its ends")
	return nil, false
}

// expand replaces references to environment variables.
func (r *reader) expand(at place, text string) (string, bool) {
	ok := true
	expanded := reference.ReplaceAllStringFunc(text, func(match string) string {
		name := reference.FindStringSubmatch(match)[1]
		if match == "$${" {
			return "${"
		}
		if name == "" {
			r.problem(at, "${ is not followed by the name of an environment variable and }; write $${ where ${ is meant")
			ok = false
			return ""
		}
		value, set := r.lookup(name)
		if !set {
			r.problem(at, "the environment variable %s is not set", name)
			ok = false
		}
		return value
	})
	return expanded, ok
}
