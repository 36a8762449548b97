package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// The formats in which things are printed.
const (
	formatTable = "table"
	formatWide  = "wide"
	formatJSON  = "json"
	formatYAML  = "yaml"
	formatName  = "name"
)

const outputHelp = `The formats are table; wide, with more columns; json and yaml, as the API has it, in full and with absolute times; and name. In json and
yaml, what was named alone is an object, anything else a list. Times in tables are relative, by the service's clock.`

// outputFlags are the flags that say how to print, and whether to go on.
type outputFlags struct {
	format choice
	watch  bool
	every  time.Duration
}

func (o *outputFlags) add(cmd *cobra.Command) {
	o.format = choose(formatTable, formatTable, formatWide, formatJSON, formatYAML, formatName)
	cmd.Flags().VarP(&o.format, "output", "o", "how to print")
}

func (o *outputFlags) addWatch(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "go on, and print what changes")
	cmd.Flags().DurationVar(&o.every, "every", 2*time.Second, "how often --watch looks, at least 100ms")
}

func (o *outputFlags) check() error {
	if o.watch && o.every < 100*time.Millisecond {
		return &failure{exitUsage, "--every is at least 100ms"}
	}
	return nil
}

// view is how things of a kind are shown.
type view[T any] struct {
	name    func(T) string
	columns []column[T]
}

// column is a column of a table.
type column[T any] struct {
	title string
	cell  func(T) string
	wide  bool // whether only the wide format has it
	words bool // whether it is what people wrote, which may be long, and is in full in the wide format only
}

// printer prints things of a kind.
type printer[T any] struct {
	app     *app
	format  string
	view    view[T]
	table   table
	begun   bool // whether something is printed
	objects bool // whether json and yaml are an object a line, and a document each
}

// print prints some things, below those before.
func (p *printer[T]) print(some ...T) error {
	var text string
	var err error
	switch p.format {
	case formatJSON, formatYAML:
		text, err = p.documents(some)
	case formatName:
		for _, one := range some {
			text += printable(p.view.name(one)) + "\n"
		}
	default:
		text = p.table.lines(p.rows(some)...)
	}
	if err != nil {
		return &failure{exitSoftware, err.Error()}
	}
	p.begun = p.begun || text != ""
	return p.app.print(text)
}

// rows are those of a table, with the header if it is not there yet.
func (p *printer[T]) rows(some []T) [][]string {
	if len(some) == 0 {
		return nil
	}
	rows := make([][]string, 0, len(some)+1)
	if !p.begun {
		rows = append(rows, p.row(func(c column[T]) string { return c.title }))
	}
	for _, one := range some {
		rows = append(rows, p.row(func(c column[T]) string {
			text := printable(c.cell(one))
			if c.words && p.format != formatWide {
				return shortened(text)
			}
			return text
		}))
	}
	return rows
}

func (p *printer[T]) row(cell func(column[T]) string) []string {
	var row []string
	for _, c := range p.view.columns {
		if !c.wide || p.format == formatWide {
			row = append(row, cell(c))
		}
	}
	return row
}

// documents are things in json or yaml: a list, or each by itself.
func (p *printer[T]) documents(some []T) (string, error) {
	if !p.objects {
		return p.document(append([]T{}, some...))
	}
	var b strings.Builder
	for i, one := range some {
		text, err := p.document(one)
		if err != nil {
			return "", err
		}
		if p.format == formatYAML && (i > 0 || p.begun) {
			b.WriteString("---\n")
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// alone prints the only thing.
func (p *printer[T]) alone(one T) error {
	if p.format != formatJSON && p.format != formatYAML {
		return p.print(one)
	}
	text, err := p.document(one)
	if err != nil {
		return &failure{exitSoftware, err.Error()}
	}
	return p.app.print(text)
}

// document is a value in json or yaml.
func (p *printer[T]) document(v any) (string, error) {
	line, err := oneLine(v)
	switch {
	case err != nil:
		return "", err
	case p.format == formatYAML:
		return toYAML(line)
	case p.objects:
		return line + "\n", nil
	}
	var b bytes.Buffer
	err = json.Indent(&b, []byte(line), "", "  ")
	return b.String() + "\n", err
}

// oneLine is a value as JSON, as the API writes it: links are not escaped for HTML. What a terminal would obey is escaped instead.
func oneLine(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	plain := strings.NewReplacer(`\\`, `\\`, `\u0026`, "&", `\u003c`, "<", `\u003e`, ">")
	return printable(plain.Replace(string(text))), nil
}

// plainRE is what of YAML needs no quotes, whatever version of it reads that, but for the words of wordRE.
var (
	plainRE = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./@+-]*$`)
	wordRE  = regexp.MustCompile(`^(?i:y|n|yes|no|on|off|true|false|null)$`)
)

// toYAML is JSON as YAML, in the same order. Texts are quoted by our own rule: the library leaves some bare that are then read as numbers.
func toYAML(text string) (string, error) {
	var v any
	if err := yaml.UnmarshalWithOptions([]byte(text), &v, yaml.UseOrderedMap()); err != nil {
		return "", err
	}
	out, err := yaml.MarshalWithOptions(v, yaml.CustomMarshaler[string](func(s string) ([]byte, error) {
		if plainRE.MatchString(s) && !wordRE.MatchString(s) {
			return []byte(s), nil
		}
		return []byte(strconv.Quote(s)), nil
	}))
	return string(out), err
}
