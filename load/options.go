package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// options are what the command line says.
type options struct {
	scenario scenario
	lab      lab
	programs programs // to start when no lab is named
	out      string   // file of the page; "" for none
	list     bool
}

// parseOptions reads the command line. The error is flag.ErrHelp when it asks for help, which is then written.
func parseOptions(args []string, help io.Writer) (options, error) {
	var o options
	var named string
	var over overrides
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.SetOutput(io.Discard) // the caller writes the error
	f.StringVar(&named, "scenario", "floor", "`name` of a scenario that is built in, or path of a .yaml file")
	f.BoolVar(&o.list, "list", false, "list the scenarios that are built in")
	f.StringVar(&o.lab.allocator, "allocator", "", "`URL` of the allocator; without it, a lab is started on this machine")
	f.StringVar(&o.lab.keepalive, "keepalive", "", "`URL` of the keepalive service; without it, where each lease says")
	f.StringVar(&o.lab.pool, "pool", "", "`pool` to lease from, with -allocator (default \"default\")")
	f.StringVar(&o.lab.selector, "l", "", "`selector` of the devices to lease, with -allocator; every device without it")
	f.StringVar(&o.programs.bin, "bin", "bin", "`folder` of the programs that are started without -allocator")
	f.StringVar(&o.programs.redis, "redis", "", "without -allocator: the redis-server `program` to run allocator and keepalive over, instead of standalone")
	f.DurationVar(&over.duration, "duration", 0, "how long to measure, instead of what the scenario says")
	f.IntVar(&over.connections, "connections", 0, "how many connections, instead of what a closed scenario says")
	f.StringVar(&o.out, "out", "", "`file` for the report as a page, ending in .html; a .json with every number goes beside it")
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return o, errors.Join(err, usage(f, help))
	}
	if err = errors.Join(err, o.check(f.Args())); err != nil || o.list {
		return o, err
	}
	o.lab.pool = cmp.Or(o.lab.pool, lease.DefaultPool)
	if o.scenario, err = findScenario(named); err != nil {
		return o, err
	}
	return o, over.apply(&o.scenario)
}

func (o *options) check(rest []string) error {
	_, selector := lease.ParseSelector(o.lab.selector)
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q: there are only options; -h lists them", strings.Join(rest, " "))
	case o.lab.allocator == "" && (o.lab.keepalive != "" || o.lab.pool != "" || o.lab.selector != ""):
		return errors.New("-keepalive, -pool and -l say more about the lab of -allocator, which is missing")
	case o.lab.allocator != "" && o.programs.redis != "":
		return errors.New("-redis is for a lab that is started, and -allocator names one that runs")
	case selector != nil:
		return fmt.Errorf("-l: %w", selector)
	case o.lab.pool != "" && lease.ValidateName(o.lab.pool) != nil:
		return fmt.Errorf("-pool: %w", lease.ValidateName(o.lab.pool))
	case o.out != "" && filepath.Ext(o.out) != ".html":
		return fmt.Errorf("-out %s: the name has to end in .html", o.out)
	}
	return errors.Join(baseURL("allocator", &o.lab.allocator), baseURL("keepalive", &o.lab.keepalive))
}

// baseURL checks a URL to which paths are appended, and takes a slash off its end.
func baseURL(flag string, text *string) error {
	*text = strings.TrimRight(*text, "/")
	u, err := url.Parse(*text)
	if *text == "" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil &&
		u.RawQuery+u.Fragment == "" {
		return nil
	}
	return fmt.Errorf("-%s %q is not an http or https URL, such as http://localhost:8080", flag, *text)
}

// overrides are what the command line changes of a scenario.
type overrides struct {
	duration    time.Duration
	connections int
}

func (o overrides) apply(s *scenario) error {
	if o.duration != 0 {
		s.duration = o.duration
		if o.duration < shortestRun || o.duration > longestRun {
			return fmt.Errorf("-duration %s: allowed is %s to %s", o.duration, short(shortestRun), short(longestRun))
		}
	}
	if o.connections == 0 {
		return nil
	}
	switch {
	case s.closed == nil:
		return fmt.Errorf("-connections is for closed scenarios, which %s is not", s.name)
	case o.connections < 1 || o.connections > maxConnections:
		return fmt.Errorf("-connections %d: allowed is 1 to %d", o.connections, maxConnections)
	}
	s.closed.connections = o.connections
	return nil
}

// usage writes all that there is to know about the command line and scenarios.
func usage(f *flag.FlagSet, out io.Writer) error {
	var b strings.Builder
	b.WriteString("load puts a lab under load, and says how fast it answered and whether it kept its promises.\n\nOptions:\n")
	f.SetOutput(&b)
	f.PrintDefaults()
	b.WriteString("\nScenarios:\n")
	_ = listScenarios(&b) // a strings.Builder takes everything
	b.WriteString("\nA scenario file is YAML, and may say:\n\n")
	b.WriteString(describeFields())
	b.WriteString("\nExit codes: 0 the floor held, 1 it did not, 2 wrong usage, 130 interrupted.\n")
	_, err := io.WriteString(out, b.String())
	return err
}
