package main

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// scenario is what is done to the services, and what must come of it.
type scenario struct {
	name       string
	about      string
	devices    int           // how many it needs
	ttl        time.Duration // of its leases
	duration   time.Duration // how long is measured; at the most, when all it does is a number of cycles
	keepalives *keepalives   // nil for none
	cycles     *cycles       // nil for none
	ramp       *ramp         // nil for steady rates
	closed     *closed       // nil for an open loop
	floor      floor
}

// keepalives are leases that are held all the time, and kept alive in turns.
type keepalives struct {
	leases int
	rate   float64 // a second; each a third of the TTL after its last, unless the scenario says otherwise
}

// cycles are holders that get a lease and give it back.
type cycles struct {
	rate  float64       // how many begin in a second; 0 when count says how many begin in all
	count int           // how many begin in all, evenly in the time that over says
	over  time.Duration // 0 for all at once
	wait  time.Duration // how long each stands in line; 0 for not at all
	hold  time.Duration // how long each holds its lease, and keeps it alive
	crash float64       // the part of the holders that die at some moment of it, without release
}

// ramp multiplies the rates of the scenario, step by step, until the service can't follow.
type ramp struct {
	every  time.Duration // how long a step is
	factor float64       // between a step and the next
	p99    time.Duration // which a step must not pass
}

// closed is a loop in which each connection sends as soon as it has its answer.
type closed struct{ connections int }

// floor is what must come of a scenario. What is zero, nil or missing is not asked for.
type floor struct {
	keepaliveRate float64 // successes a second
	cycleRate     float64 // whole cycles a second
	cycles        int     // whole cycles in all
	errors        *int    // at most
	p99           map[operation]time.Duration
}

// Bounds of what a scenario may ask for.
const (
	shortestRun    = time.Second
	longestRun     = 24 * time.Hour
	maxLeases      = 100_000
	maxRate        = 100_000
	maxConnections = 10_000
)

//go:embed scenarios/*.yaml
var builtIn embed.FS

// findScenario returns a scenario by the name of one that is built in, or by the path of a file.
func findScenario(named string) (scenario, error) {
	if filepath.Ext(named) == "" && !strings.ContainsRune(named, filepath.Separator) {
		text, err := builtIn.ReadFile(path.Join("scenarios", named+".yaml"))
		if err != nil {
			return scenario{}, fmt.Errorf("no scenario is named %q; built in are %s, and a file of yours ends in .yaml",
				named, strings.Join(builtInNames(), ", "))
		}
		return parseScenario(named+".yaml", text)
	}
	file, err := os.Open(named) //nolint:gosec // whoever runs this names the file
	if err != nil {
		return scenario{}, fmt.Errorf("scenario: %w", err)
	}
	defer func() { _ = file.Close() }()
	const longest = 64 << 10
	text, err := io.ReadAll(io.LimitReader(file, longest+1))
	switch {
	case err != nil:
		return scenario{}, fmt.Errorf("scenario: %w", err)
	case len(text) > longest:
		return scenario{}, fmt.Errorf("scenario %s is longer than %d bytes", named, longest)
	}
	return parseScenario(named, text)
}

func builtInNames() []string {
	files, err := builtIn.ReadDir("scenarios")
	if err != nil {
		panic(err) // it was embedded
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(f.Name(), ".yaml")
	}
	slices.Sort(names)
	return names
}

// listScenarios writes what is built in.
func listScenarios(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, name := range builtInNames() {
		s, err := findScenario(name)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "  %s\t%s\n", name, s.about); err != nil {
			return err
		}
	}
	return w.Flush()
}

// check says what does not go together, each under the path of what is wrong.
func (s *scenario) check(wrong func(path, format string, args ...any)) {
	if s.keepalives == nil && s.cycles == nil {
		wrong("", "keepalives or cycles are needed, or both")
	}
	if s.keepalives != nil {
		s.checkKeepalives(wrong)
	}
	if s.cycles != nil {
		s.checkCycles(wrong)
	}
	if s.ramp != nil && (s.floor.errors != nil || s.floor.cycles > 0 || len(s.floor.p99) > 0) {
		wrong("floor", "of a ramp, which goes on until there are errors or slow answers, it can ask for rates only")
	}
	if s.closed != nil && (s.ramp != nil || s.keepalives != nil && s.cycles != nil) {
		wrong("closed", "goes with one of keepalives and cycles, and without ramp")
	}
	if needed := s.needs(); s.devices > 0 && s.devices < needed {
		wrong("devices", "%d are too few: its leases take %d", s.devices, needed)
	}
}

func (s *scenario) checkKeepalives(wrong func(path, format string, args ...any)) {
	k := s.keepalives
	interval := lease.KeepaliveInterval(s.ttl)
	switch {
	case k.leases == 0:
		wrong("keepalives", "leases is missing: how many leases to keep alive")
	case s.closed != nil && k.rate > 0:
		wrong("keepalives.rate", "a closed loop has no rate: it is as fast as it can be")
	case k.rate == 0:
		k.rate = float64(k.leases) / interval.Seconds()
	case float64(k.leases)/k.rate > s.ttl.Seconds()/2:
		wrong("keepalives.rate", "%g a second keep each of %d leases alive every %.0f s, which is too seldom for a TTL of %s",
			k.rate, k.leases, float64(k.leases)/k.rate, short(s.ttl))
	}
}

func (s *scenario) checkCycles(wrong func(path, format string, args ...any)) {
	c := s.cycles
	steady := c.wait == 0 && c.hold == 0 && c.count == 0
	switch {
	case s.closed != nil && (c.rate > 0 || !steady):
		wrong("cycles", "in a closed loop they have no rate, count, wait and hold: each begins when the one before is over")
	case s.ramp != nil && !steady:
		wrong("cycles", "in a ramp they have a rate, and no count, wait and hold")
	case s.closed == nil && (c.rate > 0) == (c.count > 0):
		wrong("cycles", "one of rate and count is needed: how many begin in a second, or in all")
	case c.over > 0 && c.count == 0:
		wrong("cycles.over", "is for count: rate says when they begin")
	case c.crash > 0 && c.hold == 0:
		wrong("cycles.crash", "needs hold: a holder dies while it holds")
	}
}

// needs is how many devices the leases take at the least.
func (s *scenario) needs() int {
	n := 0
	if s.keepalives != nil {
		n += s.keepalives.leases
	}
	if s.cycles != nil {
		n++
	}
	return n
}

// finite reports whether the run may be over before its time.
func (s *scenario) finite() bool { return s.cycles != nil && s.cycles.count > 0 && s.keepalives == nil }

var errEmpty = errors.New("the file is empty; -h says what a scenario is")
