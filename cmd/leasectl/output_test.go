package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestTablesHaveNoTrailingBlanks(t *testing.T) {
	t.Parallel()
	table := &table{}
	for _, step := range []struct {
		rows [][]string
		want string
	}{
		{[][]string{{"NAME", "STATE", "HOLDER"}, {"d1", "free", ""}}, "NAME  STATE  HOLDER\nd1    free\n"},
		{[][]string{{"d2", "", "é"}}, "d2    -      é\n"},
		{[][]string{{"longer", "x", "é", "more"}}, "longer  x      é       more\n"},
		{[][]string{{"d3", "", "", "z"}, {""}}, "d3      -      -       z\n\n"},
	} {
		if got := table.lines(step.rows...); got != step.want {
			t.Errorf("%q, want %q", got, step.want)
		}
	}
}

func TestNothingIsObeyedByATerminal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"fan broken, 日本 é": "fan broken, 日本 é", "\x1b[31m": `\u001b[31m`, "a\nb\tc\r": `a\u000ab\u0009c\u000d`, "\u009b1m": `\u009b1m`, "\x7f": `\u007f`,
		"\u202eevil": `\u202eevil`, "\U000e0041": `\udb40\udc41`, "": "",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q is printed as %q, want %q", text, got, want)
		}
	}
}

// FuzzYAML holds that any text comes through YAML unchanged, and that a terminal obeys nothing of it.
func FuzzYAML(f *testing.F) {
	for _, text := range []string{
		"", "yes", "No", "on", "null", "~", "1", "0x10", "1_000", ".inf", ".nan", "? a", "- a", "a: b", "a #b", "\ta", "a\nb", "2026-11-23", "=", "<<", "\u009b", "\u2028",
		"\ufeff", "😀", `\\`, `\u0026`, "a&b", "'", `"`, "@a", "{a}", "plain", "d1", "a/b-c.d", "trailing ", "\U000e0041",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "")
		line, err := oneLine(map[string]any{"note": text, "list": []string{text}, "same": map[string]string{"note": text}})
		if err != nil {
			t.Fatal(err)
		}
		out, err := toYAML(line)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var back struct {
			Note any
			List []any
			Same map[string]any
		}
		if err := yaml.Unmarshal([]byte(out), &back); err != nil || back.Note != text || back.List[0] != text || back.Same["note"] != text {
			t.Errorf("%q comes back as %q, %v from\n%s", text, back, err, out)
		}
		for _, printed := range []string{line, strings.ReplaceAll(out, "\n", "")} {
			if strings.ContainsFunc(printed, obeyed) {
				t.Errorf("%q is printed as %q", text, printed)
			}
		}
	})
}

// TestOddAnswersAreNoPanic has something else answer than the service.
func TestOddAnswersAreNoPanic(t *testing.T) {
	t.Parallel()
	const id = "default-aaaaaaaaaaaaaaaaaaaaaaaaaa"
	for _, body := range []string{
		"", "null", "{}", "[]", `"x"`, "<html>", `{"devices":[null],"leases":[null],"queue":[null]}`, `{"devices":[{}],"leases":[{}],"queue":[{}]}`,
		`{"name":"d1","state":"leased","lease_id":"` + id + `","id":"` + id + `","maintenance":true}`, `{"name":"d1","id":"` + id + `","state":"active","devices":[{}]}`,
		`{"name":"d1","id":"` + id + `","state":"pending","demands":[{}],"queue":{}}`, `{"name":"d1","id":"` + id + `","state":"\u001b[1m","ended_reason":"\u001b[2m"}`,
	} {
		for _, args := range []string{
			"get devices", "get devices d1 -o wide", "get devices -o yaml", "get leases -o wide", "get leases -o json", "get leases " + id, "who", "who d1", "queue default -o wide", "describe d1", "describe " + id,
			"drain d1", "undrain d1", "wait d1 --timeout 0", "wait " + id + " --timeout 0", "__complete describe d", "__complete get devices -l a", "__complete queue d",
		} {
			t.Run(body+" "+args, func(t *testing.T) {
				t.Parallel()
				code, printed := ask(t, t.Context(), args, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, body) })
				if strings.Contains(printed, "\x1b") || !slices.Contains([]int{0, exitUnavailable, exitNoDevice, exitLost}, code) {
					t.Errorf("exit code %d\n%s", code, printed)
				}
			})
		}
	}
}

