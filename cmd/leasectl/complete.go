package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// completeWithin is how long a shell waits for what could come next. What is not known by then is left out, without a word.
const completeWithin = 2 * time.Second

// complete has the shell complete arguments and flags of all commands with what the service knows, and shows the command that sets that up.
func (a *app) complete(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			a.completion(cmd)
		} else {
			a.completeCommand(cmd)
		}
	}
}

// completion is the command that sets completion up: cobra's, with a help of ours.
func (a *app) completion(cmd *cobra.Command) {
	cmd.Short = "Print what makes a shell complete leasectl's commands, devices and leases"
	cmd.Long = `completion prints a script that makes a shell complete commands, flags, and the names of devices, leases, pools and labels, which it asks
the service for. In ~/.bashrc, with the package bash-completion:

  source <(leasectl completion bash)

and for zsh, fish and powershell in the same way; leasectl completion <shell> --help says where.`
	for _, shell := range cmd.Commands() {
		if shell.Name() == "bash" {
			shell.RunE = a.printBash
		}
	}
}

func (a *app) completeCommand(cmd *cobra.Command) {
	arguments := map[string]cobra.CompletionFunc{
		"describe": several(a.deviceNames, a.leaseIDs), "wait": several(a.deviceNames, a.leaseIDs), "who": several(a.deviceNames),
		"devices": several(a.deviceNames), "leases": several(a.leaseIDs), "drain": several(a.deviceNames), "undrain": several(a.drainedNames),
		"hold": only(a.deviceNames), "queue": only(a.poolNames), "release": only(keptLeases), "keepalive": only(keptLeases),
		"get": cobra.NoFileCompletions, "acquire": cobra.NoFileCompletions, "doctor": cobra.NoFileCompletions, "version": cobra.NoFileCompletions,
	}
	if cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = arguments[cmd.Name()]
	}
	for name, values := range map[string]cobra.CompletionFunc{
		"pool": always(a.poolNames), "name": always(a.deviceNames), "selector": a.selectors, "device": a.demands,
	} {
		if cmd.Flags().Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, values) // the flag is there
		}
	}
	for _, name := range []string{
		"output", "state", "for", "every", "timeout", "wait-timeout", "kill-after", "ttl", "priority", "holder", "purpose", "link", "note",
	} {
		if f := cmd.Flags().Lookup(name); f != nil {
			var words []cobra.Completion // none where anything goes
			if c, is := f.Value.(*choice); is {
				words = c.of
			}
			_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) // as above
		}
	}
	for _, inner := range cmd.Commands() {
		a.completeCommand(inner)
	}
}

// offer is what there is to choose from, with descriptions.
type offer func(ctx context.Context, cmd *cobra.Command) []cobra.Completion

// always completes with what is offered.
func always(offers ...offer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
		defer cancel()
		var all []cobra.Completion
		for _, from := range offers {
			all = append(all, from(ctx, cmd)...)
		}
		return begins(all, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// several completes each argument with what is offered and not named already.
func several(offers ...offer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		all, directive := always(offers...)(cmd, args, begun)
		return slices.DeleteFunc(all, func(one cobra.Completion) bool {
			value, _, _ := strings.Cut(one, "\t")
			return slices.Contains(args, value)
		}), directive
	}
}

// only completes the only argument with what is offered.
func only(from offer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return always(from)(cmd, args, begun)
	}
}

func begins(all []cobra.Completion, begun string) []cobra.Completion {
	return slices.DeleteFunc(all, func(one cobra.Completion) bool { return !strings.HasPrefix(one, begun) })
}

func (a *app) deviceNames(ctx context.Context, cmd *cobra.Command) []cobra.Completion {
	return described(a.devicesFor(ctx, cmd, ""))
}

// drainedNames are those of the devices that were taken out of service.
func (a *app) drainedNames(ctx context.Context, cmd *cobra.Command) []cobra.Completion {
	return described(slices.DeleteFunc(a.devicesFor(ctx, cmd, ""), func(d *client.Device) bool { return !d.Maintenance }))
}

// described are the names of devices, each with its state and holder.
func described(devices []*client.Device) []cobra.Completion {
	all := make([]cobra.Completion, len(devices))
	for i, d := range devices {
		text := deviceState(d)
		if d.State == lease.DeviceLeased {
			text += " by " + somebody(d.Holder)
		}
		all[i] = cobra.CompletionWithDesc(printable(d.Name), text)
	}
	return all
}

