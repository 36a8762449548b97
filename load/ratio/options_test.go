package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// programs is a folder with what has to be there.
func programs(t *testing.T) (bin, conf string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"allocator", "keepalive", "redis.conf"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, filepath.Join(dir, "redis.conf")
}

func TestOptions(t *testing.T) {
	t.Parallel()
	bin, conf := programs(t)
	o, err := parseOptions([]string{"-bin", bin, "-redis-conf", conf, "-sets", "leases, http", "-rounds", "7", "-check"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.rounds != 7 || !o.check || len(o.sets) != 2 || o.sets[0].name != "http" || o.sets[1].name != "leases" {
		t.Errorf("got %+v", o)
	}
	if o, err = parseOptions([]string{"-bin", bin, "-redis-conf", conf}, io.Discard); err != nil || len(o.sets) != len(allSets()) || o.rounds < 5 {
		t.Errorf("by default: %+v, %v", o, err)
	}
}

func TestOptionMistakes(t *testing.T) {
	t.Parallel()
	bin, conf := programs(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"now"}, "there are only options"},
		{[]string{"-rounds", "0"}, "allowed is 1 to 100"},
		{[]string{"-seconds", "61"}, "allowed is 1 to 60"},
		{[]string{"-sets", "http,fast"}, `"fast" is none; allowed are http, `},
		{[]string{"-sets", ""}, "allowed are http, "},
		{[]string{"-bin", filepath.Join(bin, "none")}, "make build makes it"},
		{[]string{"-redis-conf", filepath.Join(bin, "none")}, "-redis-conf"},
	} {
		_, err := parseOptions(append([]string{"-bin", bin, "-redis-conf", conf}, c.args...), io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.args, err, c.want)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var help bytes.Buffer
	if _, err := parseOptions([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v", err)
	}
	for _, name := range append(setNames(), "-rounds", "-seconds", "-sets", "-bin", "-redis-conf", "-json", "-check") {
		if !strings.Contains(help.String(), name) {
			t.Errorf("no %s in\n%s", name, help.String())
		}
	}
}
