//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"github.com/creack/pty"
)

// console is a terminal with somebody at it.
type console struct {
	t    *testing.T
	side *os.File // where the keys are, and the screen
	cmd  *exec.Cmd

	mu     sync.Mutex
	screen bytes.Buffer
}

// openConsole starts a command on a terminal of its own, in a fresh lab.
func openConsole(t *testing.T, command ...string) (*console, *lab) {
	t.Helper()
	l, err := openLab(t.TempDir())
	if err == nil {
		t.Cleanup(l.close)
		err = l.start()
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &console{t: t, cmd: exec.Command(command[0], command[1:]...)}
	c.cmd.Dir = l.dir
	c.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "LEASES_URL=http://" + l.allocator.addr(), "PS1=$ ", "TERM=dumb"}
	if c.side, err = pty.StartWithSize(c.cmd, &pty.Winsize{Rows: 24, Cols: 60}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // it may have ended
		_ = c.side.Close()
	})
	go c.read()
	return c, l
}

func (c *console) read() {
	for b := make([]byte, 4096); ; {
		n, err := c.side.Read(b)
		c.mu.Lock()
		c.screen.Write(b[:n])
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (c *console) shown() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.screen.String()
}

func (c *console) press(keys string) {
	c.t.Helper()
	if _, err := c.side.WriteString(keys); err != nil {
		c.t.Fatal(err)
	}
}

// until waits until the screen shows something.
func (c *console) until(pattern string) {
	c.t.Helper()
	wanted := regexp.MustCompile(pattern)
	if err := eventually("never shown: "+pattern, func() bool { return wanted.MatchString(c.shown()) }); err != nil {
		c.t.Fatalf("%v\n%q", err, c.shown())
	}
}

// ends waits for the end.
func (c *console) ends(code int) {
	c.t.Helper()
	_ = c.cmd.Wait() // its exit code is in ProcessState
	if got := c.cmd.ProcessState.ExitCode(); got != code {
		c.t.Errorf("exit code %d, want %d\n%s", got, code, c.shown())
	}
}

const (
	ctrlC = "\x03"
	ctrlZ = "\x1a"
)

func TestCtrlCReachesAnInteractiveCommand(t *testing.T) {
	t.Parallel()
	c, l := openConsole(t, "leasectl", "run", "--", "sh", "-c",
		`trap 'echo caught' INT; ps -o stat= -p $$; echo "name?"; read name; read name; echo "hello $name"; exit 5`)
	c.until(`\+`) // it is in the foreground
	c.until(`name\?`)
	c.press(ctrlC)
	c.until("caught")
	c.press("world\n")
	c.until("hello world")
	c.ends(5)
	if _, err := l.becomes("d1", "free"); err != nil {
		t.Error(err)
	}
}

func TestCtrlCEndsACommandThatDoesNotCare(t *testing.T) {
	t.Parallel()
	c, l := openConsole(t, "leasectl", "run", "--", "sh", "-c", "echo ready; exec sleep 1000")
	c.until("ready")
	c.press(ctrlC)
	c.ends(130)
	if _, err := l.becomes("d1", "free"); err != nil {
		t.Error(err)
	}
}

func TestWaitingIsOneLiveLine(t *testing.T) {
	t.Parallel()
	c, l := openConsole(t, "sh", "-c", "leasectl acquire --ttl 8s >/dev/null && leasectl run --wait-timeout 60s -- cat /dev/tty")
	c.until("\r\x1b\\[Kwaiting 0s · 1st of 1 · 1 matching device leased; next may…")
	c.until("\r\x1b\\[Kwaiting [1-9]s · 1st of 1 · d1 leased by .*, [1-7] s left")
	c.until("\r\x1b\\[Kleasectl: leased d1 ")
	c.press("typed\n")
	c.until("typed(?s:.*)typed") // once by the terminal and once by cat, which is in the foreground
	c.press("\x04")
	c.ends(0)
	if _, err := l.becomes("d1", "free"); err != nil {
		t.Error(err)
	}
}

func TestCtrlCWhileWaitingGivesThePlaceUp(t *testing.T) {
	t.Parallel()
	c, l := openConsole(t, "sh", "-c", "leasectl acquire --ttl 60s >/dev/null && exec leasectl run -- true")
	c.until("1st of 1")
	c.press(ctrlC)
	c.ends(130)
	if n, err := l.queue(); n != 0 || err != nil {
		t.Errorf("%d in line, %v", n, err)
	}
}

func TestCtrlZStopsAndContinues(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("SKIPPED without bash: job control")
	}
	c, l := openConsole(t, bash, "--norc", "--noprofile", "-i")
	c.press("leasectl run --ttl 30s -- bash -c 'echo rea\"\"dy; read a; touch got; echo \"got $a\"; read b; exit 3'\n")
	c.until("ready")
	c.press(ctrlZ)
	c.until(`Stopped`)
	c.press("echo she\"\"ll; fg\n")
	c.until("shell")
	c.until(`shell(?s:.*)leasectl run`)
	c.press("one\n")
	c.until("got one")
	c.press(ctrlZ)
	c.until(`Stopped(?s:.*)Stopped`)
	c.press("bg; sleep 0.5; echo back\"\"ground; fg\n") // it wants to read, and is stopped again
	c.until("background")
	c.until(`background(?s:.*)leasectl run`)
	c.press("two\necho code $?\n")
	c.until("code 3")
	c.press("stty -a | grep -c isig; exit\n")
	c.ends(0)
	if _, err := os.Stat(filepath.Join(l.dir, "got")); err != nil {
		t.Error(err)
	}
	if _, err := l.becomes("d1", "free"); err != nil {
		t.Error(err)
	}
}

// The command is bash: dash starts others by vfork, and a stop before their exec leaves it hanging, unstopped.
func TestStoppedTooLong(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("SKIPPED without bash: job control")
	}
	c, l := openConsole(t, bash, "--norc", "--noprofile", "-i")
	c.press("leasectl run -- bash -c 'trap \"exit 1\" TERM; date >alive; echo rea\"\"dy; while sleep 0.01; do date >alive; done'\n")
	c.until("ready")
	c.press(ctrlZ)
	c.until(`Stopped`)
	d, err := l.becomes("d1", "free")
	if err != nil {
		t.Fatal(err)
	}
	c.press("fg; echo code $?\n")
	c.until("code 76")
	info, err := os.Stat(filepath.Join(l.dir, "alive"))
	if err != nil || info.ModTime().After(d.Since) {
		t.Errorf("the command went on: %v, and the device was free at %s: %v", info, d.Since, err)
	}
	c.press("exit 0\n")
	c.ends(0)
}
