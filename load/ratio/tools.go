package main

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// tools are the paths of the programs that are needed beside ours.
type tools struct{ wrk, redisServer, redisBenchmark string }

// findTools finds them on the path. The error lists all that are missing, and what to install.
func findTools() (tools, error) {
	if runtime.GOOS != "linux" {
		return tools{}, errors.New("this needs Linux: it reads in /proc what the services take")
	}
	var t tools
	var missing []string
	for name, path := range map[string]*string{"wrk": &t.wrk, "redis-server": &t.redisServer, "redis-benchmark": &t.redisBenchmark} {
		var err error
		if *path, err = exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return t, fmt.Errorf("missing: %s; on Debian: apt-get install wrk redis-server redis-tools", strings.Join(missing, ", "))
	}
	return t, nil
}
