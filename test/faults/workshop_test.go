package faults_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// edit replaces a text in a file of the checkout.
type edit struct {
	file     string
	old, new string
}

// workshop builds the services, as they are and as mutants, each once.
type workshop struct {
	checkout string
	dir      string
	original string // the folder of the services as they are

	mu    sync.Mutex
	built map[string]string // folders of programs, by the name of the mutant
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	w := &workshop{checkout: checkout(t), dir: t.TempDir(), built: map[string]string{}}
	w.original = w.build(t, "original")
	return w
}

// build builds the services with some edits, and returns the folder that has them. The name stands for the edits.
func (w *workshop) build(t *testing.T, name string, edits ...edit) string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if dir := w.built[name]; dir != "" {
		return dir
	}
	dir := filepath.Join(w.dir, strconv.Itoa(len(w.built)))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-overlay", w.overlay(t, dir, edits), "-o", dir+"/", "./cmd/allocator", "./cmd/keepalive")
	cmd.Dir = w.checkout
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: go build: %v\n%s", name, err, out)
	}
	w.built[name] = dir
	return dir
}

// overlay writes what `go build -overlay` reads; embedded scripts are replaced by it just as source files. Each text to be replaced
// has to be in its file once: else the mutant would be another, or none.
func (w *workshop) overlay(t *testing.T, dir string, edits []edit) string {
	t.Helper()
	replaced := map[string]string{}
	texts := map[string]string{}
	for _, e := range edits {
		path := filepath.Join(w.checkout, e.file)
		text, known := texts[path]
		if !known {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text = string(content)
		}
		if n := strings.Count(text, e.old); n != 1 {
			t.Fatalf("%s has %q %d times, want once: the mutant has to be another", e.file, e.old, n)
		}
		texts[path] = strings.Replace(text, e.old, e.new, 1)
	}
	for path, text := range texts {
		replaced[path] = filepath.Join(dir, strings.ReplaceAll(filepath.Base(path), ".", "-mutant."))
		if err := os.WriteFile(replaced[path], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	content, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
