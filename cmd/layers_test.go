package cmd_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/automation-infra/automation-infra/"

// TestLayers holds which packages may use which; docs/architecture.md says why.
func TestLayers(t *testing.T) {
	t.Parallel()
	for pkg, allowed := range map[string][]string{
		"lease":         {},
		"store":         {"lease"},
		"api":           {"lease"},
		"config":        {"lease"},
		"client":        {"lease"},
		"cmd/keepalive": {"lease", "store", "api", "config", "cmd/internal/service"},
		"cmd/leasectl":  {"lease", "client"},
	} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", module+pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		for dependency := range strings.Lines(string(out)) {
			ours, is := strings.CutPrefix(strings.TrimSpace(dependency), module)
			if is && ours != pkg && !slices.Contains(allowed, ours) {
				t.Errorf("%s depends on %s, and may on %v only", pkg, ours, allowed)
			}
		}
	}
}

// TestClientIsSmall holds that the SDK brings nothing into a program but the standard library and the domain.
func TestClientIsSmall(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{join .Imports "\n"}}`, module+"client").Output()
	if err != nil {
		t.Fatal(err)
	}
	for used := range strings.Lines(string(out)) {
		used = strings.TrimSpace(used)
		if first, _, _ := strings.Cut(used, "/"); strings.Contains(first, ".") && used != module+"lease" {
			t.Errorf("client imports %s", used)
		}
	}
}
