//go:build unix

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCI runs what is shell in the files of docs/ci.md as their CI systems do: who looks sees whose job has which device, and after the
// job nothing is leased.
func TestCI(t *testing.T) {
	t.Parallel()
	for name, open := range ciSystems {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			b := s.begin(t)
			l := b.tests(t)
			if l.State != "active" || l.Holder != s.holder || l.Purpose != s.purpose || l.Link != s.link || l.Priority != s.priority {
				t.Errorf("who looks sees %+v", l)
			}
			b.outlives(t, l)
			b.write(t, "over", "0")
			b.ends(t, 0)
			b.gaveBack(t, l)
			if got := b.read("installed"); s.installs && got != "install github.com/automation-infra/automation-infra/cmd/leasectl@latest\n" {
				t.Errorf("installed %q", got)
			}
			if _, err := os.Stat(filepath.Join(b.dir, "injected")); err == nil {
				t.Error("what is in a variable was run")
			}
		})
	}
}

// TestCIFailure is that the exit code of the tests is the job's.
func TestCIFailure(t *testing.T) {
	t.Parallel()
	for name, open := range ciSystems {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t).begin(t)
			l := b.tests(t)
			b.write(t, "over", "3")
			b.ends(t, 3)
			b.gaveBack(t, l)
		})
	}
}

// TestCICancel is that a cancelled job gives its device back as soon as its tests have ended.
func TestCICancel(t *testing.T) {
	t.Parallel()
	for name, open := range ciSystems {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			b := s.begin(t)
			l := b.tests(t)
			s.cancel(t, b)
			b.ends(t, s.cancelled)
			b.gaveBack(t, l)
			if got := b.read("signals"); !strings.HasPrefix(got, s.heard) {
				t.Errorf("the tests heard %q, want %s", got, s.heard)
			}
		})
	}
}

// TestCICancelInLine is that a job that is cancelled while it waits gives up its place.
func TestCICancelInLine(t *testing.T) {
	t.Parallel()
	for name, open := range ciSystems {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			s.occupy(t)
			b := s.begin(t)
			b.waits(t)
			s.cancel(t, b)
			b.ended(t)
			if err := eventually("it is in line still", func() bool { n, err := b.queue(); return err == nil && n == 0 }); err != nil {
				t.Error(err)
			}
			if got := b.read("leased"); got != "" {
				t.Errorf("the tests ran, with %s", got)
			}
		})
	}
}

// TestCIKill is that of a job that is killed the tests don't live on, and the device is free TTL + grace later.
func TestCIKill(t *testing.T) {
	t.Parallel()
	for name, open := range ciSystems {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			if s.unguarded {
				t.Skip("SKIPPED: nothing guards the tests of a job that leases in steps")
			}
			b := s.begin(t)
			b.write(t, "stubborn", "")
			b.tests(t)
			s.cancel(t, b)
			b.until(t, "signals", s.heard)
			if s.insists != "" {
				b.signal(t, b.step().Process.Pid, syscall.SIGTERM)
				b.until(t, "signals", s.insists)
			}
			killed := time.Now()
			b.signal(t, b.pid(t, "parent"), syscall.SIGKILL)
			b.dead(t, "pid")
			d, err := b.becomes("rpi4-01", "free")
			if err != nil {
				t.Fatal(err)
			}
			const seen = 2 * time.Second // until the service sees what has expired
			if later := d.Since.Sub(killed); later < 0 || later > ciTTL+ciGrace+seen {
				t.Errorf("the device was free %s later", later)
			}
		})
	}
}

// TestCINoDevice is that a job whose device does not come in time ends as its file wants it.
func TestCINoDevice(t *testing.T) {
	t.Parallel()
	for name, open := range ciSystems {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			s.occupy(t)
			s.hurry(t)
			b := s.begin(t)
			b.ends(t, s.noDevice)
			if got := b.read("leased"); got != "" {
				t.Errorf("the tests ran, with %s", got)
			}
		})
	}
}

