package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"
)

// exclusive is a command that fails when another is on its device: `set -C` creates files with O_EXCL.
const exclusive = `set -C
: >lock-$LEASE_DEVICE || exit 99
echo $1 >ran-$1 || exit 98
: >fence-$LEASE_FENCE || exit 97
rm lock-$LEASE_DEVICE`

func TestACrowdNeverShares(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	devices := "pools:\n  default:\n    ttl: 10s\n    devices:\n"
	for i := range 3 {
		devices += fmt.Sprintf("      - name: d%d\n        connection: {host: 192.0.2.%d}\n", i, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "inventory.yaml"), []byte(devices), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := openLab(dir)
	if err == nil {
		t.Cleanup(l.close)
		err = l.start()
	}
	if err != nil {
		t.Fatal(err)
	}
	const crowd = 50
	var g errgroup.Group
	for i := range crowd {
		g.Go(func() error {
			cmd := exec.Command("leasectl", "run", "--wait-timeout", "1m", "--", "sh", "-c", exclusive, "sh", fmt.Sprint(i))
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "LEASES_URL="+l.url)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%d: %w: %s", i, err, out)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	for pattern, want := range map[string]int{"ran-*": crowd, "fence-*": crowd, "lock-*": 0} {
		if found, err := filepath.Glob(filepath.Join(dir, pattern)); err != nil || len(found) != want {
			t.Errorf("%d files %s, want %d", len(found), pattern, want)
		}
	}
}
