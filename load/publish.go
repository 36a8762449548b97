package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// publish writes the report to stdout, and as a page with the record beside it when there is a file for it.
func (r *report) publish(page string, stdout io.Writer) error {
	err := r.write(stdout)
	if page == "" {
		return err
	}
	record := strings.TrimSuffix(page, filepath.Ext(page)) + ".json"
	return errors.Join(err, writeFile(page, r.writePage), writeFile(record, r.writeJSON))
}

// writeJSON writes the record.
func (r *report) writeJSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// writeFile makes a file of what write writes.
func writeFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(path) //nolint:gosec // whoever runs this names the file
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(file)
	return errors.Join(write(buffered), buffered.Flush(), file.Close())
}
