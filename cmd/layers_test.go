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
		"cmd/keepalive": {"lease", "store", "api", "config", "cmd/internal/service"},
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
