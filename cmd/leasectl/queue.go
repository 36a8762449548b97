package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

func (a *app) queueCommand() *cobra.Command {
	flags := outputFlags{}
	cmd := &cobra.Command{
		Use:   "queue [pool]",
		Short: "Show who waits in line, for what and why",
		Long: `queue lists those that wait in the line of a pool, the default one if none is named, the first in line first: what they want, how
long they have waited, and what holds them up. With --watch, it goes on, with a line for each change. What leaves the line is
shown once more, with what became of it.

` + outputHelp + "\n\n" + exitCodes,
		Example: "  leasectl queue\n  leasectl queue phones -o wide -w",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := a.observe()
			if err != nil {
				return err
			}
			return list(cmd.Context(), o, flags, o.line(cmp.Or(append(args, a.defaults.Pool)[0], lease.DefaultPool)))
		},
	}
	flags.add(cmd)
	flags.addWatch(cmd)
	return cmd
}

// line is the list of those that wait in the line of a pool.
func (o *observer) line(pool string) listing[*client.Lease] {
	return listing[*client.Lease]{
		view: o.lineView(), none: fmt.Sprintf("no leases; nobody waits in the line of pool %s", pool),
		read: func(ctx context.Context) ([]*client.Lease, error) {
			all, err := collect(o, o.client.Queue(ctx, pool))
			if isField(err, "pool") {
				return nil, &failure{exitNever, fmt.Sprintf("pool %q: %s", pool, reason(err))}
			}
			return unique(all, leaseID), err
		},
		again: o.look, still: stillLease,
	}
}

func (o *observer) lineView() view[*client.Lease] {
	return view[*client.Lease]{leaseID, []column[*client.Lease]{
		{title: "PLACE", cell: place},
		{title: "ID", cell: leaseID},
		{title: "HOLDER", cell: leaseHolder, words: true},
		{title: "WANTS", cell: wants},
		{title: "PRIORITY", cell: func(l *client.Lease) string { return fmt.Sprint(l.Priority) }},
		{title: "WAITED", cell: func(l *client.Lease) string { return short(l.Waited) }},
		{title: "PURPOSE", cell: leasePurpose, wide: true},
		{title: "LINK", cell: leaseLink, wide: true},
		{title: "WHY", cell: why},
	}}
}

func place(l *client.Lease) string {
	if l.Queue == nil {
		return ""
	}
	return fmt.Sprint(l.Queue.Place)
}

// why is what holds a pending lease up, or what became of it.
func why(l *client.Lease) string {
	if l.Queue != nil {
		return l.Queue.Reason
	}
	var became []string
	if len(l.Devices) > 0 {
		became = append(became, "granted: "+strings.Join(deviceNames(l), ","))
	}
	if l.Ended != nil {
		became = append(became, "over: "+l.Ended.Reason.Explain())
	}
	return strings.Join(became, "; ")
}

// wants is what a lease asked for, such as "board: 2 of model=rpi4; nuc-02".
func wants(l *client.Lease) string { return strings.Join(demands(l), "; ") }

func demands(l *client.Lease) []string {
	all := make([]string, len(l.Demands))
	for i, d := range l.Demands {
		all[i] = demand(d)
	}
	return all
}

func demand(d lease.Demand) string {
	text := d.Selector
	switch {
	case d.Name != "" && d.Selector != "":
		text = fmt.Sprintf("%s (%s)", d.Name, d.Selector)
	case d.Name != "":
		text = d.Name
	case d.Selector == "":
		text = "any"
	}
	if d.Count > 1 {
		text = fmt.Sprintf("%d of %s", d.Count, text)
	}
	if d.As != "" {
		text = d.As + ": " + text
	}
	return text
}
