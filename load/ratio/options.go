package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// options are what the command line says.
type options struct {
	rounds, seconds int
	sets            []set
	bin             string // folder of the programs
	redisConf       string // the stack's Redis configuration
	json            string // file of the record; "" for none
	check           bool
}

// parseOptions reads the command line. The error is flag.ErrHelp when it asks for help, which is then written.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var names string
	f := flag.NewFlagSet("ratio", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() { writeUsage(f) }
	f.IntVar(&o.rounds, "rounds", 5, "how often everything is measured; the medians count")
	f.IntVar(&o.seconds, "seconds", 2, "how long each time")
	f.StringVar(&names, "sets", strings.Join(setNames(), ","), "what is measured, a comma list of the sets below")
	f.StringVar(&o.bin, "bin", "bin", "folder of the programs allocator and keepalive; make build makes them")
	f.StringVar(&o.redisConf, "redis-conf", "docker/redis/redis.conf", "configuration of Redis; its dir is not used")
	f.StringVar(&o.json, "json", "", "file to write the record to, with every measurement, as JSON")
	f.BoolVar(&o.check, "check", false, "exit with 1 when a target is missed")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.sets, err = chooseSets(names); err != nil {
		return o, err
	}
	return o, o.validate(f.Args())
}

func writeUsage(f *flag.FlagSet) {
	out := f.Output()
	_, _ = fmt.Fprint(out, "ratio compares the services with Gin and Redis, and prints the ratios.\n\n")
	f.PrintDefaults()
	_, _ = fmt.Fprint(out, "\nSets:\n")
	for _, s := range allSets() {
		_, _ = fmt.Fprintf(out, "  %-8s %s\n", s.name, s.about)
	}
}

func (o options) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q: there are only options; -h lists them", strings.Join(rest, " "))
	case o.rounds < 1 || o.rounds > 100:
		return fmt.Errorf("-rounds %d: allowed is 1 to 100", o.rounds)
	case o.seconds < 1 || o.seconds > 60:
		return fmt.Errorf("-seconds %d: allowed is 1 to 60", o.seconds)
	}
	for _, name := range []string{"allocator", "keepalive"} {
		if _, err := os.Stat(filepath.Join(o.bin, name)); err != nil {
			return fmt.Errorf("-bin: %w; make build makes it", err)
		}
	}
	if _, err := os.Stat(o.redisConf); err != nil {
		return fmt.Errorf("-redis-conf: %w; run this in the repository's folder, or name another", err)
	}
	return nil
}

// chooseSets returns the sets of a comma list, in the order in which they are measured.
func chooseSets(names string) ([]set, error) {
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(names, ",") {
		wanted[strings.TrimSpace(name)] = true
	}
	var chosen []set
	for _, s := range allSets() {
		if wanted[s.name] {
			chosen = append(chosen, s)
			delete(wanted, s.name)
		}
	}
	for name := range wanted {
		return nil, fmt.Errorf("-sets: %q is none; allowed are %s", name, strings.Join(setNames(), ", "))
	}
	return chosen, nil
}

func setNames() []string {
	var names []string
	for _, s := range allSets() {
		names = append(names, s.name)
	}
	return names
}
