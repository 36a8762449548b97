package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// parseScenario reads a scenario file. The error has a line for each mistake: "mine.yaml:7: cycles.hold: …".
func parseScenario(file string, text []byte) (scenario, error) {
	body, err := parseDocument(text)
	if err != nil {
		return scenario{}, fmt.Errorf("%s:%w", file, err)
	}
	s := blank()
	s.name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	r := &reading{file: file, lines: map[string]int{}, fields: map[string]field{}}
	for _, f := range s.fields() {
		r.fields[f.path] = f
	}
	r.mapping("", body)
	r.finish(&s)
	return s, r.err()
}

// blank is a scenario that says nothing yet, with all sections for the fields to be read into.
func blank() scenario {
	return scenario{
		ttl: time.Minute, keepalives: &keepalives{}, cycles: &cycles{}, ramp: &ramp{}, closed: &closed{},
		floor: floor{p99: map[operation]time.Duration{}},
	}
}

// parseDocument returns the mapping that a YAML text is. The error begins with the line.
func parseDocument(text []byte) (*ast.MappingNode, error) {
	file, err := parser.ParseBytes(text, 0)
	if syntax := yaml.Error(nil); errors.As(err, &syntax) && syntax.GetToken() != nil {
		return nil, fmt.Errorf("%d: not YAML: %s", syntax.GetToken().Position.Line, syntax.GetMessage())
	}
	if err != nil {
		return nil, fmt.Errorf(" not YAML: %w", err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case body != nil:
			return nil, fmt.Errorf("%d: a second document begins; a scenario is one", doc.Body.GetToken().Position.Line)
		default:
			body = doc.Body
		}
	}
	if body == nil || body.Type() == ast.CommentType {
		return nil, fmt.Errorf(" %w", errEmpty)
	}
	mapping, ok := body.(*ast.MappingNode)
	if !ok {
		return nil, fmt.Errorf("%d: a scenario is a mapping, such as duration: 60s", body.GetToken().Position.Line)
	}
	return mapping, nil
}

// reading is what is known of a scenario file while it is read.
type reading struct {
	file     string
	fields   map[string]field
	lines    map[string]int // of the paths that the file has
	mistakes []mistake
}

type mistake struct {
	line    int // 0 when it is about the whole file
	path    string
	message string
}

func (r *reading) wrong(path, format string, args ...any) {
	line, at := 0, path
	for line == 0 && at != "" { // what is missing is missed where it belongs
		line = r.lines[at]
		at = parent(at)
	}
	r.mistakes = append(r.mistakes, mistake{line, path, fmt.Sprintf(format, args...)})
}

// parent is the section that a path is in, "" for the file.
func parent(path string) string { return path[:max(0, strings.LastIndexByte(path, '.'))] }

// mapping reads the pairs of a mapping into their fields.
func (r *reading) mapping(path string, node *ast.MappingNode) {
	for _, pair := range node.Values {
		at := strings.TrimPrefix(path+"."+pair.Key.String(), ".")
		r.lines[at] = pair.Key.GetToken().Position.Line
		f, known := r.fields[at]
		switch {
		case slices.Contains(sections, at):
			r.section(at, pair.Value)
		case known:
			r.value(f, pair.Value)
		default:
			r.wrong(at, "there is no such field; allowed are %s", strings.Join(r.siblings(path), ", "))
		}
	}
}

func (r *reading) section(at string, node ast.Node) {
	switch n := node.(type) {
	case *ast.MappingNode:
		r.mapping(at, n)
	case *ast.NullNode, nil:
	default:
		r.wrong(at, "it is a mapping, of %s", strings.Join(r.siblings(at), ", "))
	}
}

func (r *reading) value(f field, node ast.Node) {
	written := ""
	switch n := node.(type) {
	case *ast.StringNode:
		written = n.Value
	case *ast.LiteralNode:
		written = n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode:
		written = n.GetToken().Value
	}
	if written == "" || !f.set(written) {
		r.wrong(f.path, "%q is not %s", cmp.Or(written, strings.TrimSpace(node.String())), f.allowed)
	}
}

// siblings are the names of what a section may have.
func (r *reading) siblings(section string) []string {
	var names []string
	for _, f := range allFields() {
		rest, inside := strings.CutPrefix("."+f.path, strings.TrimSuffix("."+section, ".")+".")
		name, _, _ := strings.Cut(rest, ".")
		if inside && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// allFields are the fields of no scenario in particular.
func allFields() []field {
	s := blank()
	return s.fields()
}

// finish drops the sections that the file does not have, and checks the whole.
func (r *reading) finish(s *scenario) {
	if r.lines["keepalives"] == 0 {
		s.keepalives = nil
	}
	if r.lines["cycles"] == 0 {
		s.cycles = nil
	}
	if r.lines["ramp"] == 0 {
		s.ramp = nil
	}
	if r.lines["closed"] == 0 {
		s.closed = nil
	}
	required := []string{"devices", "duration"}
	if s.ramp != nil {
		required = append(required, "ramp.every", "ramp.factor", "ramp.p99")
	}
	if s.closed != nil {
		required = append(required, "closed.connections")
	}
	for _, path := range required {
		if r.lines[path] == 0 {
			r.wrong(path, "it is missing: %s, %s", r.fields[path].about, r.fields[path].allowed)
		}
	}
	if len(r.mistakes) == 0 {
		s.check(r.wrong)
	}
}

// err lists the mistakes by line; nil when there is none.
func (r *reading) err() error {
	if len(r.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(r.mistakes, func(a, b mistake) int { return cmp.Compare(a.line, b.line) })
	lines := make([]string, len(r.mistakes))
	for i, m := range r.mistakes {
		lines[i] = r.file + ":"
		if m.line > 0 {
			lines[i] += fmt.Sprintf("%d:", m.line)
		}
		if m.path != "" {
			lines[i] += " " + m.path + ":"
		}
		lines[i] += " " + m.message
	}
	return errors.New(strings.Join(lines, "\n"))
}
