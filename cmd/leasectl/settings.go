package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// settings are the defaults of flags: what a user's configuration file says, and else the program's own.
type settings struct {
	URL         string        `yaml:"url"`
	Pool        string        `yaml:"pool"`
	Holder      string        `yaml:"holder"`
	Priority    int           `yaml:"priority"`
	TTL         time.Duration `yaml:"ttl"` // 0 for the pool's
	WaitTimeout time.Duration `yaml:"wait_timeout"`
	KillAfter   time.Duration `yaml:"kill_after"`
}

const aboutSettings = `Defaults of --url, --pool, --holder, --priority, --ttl, --wait-timeout and --kill-after can be set in
$XDG_CONFIG_HOME/leasectl/config.yaml (~/.config/leasectl/config.yaml), such as url: http://lab:8080 or wait_timeout: 1h.
LEASES_URL counts more than that file, and a flag more than both.`

// readSettings reads the configuration file, if there is one, and the environment.
func readSettings() (settings, error) {
	s := settings{
		URL: client.DefaultURL, Pool: lease.DefaultPool, Holder: whoAmI(), Priority: lease.DefaultPriority,
		WaitTimeout: 10 * time.Minute, KillAfter: 10 * time.Second,
	}
	path, err := userFile("XDG_CONFIG_HOME", ".config", "config.yaml")
	if err != nil {
		return s, err
	}
	text, err := os.ReadFile(path) //nolint:gosec // the user says where it is
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, &failure{exitUsage, fmt.Sprintf("the configuration can't be read: %v", err)}
	}
	given := s
	switch err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&given); {
	case errors.Is(err, io.EOF): // nothing is set
	case err != nil:
		return s, &failure{exitUsage, fmt.Sprintf("%s: %s\nIt may have url, pool, holder, priority, ttl, wait_timeout and kill_after.", path, yaml.FormatError(err, false, true))}
	default:
		s = given
	}
	if url := os.Getenv("LEASES_URL"); url != "" {
		s.URL = url
	}
	return s, nil
}

// userFile is the path of a file of this program in a directory that a variable names, or else in one of the home directory (XDG Base
// Directory Specification).
func userFile(variable, otherwise, name string) (string, error) {
	dir := os.Getenv(variable)
	if !filepath.IsAbs(dir) { // as the specification wants it
		home, err := os.UserHomeDir()
		if err != nil {
			return "", &failure{exitUsage, fmt.Sprintf("%v; set HOME, or %s to a directory", err, variable)}
		}
		dir = filepath.Join(home, otherwise)
	}
	return filepath.Join(dir, "leasectl", name), nil
}

// whoAmI is the user and the host.
func whoAmI() string {
	name := os.Getenv("USER")
	if u, err := user.Current(); name == "" && err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
