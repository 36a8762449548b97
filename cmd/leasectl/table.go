package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// table is lines of cells in columns, each as wide as its widest cell so far.
type table struct{ widths []int }

// lines are rows, two blanks between the cells. Where nothing is known there is a dash, and nothing at all at the end of a line.
func (t *table) lines(rows ...[]string) string {
	for _, row := range rows {
		t.fit(row)
	}
	var b strings.Builder
	for _, row := range rows {
		for len(row) > 0 && row[len(row)-1] == "" {
			row = row[:len(row)-1]
		}
		for i, cell := range row {
			if cell == "" {
				cell = "-"
			}
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// fit widens the columns for a row.
func (t *table) fit(row []string) {
	for len(t.widths) < len(row) {
		t.widths = append(t.widths, 1)
	}
	for i, cell := range row {
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
	}
}

// printable is a text as a terminal may show it: on one line, and with control and formatting characters written as JSON does, \u001b.
func printable(text string) string {
	if !strings.ContainsFunc(text, obeyed) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if !obeyed(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// obeyed reports whether a terminal would do something else with a character than show it.
func obeyed(r rune) bool { return !unicode.IsGraphic(r) }

// shortened is the beginning of a text that is too long for a table.
func shortened(text string) string {
	const most = 40
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
