package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// kept is what is remembered of a lease that acquire or hold got, for release and keepalive.
type kept struct {
	ID      string   `json:"id"`
	Token   string   `json:"token"`
	URL     string   `json:"url"` // of the service
	Devices []string `json:"devices"`
}

// lease is as much of the lease as it takes to keep it alive and to release it.
func (k *kept) lease() *client.Lease {
	return &client.Lease{ID: k.ID, Token: lease.Token(k.Token)}
}

// keeper keeps one file for each lease, named by its id, in a directory that is for its owner only.
type keeper struct{ dir string }

// openKeeper makes the directory if it is not there: $XDG_STATE_HOME/leasectl (XDG Base Directory Specification).
func openKeeper() (keeper, error) {
	dir, err := userFile("XDG_STATE_HOME", ".local/state", "")
	if err != nil {
		return keeper{}, cantKeep(err)
	}
	k := keeper{filepath.Clean(dir)}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return keeper{}, cantKeep(err)
	}
	return k, nil
}

func cantKeep(err error) error {
	return &failure{exitCantCreate, fmt.Sprintf("tokens can't be kept: %v; set XDG_STATE_HOME to a directory that can be written", err)}
}

const extension = ".json"

func (k keeper) path(id string) string { return filepath.Join(k.dir, id+extension) }

func (k keeper) put(l *client.Lease, url string) error {
	text, err := json.Marshal(kept{ID: l.ID, Token: string(l.Token), URL: url, Devices: deviceNames(l)})
	if err == nil {
		err = os.WriteFile(k.path(l.ID), append(text, '\n'), 0o600)
	}
	if err != nil {
		return cantKeep(err)
	}
	return nil
}

// remove forgets a lease.
func (k keeper) remove(id string) { _ = os.Remove(k.path(id)) } // of a lease that is over, it is of no use

// isID reports whether a text is the id of a lease.
func isID(text string) bool {
	_, err := lease.ParseID(text)
	return err == nil
}

// get reads what was kept of a lease.
func (k keeper) get(id string) (*kept, error) {
	text, err := os.ReadFile(k.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &failure{exitNoInput, fmt.Sprintf("no token of lease %s is in %s; only who acquired it can do that", id, k.dir)}
	}
	one := &kept{}
	if err == nil {
		err = json.Unmarshal(text, one)
	}
	if err != nil || one.ID != id {
		return nil, &failure{exitNoInput, fmt.Sprintf("%s is unreadable (%v); remove it", k.path(id), err)}
	}
	return one, nil
}

// all reads what was kept of each lease, by id.
func (k keeper) all() ([]*kept, error) {
	files, err := os.ReadDir(k.dir)
	if err != nil {
		return nil, &failure{exitNoInput, err.Error()}
	}
	var all []*kept
	for _, file := range files {
		id, is := strings.CutSuffix(file.Name(), extension)
		if !is || !isID(id) {
			continue
		}
		one, err := k.get(id)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}