// ask runs a command against a service of the test's own. It returns the exit code, and what was printed.
func ask(t *testing.T, ctx context.Context, args string, service http.HandlerFunc) (int, string) {
	t.Helper()
	odd := httptest.NewServer(service)
	defer odd.Close()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() //nolint:errcheck // it is read below
	code := run(ctx, append(strings.Fields(args), "--url", odd.URL), streams{nil, out, out})
	printed, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return code, string(printed)
}

// TestTimePassingIsNoChange has a service where all moves that time moves.
func TestTimePassingIsNoChange(t *testing.T) {
	t.Parallel()
	for args, body := range map[string]string{
		"get devices":   `{"devices":[{"name":"d1","since_time":"2026-11-23T04:32:%02[1]dZ"}]}`,
		"get leases":    `{"leases":[{"id":"x","state":"active","expire_time":"2026-11-23T04:32:%02[1]dZ","remaining_seconds":%[1]d}]}`,
		"queue default": `{"queue":[{"id":"x","state":"pending","waited_seconds":%[1]d,"queue":{"place":1,"length":%[1]d,"reason":"%[1]d s","next_end_time":"2026-11-23T04:32:%02[1]dZ","next_end_seconds":%[1]d}}]}`,
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			var asked atomic.Int64
			_, printed := ask(t, ctx, args+" -w --every 100ms", func(w http.ResponseWriter, _ *http.Request) {
				n := asked.Add(1)
				_, _ = fmt.Fprintf(w, body, n)
				if n == 4 {
					cancel()
				}
			})
			if lines := strings.Count(printed, "\n"); lines != 3 { // the header, one, and why it ended
				t.Errorf("%d lines\n%s", lines, printed)
			}
		})
	}
}

func TestAgesAreByTheClockOfTheService(t *testing.T) {
	t.Parallel()
	for date, want := range map[string]string{"Sun, 23 Nov 2036 04:32:00 GMT": "12m", "Sun, 23 Nov 2036 04:10:00 GMT": "0s"} {
		_, printed := ask(t, t.Context(), "get devices", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", date)
			_, _ = fmt.Fprint(w, `{"devices":[{"name":"d1","pool":"p","state":"free","since_time":"2036-11-23T04:20:00Z"}]}`)
		})
		if !strings.HasSuffix(printed, "  "+want+"\n") {
			t.Errorf("at %s: %s", date, printed)
		}
	}
}

// TestAnOutageIsToldOnce has a service that does not even want to be asked again soon.
func TestAnOutageIsToldOnce(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"wait d1 --timeout 30s", "get devices -w --every 100ms"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var asked atomic.Int64
			_, printed := ask(t, ctx, args, func(w http.ResponseWriter, _ *http.Request) {
				state := "leased"
				switch asked.Add(1) {
				case 2, 3:
					w.Header().Set("Retry-After", "60")
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				case 4:
					state = "free"
				case 6:
					cancel()
				}
				_, _ = fmt.Fprintf(w, `{"name":"d1","state":%[1]q,"devices":[{"name":"d1","state":%[1]q}]}`, state)
			})
			for _, once := range []string{"no answer from http", "answers again", "free"} {
				if strings.Count(printed, once) != 1 {
					t.Errorf("%q is not told once\n%s", once, printed)
				}
			}
		})
	}
}

func TestAnAnswerAboutAnotherDeviceIsNone(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"get devices d1", "drain d1", "describe d1"} {
		code, printed := ask(t, t.Context(), args, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"name":"d2"}`) })
		if code != exitUnavailable || !strings.Contains(printed, "is http://") {
			t.Errorf("%s: exit code %d\n%s", args, code, printed)
		}
	}
}
