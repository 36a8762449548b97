package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// requestFlags are the flags that say what to lease, and how long to wait for it.
type requestFlags struct {
	selector, name              string
	devices                     []string
	pool, holder, purpose, link string
	priority                    int
	ttl, maxHold, waitTimeout   time.Duration
	exportToken, explain        bool
}

// add adds the flags to a command. s are their defaults.
func (r *requestFlags) add(cmd *cobra.Command, s settings) {
	f := cmd.Flags()
	f.StringVarP(&r.selector, "selector", "l", "", "labels of the device, such as model=rpi4,arch!=arm")
	f.StringVar(&r.name, "name", "", "this one device")
	f.StringArrayVar(&r.devices, "device", nil, "one of several: as=selector, as=@name, or as:count=selector, such as board=model=rpi4; may be repeated")
	f.StringVar(&r.pool, "pool", s.Pool, "pool of the devices")
	f.IntVar(&r.priority, "priority", s.Priority, "0 to 9, the highest first in line")
	f.DurationVar(&r.ttl, "ttl", s.TTL, "how long the lease lives without keepalive, in whole seconds; 0 for the pool's")
	f.StringVar(&r.holder, "holder", s.Holder, "who leases")
	f.StringVar(&r.purpose, "purpose", "", "what for")
	f.StringVar(&r.link, "link", "", "where to look, such as the URL of a job")
	f.DurationVar(&r.waitTimeout, "wait-timeout", s.WaitTimeout, "how long to wait for a device; 0 for not at all")
	f.BoolVar(&r.explain, "explain", false, "lease nothing, but tell which devices match, label by label, and who has them")
	f.BoolVar(&r.exportToken, "export-token", false, "show the lease's token, too, as LEASE_TOKEN")
	cmd.MarkFlagsMutuallyExclusive("selector", "device")
	cmd.MarkFlagsMutuallyExclusive("name", "device")
}

// request is what the flags ask for.
func (r *requestFlags) request() (client.Request, error) {
	q := client.Request{Pool: r.pool, TTL: r.ttl, MaxHold: r.maxHold, Holder: r.holder, Purpose: r.purpose, Link: r.link, Priority: &r.priority}
	if len(r.devices) == 0 {
		q.Demands = []lease.Demand{{Selector: r.selector, Name: r.name}}
	}
	for _, text := range r.devices {
		d, err := parseDemand(text)
		if err != nil {
			return q, err
		}
		q.Demands = append(q.Demands, d)
	}
	if r.waitTimeout < 0 {
		return q, &failure{exitUsage, "--wait-timeout is not negative"}
	}
	return q, nil
}

// parseDemand reads as=selector, as=@name or as:count=selector.
func parseDemand(text string) (d lease.Demand, err error) {
	as, what, found := strings.Cut(text, "=")
	as, count, counted := strings.Cut(as, ":")
	if counted {
		d.Count, err = strconv.Atoi(count)
	}
	if !found || as == "" || err != nil || d.Count < 0 || counted && d.Count == 0 {
		return d, &failure{exitUsage, "--device " + strconv.Quote(text) + " is not as=selector, as=@name or as:count=selector, such as board=model=rpi4"}
	}
	d.As = as
	if name, named := strings.CutPrefix(what, "@"); named {
		d.Name = name
	} else {
		d.Selector = what
	}
	return d, nil
}