// TestCILoss is that a job that loses its device ends as its file wants it, or tries again.
func TestCILoss(t *testing.T) {
	t.Parallel()
	for name, open := range ciSystems {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			b := s.begin(t)
			l := b.tests(t)
			if err := b.revoke("rpi4-01"); err != nil {
				t.Fatal(err)
			}
			switch {
			case s.unguarded: // the tests hear nothing, and the job does at its end
				if err := eventually("it was not revoked", func() bool { return b.lease(l.ID).State == "revoked" }); err != nil {
					t.Fatal(err)
				}
				b.write(t, "over", "0")
			default:
				b.until(t, "signals", "TERM\n")
			}
			if s.again {
				if err := eventually("the tests don't run again", func() bool { return b.leaseID() != l.ID }); err != nil {
					t.Fatal(err)
				}
				l = b.tests(t)
				b.write(t, "over", "0")
			}
			b.ends(t, s.lost)
			if s.again {
				b.gaveBack(t, l)
			}
		})
	}
}

// TestCIWithoutExec is why the step of GitHub Actions has its exec: without it, nobody tells leasectl of a cancel.
func TestCIWithoutExec(t *testing.T) {
	t.Parallel()
	s := openGitHub(t, "device-tests.yml")
	last := &s.steps[len(s.steps)-1]
	if !strings.Contains(last.script, "exec leasectl") {
		t.Fatalf("there is no exec in %s", last.script)
	}
	last.script = strings.Replace(last.script, "exec ", "", 1)
	b := s.begin(t)
	l := b.tests(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		b.signal(t, b.step().Process.Pid, signal)
	}
	b.ended(t)
	if got := b.read("signals"); got != "" || b.lease(l.ID).State != "active" {
		t.Errorf("the tests heard %q, and the lease is %s", got, b.lease(l.ID).State)
	}
	b.write(t, "over", "0")
	b.dead(t, "parent")
	b.gaveBack(t, l)
}

// TestCISeveralDevices runs the shell blocks of docs/ci.md.
func TestCISeveralDevices(t *testing.T) {
	t.Parallel()
	block := ciBlock(t, "sh", "## Several devices")
	s := newCISystem(t)
	s.steps = []ciStep{{argv: []string{"sh", "-e"}, script: "PATH=.bin:$PATH; GOBIN=$PWD/.bin go install leasectl\n" + block}}
	if err := os.Symlink(filepath.Join(s.fakes, "pytest"), filepath.Join(s.dir, "e2e.sh")); err != nil {
		t.Fatal(err)
	}
	b := s.begin(t)
	l := b.tests(t)
	if got := b.read("leased"); !strings.Contains(got, "LEASE_BOARD_HOST=192.0.2.11\n") || !strings.Contains(got, "LEASE_SERVER_HOST=192.0.2.31\n") {
		t.Errorf("the tests have\n%s", got)
	}
	b.write(t, "over", "0")
	b.ends(t, 0)
	b.gaveBack(t, l)
}

// TestCITimeouts is that a job which waits as long as it may has time left for its tests.
func TestCITimeouts(t *testing.T) {
	t.Parallel()
	text := ciDocument(t)
	limits := regexp.MustCompile(`timeout-minutes: (60)|timeout: (1h)|timeout\(time: (1), unit: 'HOURS'\)`).FindAllString(text, -1)
	waits := regexp.MustCompile(`--wait-timeout (\S+)`).FindAllStringSubmatch(text, -1)
	if len(limits) != 4 || len(waits) < 5 {
		t.Fatalf("limits %q, waits %q", limits, waits)
	}
	for _, wait := range waits {
		if d, err := time.ParseDuration(wait[1]); err != nil || d > time.Hour/2 {
			t.Errorf("%s of 1h: %v", wait[0], err)
		}
	}
}
