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

// kept is what is remembered of a lease that acquire got, for release and keepalive.
type kept struct {
	ID    string `json:"id"`
	Token string `json:"token"`
	URL   string `json:"url"` // of the service
}

// lease is as much of the lease as it takes to keep it alive and to release it.
func (k *kept) lease() *client.Lease {
	return &client.Lease{ID: k.ID, Token: lease.Token(k.Token)}
}

// keeper keeps one file for each lease, named by its id, in a directory that is for its owner only.
type keeper struct{ dir string }

// openKeeper makes the directory if it is not there: $XDG_STATE_HOME/leasectl (XDG Base Directory Specification).
func openKeeper() (keeper, error) {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // as the specification wants it
		home, err := os.UserHomeDir()
		if err != nil {
			return keeper{}, cantKeep(err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	k := keeper{filepath.Join(state, "leasectl")}
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
	text, err := json.Marshal(kept{ID: l.ID, Token: string(l.Token), URL: url})
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

// get reads what was kept of a lease, or, without an id, of the only one there is.
func (k keeper) get(id string) (*kept, error) {
	if id == "" {
		only, err := k.only()
		if err != nil {
			return nil, err
		}
		id = only
	}
	if _, err := lease.ParseID(id); err != nil {
		return nil, &failure{exitUsage, fmt.Sprintf("%q is no id of a lease: %s", id, reason(err))}
	}
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

// only is the id of the only lease.
func (k keeper) only() (string, error) {
	paths, err := filepath.Glob(filepath.Join(k.dir, "*"+extension))
	if err != nil {
		return "", &failure{exitNoInput, err.Error()}
	}
	ids := make([]string, len(paths))
	for i, path := range paths {
		ids[i] = strings.TrimSuffix(filepath.Base(path), extension)
	}
	switch len(ids) {
	case 0:
		return "", &failure{exitNoInput, "no lease is kept in " + k.dir + "; acquire one first"}
	case 1:
		return ids[0], nil
	}
	return "", &failure{exitUsage, "which lease? " + strings.Join(ids, ", ")}
}
