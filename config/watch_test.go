package config_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/config"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// watched is a file that is being watched.
type watched struct {
	t     *testing.T
	path  string
	calls chan string // for each call, what the file had in it
	stop  func() error
}

// watch watches a file until the test ends.
func watch(t *testing.T, path string) *watched {
	t.Helper()
	watcher, err := config.NewWatcher(path)
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, path: path, calls: make(chan string, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var runErr error
	go func() {
		defer close(ended)
		runErr = watcher.Run(ctx, w.called())
	}()
	w.stop = func() error {
		cancel()
		select {
		case <-ended:
			return runErr
		case <-time.After(patience):
			return errors.New("the watcher does not end")
		}
	}
	t.Cleanup(func() { _ = w.stop() })
	return w
}

// called is what the watcher calls: it notes the content, and that no call comes during another.
func (w *watched) called() func() {
	var busy atomic.Bool
	return func() {
		if !busy.CompareAndSwap(false, true) {
			w.t.Error("called twice at a time")
		}
		content, err := os.ReadFile(w.path)
		if err != nil {
			w.t.Errorf("called without a file: %v", err)
		}
		w.calls <- string(content)
		busy.Store(false)
	}
}

// sees waits for the call after which the file has this content; no call may come with another.
func (w *watched) sees(content string) {
	w.t.Helper()
	select {
	case got := <-w.calls:
		if got != content {
			w.t.Fatalf("called for %q, want %q", got, content)
		}
	case <-time.After(patience):
		w.t.Fatalf("not called for %q", content)
	}
}

// seesNoMore ends the watcher and checks that no call is left.
func (w *watched) seesNoMore() {
	w.t.Helper()
	if err := w.stop(); err != nil {
		w.t.Errorf("the watcher ended with %v", err)
	}
	if len(w.calls) > 0 {
		w.t.Errorf("called once more, for %q", <-w.calls)
	}
}

// put makes or replaces a file at once, so that nobody sees a part of it.
func put(t *testing.T, path, content string) {
	t.Helper()
	whole := filepath.Join(t.TempDir(), "whole")
	writeFile(t, whole, content)
	rename(t, whole, path)
}

// overwrite writes over the beginning of a file.
func overwrite(t *testing.T, path, content string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// labFile returns the path of a file with the content "one" in a folder of its own.
func labFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lab.yaml")
	writeFile(t, path, "one")
	return path
}

func TestWatchSeesAFileWrittenInPlace(t *testing.T) {
	t.Parallel()
	w := watch(t, labFile(t))
	for _, content := range []string{"two", "six", "one"} {
		overwrite(t, w.path, content)
		w.sees(content)
	}
	w.seesNoMore()
}

func TestWatchSeesAFileReplaced(t *testing.T) {
	t.Parallel()
	w := watch(t, labFile(t))
	for _, content := range []string{"two", "three"} {
		put(t, w.path, content)
		w.sees(content)
	}
	rename(t, w.path, w.path+".bak") // as some editors do
	put(t, w.path, "four")
	w.sees("four")
	w.seesNoMore()
}

func TestWatchSeesAFileDeletedAndMadeAgain(t *testing.T) {
	t.Parallel()
	w := watch(t, labFile(t))
	remove(t, w.path)
	put(t, w.path, "two")
	w.sees("two")
	w.seesNoMore()
}

func TestWatchSeesAFileThatComesLater(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "b", "lab.yaml")
	w := watch(t, path)
	mkdir(t, filepath.Dir(path))
	put(t, path, "one")
	w.sees("one")
	w.seesNoMore()
}

func TestWatchSeesAFolderReplaced(t *testing.T) {
	t.Parallel()
	folder := mkdir(t, filepath.Join(t.TempDir(), "lab"))
	writeFile(t, filepath.Join(folder, "lab.yaml"), "one")
	w := watch(t, filepath.Join(folder, "lab.yaml"))
	rename(t, folder, folder+".old")
	mkdir(t, folder)
	put(t, w.path, "two")
	w.sees("two")
	put(t, w.path, "three")
	w.sees("three")
	w.seesNoMore()
}

// Kubernetes mounts lab.yaml -> ..data/lab.yaml and ..data -> a folder, and replaces the link ..data.
func TestWatchSeesALinkedFolderSwapped(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	release := func(name, content string) {
		writeFile(t, filepath.Join(mkdir(t, filepath.Join(mount, name)), "lab.yaml"), content)
		symlink(t, name, filepath.Join(mount, "..data_tmp"))
		rename(t, filepath.Join(mount, "..data_tmp"), filepath.Join(mount, "..data"))
	}
	release("..1", "one")
	symlink(t, filepath.Join("..data", "lab.yaml"), filepath.Join(mount, "lab.yaml"))
	w := watch(t, filepath.Join(mount, "lab.yaml"))
	release("..2", "two")
	remove(t, filepath.Join(mount, "..1"))
	w.sees("two")
	release("..3", "three")
	w.sees("three")
	w.seesNoMore()
}

// git-sync keeps a link to the folder of the current commit, through which the path leads.
func TestWatchSeesALinkOnTheWaySwapped(t *testing.T) {
	t.Parallel()
	root, elsewhere := t.TempDir(), t.TempDir()
	for _, content := range []string{"one", "two"} {
		writeFile(t, filepath.Join(mkdir(t, filepath.Join(elsewhere, content)), "lab.yaml"), content)
	}
	current := filepath.Join(root, "current")
	symlink(t, filepath.Join(elsewhere, "one"), current)
	w := watch(t, filepath.Join(current, "lab.yaml"))
	symlink(t, filepath.Join(elsewhere, "two"), current+"~")
	rename(t, current+"~", current)
	w.sees("two")
	w.seesNoMore()
}

func TestWatchSeesTheTargetOfALinkWritten(t *testing.T) {
	t.Parallel()
	target := labFile(t)
	link := filepath.Join(t.TempDir(), "lab.yaml")
	symlink(t, target, link)
	w := watch(t, link)
	overwrite(t, target, "two")
	w.sees("two")
	w.seesNoMore()
}

func TestWatchIsNotCalledWithoutANewContent(t *testing.T) {
	t.Parallel()
	w := watch(t, labFile(t))
	writeFile(t, filepath.Join(filepath.Dir(w.path), "other.yaml"), "two")
	put(t, w.path, "one")
	remove(t, w.path)
	put(t, w.path, "one")
	put(t, w.path, "two")
	w.sees("two")
	w.seesNoMore()
}

func TestWatchSeesAChangeInABusyFolder(t *testing.T) {
	t.Parallel()
	w := watch(t, labFile(t))
	put(t, w.path, "two")
	deadline := time.After(patience)
	for len(w.calls) == 0 {
		writeFile(t, filepath.Join(filepath.Dir(w.path), "busy.log"), time.Now().String())
		select {
		case <-deadline:
			t.Fatal("not called while other files change")
		default:
		}
	}
	w.sees("two")
	w.seesNoMore()
}

func TestWatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	watcher, err := config.NewWatcher(labFile(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := watcher.Run(ctx, func() {}); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestAClosedWatcherDoesNotRun(t *testing.T) {
	t.Parallel()
	watcher, err := config.NewWatcher(labFile(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := watcher.Close(); err != nil {
		t.Fatal(err)
	}
	if err := watcher.Run(t.Context(), func() {}); err == nil {
		t.Error("a closed watcher runs")
	}
}

func TestWatchEndsInALoopOfLinks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lab.yaml")
	symlink(t, filepath.Base(path), path)
	w := watch(t, path)
	remove(t, path)
	put(t, path, "one")
	w.sees("one")
	w.seesNoMore()
}
