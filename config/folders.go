package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// follow watches the folders that lead to the file now, and no others.
func (w *Watcher) follow() error {
	const attempts = 100 // each lost to a folder that went away or came in the meantime
	for range attempts {
		folders := foldersTo(w.path)
		done, err := w.watchOnly(folders)
		if err != nil {
			return fmt.Errorf("watch %s: %w", w.path, err)
		}
		if done && slices.Equal(folders, foldersTo(w.path)) {
			return nil
		}
	}
	return fmt.Errorf("watch %s: its folders change all the time", w.path)
}

// watchOnly watches these folders and no others. It reports false when one of them is gone.
func (w *Watcher) watchOnly(folders []string) (bool, error) {
	for _, watched := range w.notifier.WatchList() {
		if !slices.Contains(folders, watched) {
			_ = w.notifier.Remove(watched) // fails only when it is gone, and its watch with it
		}
	}
	for _, folder := range folders {
		switch err := w.notifier.Add(folder); {
		case errors.Is(err, fs.ErrNotExist):
			return false, nil
		case err != nil:
			return false, err
		}
	}
	return true, nil
}

// foldersTo returns the folders in which a change can give a path another meaning: the one the file is in, those of the
// symbolic links on the way, and where the way ends at something missing, the last folder before it.
func foldersTo(path string) []string {
	const maxLinks = 40 // as in Linux
	var folders []string
	folder, rest, links := string(filepath.Separator), path, 0
	for rest = trimSeparators(rest); rest != ""; rest = trimSeparators(rest) {
		name, after, _ := strings.Cut(rest, string(filepath.Separator))
		entry := filepath.Join(folder, name)
		info, err := os.Lstat(entry)
		isLink := err == nil && info.Mode()&fs.ModeSymlink != 0
		if (err != nil || isLink || after == "") && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
		if err != nil {
			break
		}
		if !isLink {
			folder, rest = entry, after
			continue
		}
		target, err := os.Readlink(entry)
		if links++; err != nil || links > maxLinks {
			break
		}
		if filepath.IsAbs(target) {
			folder = string(filepath.Separator)
		}
		rest = target + string(filepath.Separator) + after
	}
	return folders
}

func trimSeparators(path string) string { return strings.Trim(path, string(filepath.Separator)) }
