package stack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

var secretRE = regexp.MustCompile(`(?m)^(REDIS_PASSWORD|GRAFANA_ADMIN_PASSWORD)=(.*)$`)

// testSettings checks that the settings have passwords that nobody else reads.
func (l *lab) testSettings(t *testing.T) {
	info, err := os.Stat(filepath.Join(os.Getenv("TEST_STACK"), ".env"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf(".env: %v, %v", info.Mode(), err)
	}
	settings := read(t, ".env")
	secrets := secretRE.FindAllStringSubmatch(settings, -1)
	if len(secrets) != 2 || len(secrets[0][2]) < 32 || len(secrets[1][2]) < 32 || secrets[0][2] == secrets[1][2] {
		t.Error("the passwords of .env are not random")
	}
	run(t, nil, "make", ".env")
	if read(t, ".env") != settings {
		t.Error("make .env changes a .env that there is")
	}
	redis := l.only(t, "redis")
	if err := says(t, redis, "NOAUTH", "env", "-u", "REDISCLI_AUTH", "redis-cli", "get", "x"); err != nil {
		t.Errorf("Redis without its password: %v", err)
	}
	if processes := docker(t, "top", redis, "-eo", "pid,args"); strings.Contains(processes, secrets[0][2]) {
		t.Errorf("a process shows the password:\n%s", processes)
	}
}

// testContained checks what the containers may do, and who can reach them.
func (l *lab) testContained(t *testing.T) {
	var all []struct {
		Name       string
		Config     struct{ User string }
		HostConfig struct {
			ReadonlyRootfs bool
			CapDrop        []string
			SecurityOpt    []string
			Memory         int64
			RestartPolicy  struct{ Name string }
			LogConfig      struct{ Config map[string]string }
			PortBindings   map[string][]struct{ HostPort string }
		}
	}
	inspect(t, &all, l.containers(t)...)
	for _, c := range all {
		h := c.HostConfig
		if user, _, _ := strings.Cut(c.Config.User, ":"); user == "" || user == "0" || user == "root" {
			t.Errorf("%s runs as %q", c.Name, c.Config.User)
		}
		if !h.ReadonlyRootfs || !slices.Equal(h.CapDrop, []string{"ALL"}) || !slices.Contains(h.SecurityOpt, "no-new-privileges:true") ||
			h.Memory == 0 || h.RestartPolicy.Name != "unless-stopped" || h.LogConfig.Config["max-size"] == "" {
			t.Errorf("%s: %+v", c.Name, h)
		}
		public := strings.Contains(c.Name, "gateway") || strings.Contains(c.Name, "prometheus")
		if len(h.PortBindings) > 0 != public {
			t.Errorf("%s publishes %v", c.Name, h.PortBindings)
		}
	}
}

// testInventory edits the inventory as editors do: in place, by another file in its place, and wrongly.
func (l *lab) testInventory(t *testing.T) {
	allocator := l.only(t, "allocator")
	has := func(name string, status int) {
		t.Helper()
		start := time.Now()
		eventually(t, name, func() error {
			if a := ask(t, http.MethodGet, l.url+"/v1/devices/"+name); a.status != status {
				return fmt.Errorf("%d", a.status)
			}
			return nil
		})
		t.Logf("%s: %d after %.1f s", name, status, time.Since(start).Seconds())
	}
	has("in-place", http.StatusNotFound)
	write(t, inventoryFile(), inventory("in-place"))
	has("in-place", http.StatusOK)
	write(t, inventoryFile()+".new", inventory("in-place", "replaced"))
	if err := os.Rename(inventoryFile()+".new", inventoryFile()); err != nil {
		t.Fatal(err)
	}
	has("replaced", http.StatusOK)
	write(t, inventoryFile(), "pools: wrong\n")
	eventually(t, "the inventory is refused", func() error {
		if scraped(t, allocator, "8080", "lease_inventory_last_reload_successful") != 0 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	has("replaced", http.StatusOK)
	write(t, inventoryFile(), inventory())
	has("replaced", http.StatusNotFound)
	if now := l.only(t, "allocator"); now != allocator {
		t.Error("the allocator is another container")
	}
	if restarts := docker(t, "inspect", "-f", "{{.RestartCount}}", allocator); restarts != "0\n" {
		t.Errorf("the allocator was restarted %s times", restarts)
	}
	l.testPlaceholder(t)
}

// testPlaceholder leases a device whose password the inventory does not have.
func (l *lab) testPlaceholder(t *testing.T) {
	write(t, inventoryFile(), inventory("secret"))
	request := client.Request{Demands: []lease.Demand{{Name: "secret"}}}
	eventually(t, "the device secret", func() error {
		got, err := l.client.Acquire(t.Context(), request, client.Waiting{})
		if err != nil {
			return err
		}
		if password := got.Devices[0].Connection["password"]; password != "from devices.env" {
			t.Errorf("the password of the device is %v", password)
		}
		return l.client.Release(t.Context(), got)
	})
}

// testLogs reads what all containers have said.
func (l *lab) testLogs(t *testing.T) {
	for _, container := range l.containers(t) {
		out, err := try(t.Context(), nil, "sh", "-c", "docker logs "+container+" 2>&1")
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSpace(docker(t, "inspect", "-f", "{{.Name}}", container))
		if out == "" {
			t.Errorf("%s has said nothing", name)
		}
		for line := range strings.Lines(out) {
			if !strings.HasPrefix(line, "{") || !json.Valid([]byte(line)) {
				t.Errorf("%s: no JSON: %s", name, line)
			}
		}
		for _, held := range l.held {
			if strings.Contains(out, string(held.Token)) {
				t.Errorf("%s logs a token", name)
			}
		}
	}
}