// devicesFor reads the devices that a command may mean: of its --pool, if it has one. It returns as many as there is time for.
func (a *app) devicesFor(ctx context.Context, cmd *cobra.Command, selector string) []*client.Device {
	c, err := a.client(client.Options{RetryFor: -1})
	if err != nil {
		return nil
	}
	f := client.DeviceFilter{Selector: selector}
	if pool := cmd.Flags().Lookup("pool"); pool != nil && pool.Changed {
		f.Pool = pool.Value.String()
	}
	return asMany(c.Devices(ctx, f))
}

// asMany is as much of a list as can be had.
func asMany[T any](list iter.Seq2[*T, error]) []*T {
	var all []*T
	for one, err := range list {
		if err != nil || one == nil {
			break
		}
		all = append(all, one)
	}
	return all
}

// poolNames are those of the pools that have devices.
func (a *app) poolNames(ctx context.Context, _ *cobra.Command) []cobra.Completion {
	c, err := a.client(client.Options{RetryFor: -1})
	if err != nil {
		return nil
	}
	sizes := map[string]int{}
	for _, d := range asMany(c.Devices(ctx, client.DeviceFilter{})) {
		sizes[d.Pool]++
	}
	return counted("", sizes)
}

// counted are the keys of a map, each after a prefix and with its number of devices.
func counted(prefix string, sizes map[string]int) []cobra.Completion {
	var all []cobra.Completion
	for _, key := range slices.Sorted(maps.Keys(sizes)) {
		text := "1 device"
		if sizes[key] != 1 {
			text = fmt.Sprintf("%d devices", sizes[key])
		}
		all = append(all, cobra.CompletionWithDesc(prefix+printable(key), text))
	}
	return all
}

// leaseIDs are those of the leases that are not over.
func (a *app) leaseIDs(ctx context.Context, _ *cobra.Command) []cobra.Completion {
	c, err := a.client(client.Options{RetryFor: -1})
	if err != nil {
		return nil
	}
	var all []cobra.Completion
	for _, state := range []lease.State{lease.StateActive, lease.StatePending} {
		for _, l := range asMany(c.Leases(ctx, client.LeaseFilter{State: state})) {
			text := fmt.Sprintf("%s, %s, %s", l.State, somebody(l.Holder), cmp.Or(strings.Join(deviceNames(l), " "), wants(l)))
			all = append(all, cobra.CompletionWithDesc(printable(l.ID), printable(text)))
		}
	}
	return all
}

// keptLeases are the ids of the leases whose tokens are kept here, and their devices.
func keptLeases(context.Context, *cobra.Command) []cobra.Completion {
	k, err := peekKeeper()
	if err != nil {
		return nil
	}
	kept, err := k.all()
	if err != nil {
		return nil
	}
	var all []cobra.Completion
	for _, one := range kept {
		all = append(all, cobra.CompletionWithDesc(one.ID, strings.Join(one.Devices, " ")))
		for _, device := range one.Devices {
			all = append(all, cobra.CompletionWithDesc(device, one.ID))
		}
	}
	return all
}

// selectors completes the last part of a selector: the key of a label, or its values, of the devices that the parts before it choose.
func (a *app) selectors(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	at := strings.LastIndex(begun, ",") + 1
	before, part := begun[:at], begun[at:]
	all, directive := labelParts(a.devicesFor(ctx, cmd, strings.TrimSuffix(before, ",")), before, part)
	return begins(all, begun), directive
}

// labelParts are how a part of a selector may go on, after the parts before it: with a key, or, once there is an operator, with a value.
func labelParts(devices []*client.Device, before, part string) ([]cobra.Completion, cobra.ShellCompDirective) {
	sizes := map[string]int{}
	at := strings.IndexAny(part, "=!")
	if at < 0 {
		for _, d := range devices {
			for key := range d.Labels {
				if !strings.Contains(","+before, ","+key+"=") {
					sizes[key+"="]++
				}
			}
		}
		return counted(before, sizes), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	value := strings.TrimLeft(part[at:], "=!")
	for _, d := range devices {
		if known, has := d.Labels[part[:at]]; has {
			sizes[known]++
		}
	}
	return counted(before+strings.TrimSuffix(part, value), sizes), cobra.ShellCompDirectiveNoFileComp
}

// demands completes the selector, or the name, of as=selector or as=@name.
func (a *app) demands(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	as, what, found := strings.Cut(begun, "=")
	if !found {
		return nil, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	prefix, complete := as+"=", a.selectors
	if name, named := strings.CutPrefix(what, "@"); named {
		prefix, what, complete = prefix+"@", name, always(a.deviceNames)
	}
	all, directive := complete(cmd, args, what)
	for i := range all {
		all[i] = prefix + all[i]
	}
	return all, directive
}
