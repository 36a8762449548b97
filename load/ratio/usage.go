package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit in which Linux tells CPU time, on every machine.
const tick = 10 * time.Millisecond

// usage is CPU time taken so far: by a service, by its Redis, by all that belongs to this run, and by all on this machine.
type usage struct{ service, redis, ours, machine time.Duration }

// usageOf reads what was taken so far; nothing by a server that is nil.
func (b *bench) usageOf(service, redis *server) (u usage, err error) {
	if u.machine, err = machineTime(); err != nil {
		return u, err
	}
	if u.ours, err = cpuTime(os.Getpid()); err != nil {
		return u, err
	}
	for _, s := range b.servers {
		taken, err := cpuTime(s.process.Pid)
		if err != nil {
			return u, err
		}
		u.ours += taken
		switch s {
		case service:
			u.service = taken
		case redis:
			u.redis = taken
		}
	}
	return u, nil
}

func (u usage) since(before usage) usage {
	return usage{u.service - before.service, u.redis - before.redis, u.ours - before.ours, u.machine - before.machine}
}

// cpuTime is how much CPU time a process has taken, in user and kernel.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) //nolint:gosec // of a child of ours
	if err != nil {
		return 0, err
	}
	return parseCPUTime(string(text))
}

// parseCPUTime reads utime and stime of proc(5)'s /proc/PID/stat. What stands in brackets before may hold blanks and brackets.
func parseCPUTime(stat string) (time.Duration, error) {
	const utime, stime = 14 - 3, 15 - 3 // behind the bracket comes the third field
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) <= stime {
		return 0, fmt.Errorf("not a /proc/PID/stat: %q", stat)
	}
	return sumTicks(fields[utime : stime+1])
}

// machineTime is how much CPU time was taken by processes on this machine, and from it by others on the same hardware.
func machineTime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseMachineTime(string(text))
}

// parseMachineTime reads user, nice, system and steal of the first line of proc(5)'s /proc/stat.
func parseMachineTime(stat string) (time.Duration, error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("not a /proc/stat: %q", line)
	}
	return sumTicks([]string{fields[1], fields[2], fields[3], fields[8]})
}

func sumTicks(fields []string) (time.Duration, error) {
	var sum time.Duration
	for _, text := range fields {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("CPU time: %w", err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// residentBytes is how much memory a process has resident.
func residentBytes(s *server) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Pid))
	if err != nil {
		return 0, err
	}
	return parseResident(string(text))
}

// parseResident reads VmRSS of proc(5)'s /proc/PID/status.
func parseResident(status string) (int64, error) {
	for line := range strings.Lines(status) {
		if value, is := strings.CutPrefix(line, "VmRSS:"); is {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmRSS in /proc/PID/status")
}
