package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
)

// maxInventorySize is the longest inventory that is read, in bytes.
const maxInventorySize = 16 << 20

// parseDocument returns the one document of a YAML text, nil when it is empty, or why it is none that we read.
func parseDocument(text []byte) (ast.Node, []Problem) {
	if p := checkText(text); p != nil {
		return nil, []Problem{*p}
	}
	tokens := lexer.Tokenize(string(bytes.TrimPrefix(text, []byte("\ufeff"))))
	if problems := checkTokens(tokens); len(problems) > 0 {
		return nil, problems
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // the reader tells where the first one is
	if err != nil {
		return nil, []Problem{syntaxProblem(err)}
	}
	return onlyDocument(file)
}

// onlyDocument returns the body of the one document of a file that is not empty, nil when all are.
func onlyDocument(file *ast.File) (ast.Node, []Problem) {
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case body == nil:
			body = doc.Body
		default:
			return nil, []Problem{{Line: doc.Body.GetToken().Position.Line, Message: "a second document begins; the inventory is one"}}
		}
	}
	return body, nil
}

// checkText says why a text is not given to the YAML parser at all: its scanner takes quadratic time for blank lines in
// block text.
func checkText(text []byte) *Problem {
	const maxBlankLines = 1000
	if len(text) > maxInventorySize {
		return &Problem{Message: fmt.Sprintf("larger than %d MiB", maxInventorySize>>20)}
	}
	blank, number := 0, 0
	for line := range bytes.Lines(text) {
		number++
		if !utf8.Valid(line) {
			return &Problem{Line: number, Message: "not UTF-8 text"}
		}
		if blank++; len(bytes.TrimSpace(line)) > 0 {
			blank = 0
		}
		if blank > maxBlankLines {
			return &Problem{Line: number, Message: fmt.Sprintf("more than %d blank lines in a row", maxBlankLines)}
		}
	}
	return nil
}

// quoted is what the YAML parser quotes from the text, which may be a secret.
var quoted = regexp.MustCompile(`(?s)\s*".*"`)

// syntaxProblem tells what the YAML parser says without what it quotes.
func syntaxProblem(err error) Problem {
	var syntax yaml.Error
	if !errors.As(err, &syntax) {
		return Problem{Message: "not YAML"}
	}
	p := Problem{Message: "not YAML: " + quoted.ReplaceAllLiteralString(syntax.GetMessage(), "")}
	if token := syntax.GetToken(); token != nil {
		p.Line = token.Position.Line
	}
	return p
}
