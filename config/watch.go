package config

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A change is looked at when the folders have been quiet for settleTime, because most changes are several events; at the
// latest settleLimit after its first event, because a folder may never be quiet.
const (
	settleTime  = 100 * time.Millisecond
	settleLimit = time.Second
)

// Watcher notices changes of the content of a file: written in place, replaced, deleted and made again, or reached
// through symbolic links that change, as Kubernetes and git-sync mount files.
type Watcher struct {
	path     string
	notifier *fsnotify.Watcher
	seen     digest
}

// NewWatcher begins to watch the file at path, which need not exist yet. A change is one from the content it has now, so
// who reads the file makes the watcher before.
func NewWatcher(path string) (*Watcher, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	notifier, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	w := &Watcher{path: absolute, notifier: notifier}
	if err := w.follow(); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	w.differs()
	return w, nil
}

// Run calls changed after each change of the content, never twice at a time, until ctx ends; then it returns nil. A file
// that is missing or cannot be read has not changed; when it is back, its content is compared with the last one. Run
// closes the watcher.
func (w *Watcher) Run(ctx context.Context, changed func()) error {
	defer func() { _ = w.Close() }()
	var settled <-chan time.Time // nil while nothing has happened
	var latest time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-settled:
			settled = nil
			if err := w.follow(); err != nil {
				return err
			}
			if w.differs() {
				changed()
			}
			continue
		case _, open := <-w.notifier.Events:
			if !open {
				return fmt.Errorf("watch %s: %w", w.path, fsnotify.ErrClosed)
			}
		case err := <-w.notifier.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) { // an overflow is some event that was lost
				return fmt.Errorf("watch %s: %w", w.path, cmp.Or(err, fsnotify.ErrClosed))
			}
		}
		if settled == nil {
			latest = time.Now().Add(settleLimit)
		}
		settled = time.After(min(settleTime, time.Until(latest)))
	}
}

// Close ends the watcher. Only one that was never run needs it.
func (w *Watcher) Close() error { return w.notifier.Close() }

// differs reports whether the content is another than the last one seen.
func (w *Watcher) differs() bool {
	content, err := contentOf(w.path)
	if err != nil || content == w.seen {
		return false
	}
	w.seen = content
	return true
}

type digest [sha256.Size]byte

func contentOf(path string) (digest, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return digest{}, err
	}
	defer func() { _ = file.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return digest{}, err
	}
	return digest(hash.Sum(nil)), nil
}
