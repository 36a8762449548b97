package main

import (
	"fmt"
	"slices"
	"strings"
)

// choice is the value of a flag that is one of some words.
type choice struct {
	value string
	of    []string
}

// choose is a choice among words of any type, with a default, "" for none.
func choose[T ~string](value T, of ...T) choice {
	c := choice{value: string(value)}
	for _, one := range of {
		c.of = append(c.of, string(one))
	}
	return c
}

// String is the word that was chosen, "" for none.
func (c *choice) String() string { return c.value }

// Set takes a word, and lists the others when it is none of them.
func (c *choice) Set(word string) error {
	if !slices.Contains(c.of, word) {
		return fmt.Errorf("it is one of %s", strings.Join(c.of, ", "))
	}
	c.value = word
	return nil
}

// Type is what the help shows in place of the value.
func (c *choice) Type() string { return strings.Join(c.of, "|") }
