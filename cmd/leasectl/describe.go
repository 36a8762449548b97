package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

func (a *app) describeCommand() *cobra.Command {
	flags := outputFlags{}
	cmd := &cobra.Command{
		Use:   "describe device|lease…",
		Short: "Tell all that is known of devices or leases",
		Long: `describe tells all that is known of devices and of leases, but never how to reach a device: only run, acquire and hold tell that to who
has it. In json and yaml, it is what get prints.

` + outputHelp + "\n\n" + exitCodes,
		Example: "  leasectl describe rpi4-01\n  leasectl describe default-6gyyhjnm4ttukjhvlww7zn5zxc",
		Args:    named("describe", "a device, or the id of a lease"),
		RunE: func(cmd *cobra.Command, names []string) error {
			o, err := a.observe()
			if err != nil {
				return err
			}
			return o.describe(cmd.Context(), names, flags)
		},
	}
	flags.add(cmd)
	return cmd
}

// named wants arguments, and says what they are.
func named(command, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s what? Name %s", command, what)
		}
		return nil
	}
}

func (o *observer) describe(ctx context.Context, names []string, flags outputFlags) error {
	l := listing[thing]{
		view:  view[thing]{name: thing.name},
		alone: len(names) == 1,
		read:  func(ctx context.Context) ([]thing, error) { return each(ctx, names, o.thing) },
	}
	if flags.format.value != formatTable && flags.format.value != formatWide {
		return list(ctx, o, flags, l)
	}
	things, err := l.read(ctx)
	if err != nil {
		return o.unread(err)
	}
	texts := make([]string, len(things))
	for i, t := range things {
		texts[i] = o.facts(t).String()
	}
	return o.print(strings.Join(texts, "\n"))
}

func (o *observer) facts(t thing) facts {
	if t.device != nil {
		return o.factsOfDevice(t)
	}
	return o.factsOfLease(t.lease)
}

// facts are what is known of something.
type facts []fact

type fact struct {
	key    string
	values []string
}

// add adds what is known; what is empty is not.
func (f *facts) add(key string, values ...string) {
	values = slices.DeleteFunc(values, func(value string) bool { return value == "" })
	if len(values) > 0 {
		*f = append(*f, fact{key, values})
	}
}

// String is a line for each, the values below each other.
func (f facts) String() string {
	width := 0
	for _, one := range f {
		width = max(width, utf8.RuneCountInString(one.key))
	}
	var b strings.Builder
	for _, one := range f {
		key := one.key + ":"
		for _, value := range one.values {
			fmt.Fprintf(&b, "%-*s  %s\n", width+1, key, printable(value))
			key = ""
		}
	}
	return b.String()
}

func (o *observer) factsOfDevice(t thing) facts {
	d := t.device
	var f facts
	f.add("Device", d.Name)
	f.add("Pool", d.Pool)
	f.add("State", string(d.State))
	f.add("Since", o.moment(d.Since, o.contact.now()))
	if d.Maintenance && d.State == lease.DeviceLeased {
		f.add("Maintenance", "drained: it goes into maintenance when its lease ends")
	}
	f.add("Note", d.Note)
	f.add("Labels", pairs(d.Labels)...)
	f.add("Attributes", pairs(d.Attributes)...)
	f.add("Grants", fmt.Sprint(d.Grants))
	f.add("Lease", d.Lease)
	f.add("Holder", d.Holder)
	if l := t.lease; l != nil {
		f.add("Purpose", l.Purpose)
		f.add("Link", l.Link)
		o.addTimes(&f, l)
	}
	f.add("Here", here(d.Lease))
	if d.LastLease != d.Lease {
		f.add("Last lease", d.LastLease)
	}
	return f
}

func (o *observer) factsOfLease(l *client.Lease) facts {
	var f facts
	f.add("Lease", l.ID)
	f.add("State", string(l.State))
	f.add("Pool", l.Pool)
	f.add("Holder", l.Holder)
	f.add("Purpose", l.Purpose)
	f.add("Link", l.Link)
	f.add("Wants", demands(l)...)
	f.add("Devices", leasedDevices(l)...)
	f.add("Priority", fmt.Sprint(l.Priority))
	if l.Fence != 0 {
		f.add("Fence", fmt.Sprint(l.Fence))
	}
	f.add("TTL", l.TTL.String())
	f.add("Asked", o.moment(l.Create, o.when(l)))
	f.add("Waited", short(l.Waited))
	if q := l.Queue; q != nil {
		f.add("Place", fmt.Sprintf("%s of %d in line", ordinal(q.Place), q.Length))
		f.add("Waits for", q.Reason)
	}
	o.addTimes(&f, l)
	f.add("Here", here(l.ID))
	return f
}

// addTimes adds the times of a lease from its grant on.
func (o *observer) addTimes(f *facts, l *client.Lease) {
	f.add("Granted", o.moment(l.Grant, o.when(l)))
	switch {
	case l.Ended != nil:
		f.add("Ended", o.moment(l.Ended.Time, o.contact.now())+": "+l.Ended.Reason.Explain())
	case l.State == lease.StateActive:
		f.add("Ends", fmt.Sprintf("%s, in %s unless kept alive", absolute(l.Expire), short(l.Remaining)))
		f.add("At the latest", fmt.Sprintf("%s, in %s", absolute(l.Deadline), short(l.Deadline.Sub(o.when(l)))))
	}
}

// moment is a time in the past, and how long ago it was; "" for none.
func (o *observer) moment(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s, %s ago", absolute(at), age(at, now))
}

func absolute(at time.Time) string { return at.UTC().Format(time.RFC3339) }

func pairs(m map[string]string) []string {
	all := make([]string, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, key+"="+m[key])
	}
	return all
}

// leasedDevices are the devices of a lease, with what the request called them.
func leasedDevices(l *client.Lease) []string {
	names := deviceNames(l)
	for i, d := range l.Devices {
		if d.As != "" {
			names[i] = d.As + ": " + d.Name
		}
	}
	return names
}

// here says what can be done here with a lease whose token is kept; "" for any other.
func here(id string) string {
	k, err := peekKeeper()
	if err != nil || id == "" {
		return ""
	}
	if _, err := k.get(id); err != nil {
		return ""
	}
	return "its token is kept here: leasectl release " + id
}

// peekKeeper is a keeper to look into, which need not be there.
func peekKeeper() (keeper, error) {
	dir, err := userFile("XDG_STATE_HOME", ".local/state", "")
	return keeper{filepath.Clean(dir)}, err
}
