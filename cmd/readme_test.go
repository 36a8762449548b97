package cmd_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/automation-infra/automation-infra/config"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// TestReadme runs the console sessions of the README, and compares what they print.
func TestReadme(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "curl", "redis-cli"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %s is not installed, so the README's commands can't be run", tool)
		}
	}
	steps := consoleSteps(t, "../README.md")
	if len(steps) < 6 {
		t.Fatalf("the README shows %d commands", len(steps))
	}
	for i, printed := range play(t, steps) {
		if err := compare(steps[i].prints, printed); err != nil {
			t.Errorf("$ %s\n%v\n--- it prints\n%s", steps[i].command, err, printed)
		}
	}
}

// step is a command that a document shows, with what it prints.
type step struct{ command, prints string }

// consoleSteps returns the steps of a document's ```console blocks: commands begin with "$ ".
func consoleSteps(t *testing.T, path string) []step {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	for _, rest := range strings.Split(string(text), "```console\n")[1:] {
		block, _, _ := strings.Cut(rest, "```")
		for line := range strings.Lines(block) {
			if command, is := strings.CutPrefix(line, "$ "); is {
				steps = append(steps, step{command: strings.TrimSpace(command)})
			} else {
				steps[len(steps)-1].prints += line
			}
		}
	}
	return steps
}

// play runs the commands in one shell against a fresh standalone, and returns what each printed. Clients are told to wait
// for 3 s instead of 20.
func play(t *testing.T, steps []step) []string {
	t.Helper()
	redis := storetest.FreeAddr(t)
	_, port, _ := net.SplitHostPort(redis)
	p, base := standalone(t, "EMBEDDED_REDIS_ADDR="+redis, "RETRY_AFTER=3s")
	ports := strings.NewReplacer("localhost:8080", strings.TrimPrefix(base, "http://"), "-p 6399", "-p "+port)
	const mark = "--- end of step"
	script := "set -euo pipefail\n"
	for _, s := range steps {
		script += ports.Replace(s.command) + "\necho; echo '" + mark + "'\n"
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, p.lines)
	}
	return strings.Split(strings.TrimSuffix(string(out), mark+"\n"), mark+"\n")
}

// compare holds what was printed against what a document shows. JSON is compared by value, with what differs from run to
// run left out; "..." at the end stands for anything.
func compare(want, got string) error {
	want, open := strings.CutSuffix(strings.TrimSpace(want), "...")
	wantJSON, gotJSON := values(want), values(got)
	if wantJSON == nil {
		if strings.TrimSpace(want) != strings.TrimSpace(got) {
			return fmt.Errorf("--- the document shows\n%s", want)
		}
		return nil
	}
	if open {
		if len(gotJSON) <= len(wantJSON) {
			return fmt.Errorf("there is nothing in place of the ...")
		}
		gotJSON = gotJSON[:len(wantJSON)]
	}
	if !reflect.DeepEqual(wantJSON, gotJSON) {
		return fmt.Errorf("--- the document shows\n%v\n--- but it is\n%v", wantJSON, gotJSON)
	}
	return nil
}

// values reads JSON values one after the other; nil when there is anything else.
func values(text string) []any {
	var all []any
	for d := json.NewDecoder(bytes.NewBufferString(text)); d.More(); {
		var v any
		if d.Decode(&v) != nil {
			return nil
		}
		all = append(all, stable(v))
	}
	return all
}

// stable leaves out what differs from run to run, and with the wait that clients are told.
func stable(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			switch name {
			case "id", "token", "fence", "keepalive_url", "detail", "next_end_seconds", "retry_after_seconds", "remaining_seconds",
				"waited_seconds", "reason":
				v[name] = "varies"
			default:
				if strings.HasSuffix(name, "_time") {
					v[name] = "varies"
				}
				v[name] = stable(v[name])
			}
		}
	case []any:
		for i := range v {
			v[i] = stable(v[i])
		}
	}
	return v
}

// TestReadmeListsEveryVariable with its default and what it means.
func TestReadmeListsEveryVariable(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range config.Variables() {
		standard := ""
		if v.Default != "" {
			standard = "`" + v.Default + "`"
		}
		if row := fmt.Sprintf("| `%s` | %s | %s |", v.Name, standard, v.Description); !strings.Contains(string(readme), row) {
			t.Errorf("the README lacks the row %s", row)
		}
	}
}
