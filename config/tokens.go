package config

import (
	"fmt"

	"github.com/goccy/go-yaml/token"
)

// Bounds of an inventory's shape. The YAML parser recurses for each level and each key, and takes quadratic time for
// some of it, so that a file of a megabyte could otherwise end the process or keep it busy for hours.
const (
	maxDepth = 64
	maxKeys  = 10_000
	maxItems = 100_000
)

// unsupported is the parts of YAML that an inventory does not need, and that make it hard to say where a value is from.
var unsupported = map[token.Type]string{
	token.AnchorType:     "anchors (&) are not supported: write the value out where it is needed, or quote a text that begins with &",
	token.AliasType:      "aliases (*) are not supported: write the value out, or quote a text that begins with *",
	token.MergeKeyType:   "merge keys (<<) are not supported: write the fields out",
	token.TagType:        "tags (!) are not supported: quote a number to make it text, and a text that begins with !",
	token.DirectiveType:  "directives (%) are not supported",
	token.MappingKeyType: "keys that begin with ? are not supported: write key: value",
}

// checkTokens says what in a YAML text is not supported or beyond the bounds.
func checkTokens(tokens token.Tokens) []Problem {
	var problems []Problem
	var s shape
	for _, tk := range tokens {
		if message, found := unsupported[tk.Type]; found {
			problems = append(problems, Problem{Line: tk.Position.Line, Message: message})
		}
		s.add(tk)
		if excess := s.excess(); excess != "" {
			return append(problems, Problem{Line: tk.Position.Line, Message: excess})
		}
	}
	return problems
}

// shape is how deep the collections of a text are nested after some of its tokens, and how large each is.
type shape struct{ open []collection }

// collection is a list or a mapping.
type collection struct {
	bracket token.Type // that opened it, 0 without brackets
	column  int        // of its entries, without brackets
	keys    int
	items   int
}

func (s *shape) add(tk *token.Token) {
	switch tk.Type {
	case token.MappingStartType, token.SequenceStartType:
		s.open = append(s.open, collection{bracket: tk.Type})
	case token.MappingEndType, token.SequenceEndType:
		s.closeBracket()
	case token.CollectEntryType:
		if top := s.top(); top != nil && top.bracket == token.MappingStartType {
			top.keys++
		} else if top != nil {
			top.items++
		}
	case token.SequenceEntryType:
		s.enter(tk.Position.Column).items++
	case token.MappingValueType:
		if top := s.top(); (top == nil || top.bracket == 0) && tk.Prev != nil {
			s.enter(tk.Prev.Position.Column).keys++
		}
	}
}

func (s *shape) top() *collection {
	if len(s.open) == 0 {
		return nil
	}
	return &s.open[len(s.open)-1]
}

// closeBracket ends the innermost collection in brackets and what is in it.
func (s *shape) closeBracket() {
	for top := s.top(); top != nil; top = s.top() {
		bracket := top.bracket
		s.open = s.open[:len(s.open)-1]
		if bracket != 0 {
			return
		}
	}
}

// enter returns the collection whose entries begin in a column, after ending those further to the right.
func (s *shape) enter(column int) *collection {
	for top := s.top(); top != nil && top.bracket == 0 && top.column > column; top = s.top() {
		s.open = s.open[:len(s.open)-1]
	}
	if top := s.top(); top == nil || top.bracket != 0 || top.column < column {
		s.open = append(s.open, collection{column: column})
	}
	return s.top()
}

// excess says which bound is exceeded, "" when none is.
func (s *shape) excess() string {
	top := s.top()
	switch {
	case top == nil:
		return ""
	case len(s.open) > maxDepth:
		return fmt.Sprintf("nested deeper than %d levels", maxDepth)
	case top.keys > maxKeys:
		return fmt.Sprintf("more than %d keys in one mapping", maxKeys)
	case top.items > maxItems:
		return fmt.Sprintf("more than %d items in one list", maxItems)
	}
	return ""
}
