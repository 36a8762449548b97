package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the scripts, each over the real program and a service of its own:
//
//	service start|kill        the service; it forgets all leases when killed
//	network cut|half|mend     what is between leasectl and the service; half is what is before keepalive
//	exits CODE command…       runs a command, and wants this exit code
//	begin NAME command…       runs a command in the background, with its output in NAME.out and NAME.err
//	signal SIG NAME           sends it a signal
//	ends NAME CODE            waits for its end, and wants this exit code
//	until FILE REGEXP         waits until the file matches
//	device NAME STATE         waits until the device is free, leased, …
//	queue N                   waits until so many stand in line
//	revoke DEVICE             takes the device from its holder
//	before FILE DEVICE        wants the time in the file (date +%s.%N) to be before the device was free
//	dead FILE                 waits until the process whose number is in the file is gone
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			l, err := openLab(e.WorkDir)
			if err != nil {
				return err
			}
			s := &script{lab: l, env: e, jobs: map[string]*job{}}
			e.Defer(s.close)
			e.Values[key{}] = s
			for name, value := range map[string]string{
				"LEASES_URL": "http://" + l.allocator.addr(), "PROXY": "http://" + l.allocator.addr(), "KEEPALIVE": "http://" + l.alive.to, "NOBODY": "http://127.0.0.1:1",
				"XDG_STATE_HOME": filepath.Join(e.WorkDir, "state"), "USER": "tester", "LEASE_OUTER": "of an outer lease",
			} {
				e.Setenv(name, value)
			}
			return l.start()
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"service": command(1, (*script).serviceCmd), "network": command(1, (*script).networkCmd), "exits": command(2, (*script).exitsCmd),
			"begin": command(2, (*script).beginCmd), "signal": command(2, (*script).signalCmd), "ends": command(2, (*script).endsCmd),
			"until": command(2, (*script).untilCmd), "device": command(2, (*script).deviceCmd), "queue": command(1, (*script).queueCmd),
			"revoke": command(1, (*script).revokeCmd), "before": command(2, (*script).beforeCmd), "dead": command(1, (*script).deadCmd),
		},
		RequireExplicitExec: true,
	})
}

type key struct{}

// script is one that runs.
type script struct {
	*lab
	env  *testscript.Env
	jobs map[string]*job
}

// job is a command in the background.
type job struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// command makes a command of a script of what returns an error.
func command(least int, f func(*script, *testscript.TestScript, []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < least {
			ts.Fatalf("wrong usage")
		}
		ts.Check(f(ts.Value(key{}).(*script), ts, args))
	}
}

func (s *script) close() {
	for _, j := range s.jobs {
		_ = j.cmd.Process.Kill() // it may have ended
		<-j.done
	}
	s.lab.close()
}

func (s *script) serviceCmd(_ *testscript.TestScript, args []string) error {
	if args[0] == "kill" {
		return s.kill()
	}
	return s.start()
}

func (s *script) networkCmd(_ *testscript.TestScript, args []string) error {
	s.allocator.set(args[0] == "cut")
	s.alive.set(args[0] != "mend")
	return nil
}

func (s *script) exitsCmd(ts *testscript.TestScript, args []string) error {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		got = e.ExitCode()
	} else if err != nil {
		return err
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
	return nil
}

func (s *script) beginCmd(ts *testscript.TestScript, args []string) error {
	path := args[1]
	if path == "leasectl" {
		var err error
		if path, err = exec.LookPath(path); err != nil {
			return err
		}
	}
	j := &job{cmd: exec.Command(path, args[2:]...), done: make(chan struct{})}
	for _, variable := range s.env.Vars {
		name, _, _ := strings.Cut(variable, "=")
		j.cmd.Env = append(j.cmd.Env, name+"="+ts.Getenv(name))
	}
	j.cmd.Dir = s.dir
	j.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err1 := os.Create(ts.MkAbs(args[0] + ".out"))
	log, err2 := os.Create(ts.MkAbs(args[0] + ".err"))
	j.cmd.Stdout, j.cmd.Stderr = out, log
	if err := errors.Join(err1, err2, j.cmd.Start(), out.Close(), log.Close()); err != nil {
		return err
	}
	s.jobs[args[0]] = j
	go func() {
		defer close(j.done)
		_ = j.cmd.Wait() // its exit code is in ProcessState
	}()
	return nil
}

func (s *script) signalCmd(_ *testscript.TestScript, args []string) error {
	number := map[string]syscall.Signal{
		"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "QUIT": syscall.SIGQUIT, "USR1": syscall.SIGUSR1,
		"USR2": syscall.SIGUSR2, "WINCH": syscall.SIGWINCH, "KILL": syscall.SIGKILL, "TSTP": syscall.SIGTSTP, "CONT": syscall.SIGCONT,
	}
	return s.jobs[args[1]].cmd.Process.Signal(number[args[0]])
}

func (s *script) endsCmd(ts *testscript.TestScript, args []string) error {
	j := s.jobs[args[0]]
	select {
	case <-j.done:
	case <-time.After(patience):
		ts.Fatalf("%s does not end", args[0])
	}
	ts.Logf("[stdout]\n%s[stderr]\n%s", ts.ReadFile(args[0]+".out"), ts.ReadFile(args[0]+".err"))
	if code := j.cmd.ProcessState.ExitCode(); strconv.Itoa(code) != args[1] {
		ts.Fatalf("%s: exit code %d, want %s (%v)", args[0], code, args[1], j.cmd.ProcessState)
	}
	return nil
}

func (s *script) untilCmd(ts *testscript.TestScript, args []string) error {
	wanted, err := regexp.Compile("(?m)" + args[1])
	if err != nil {
		return err
	}
	err = eventually(args[0]+" does not match "+args[1], func() bool {
		text, _ := os.ReadFile(ts.MkAbs(args[0])) // it may be still to come
		return wanted.Match(text)
	})
	if err != nil {
		text, _ := os.ReadFile(ts.MkAbs(args[0]))
		ts.Logf("%s", text)
	}
	return err
}

func (s *script) deviceCmd(_ *testscript.TestScript, args []string) error {
	_, err := s.becomes(args[0], args[1])
	return err
}

func (s *script) queueCmd(_ *testscript.TestScript, args []string) error {
	return eventually("the line is not so long", func() bool {
		n, err := s.queue()
		return err == nil && strconv.Itoa(n) == args[0]
	})
}

func (s *script) revokeCmd(_ *testscript.TestScript, args []string) error { return s.revoke(args[0]) }

func (s *script) beforeCmd(ts *testscript.TestScript, args []string) error {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(ts.ReadFile(args[0])), 64)
	if err != nil {
		return err
	}
	then := time.UnixMicro(int64(seconds * 1e6))
	d, err := s.becomes(args[1], "free")
	ts.Logf("%s before it was free", d.Since.Sub(then))
	if err == nil && !then.Before(d.Since) {
		ts.Fatalf("%s is not before %s, when it was free", then, d.Since)
	}
	return err
}

func (s *script) deadCmd(ts *testscript.TestScript, args []string) error {
	pid := strings.TrimSpace(ts.ReadFile(args[0]))
	return eventually("process "+pid+" lives", func() bool {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}
