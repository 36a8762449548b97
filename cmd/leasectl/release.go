package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/automation-infra/automation-infra/client"
)

func (a *app) releaseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "release [id|device]",
		Short: "Give a lease back that acquire or hold got",
		Long:  "release gives a lease back that acquire or hold got. The id may be left out if there is only one.\n\n" + exitCodes,
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runRelease(cmd, args)
		},
	}
}

func (a *app) runRelease(cmd *cobra.Command, args []string) error {
	k, one, c, err := a.reopen(cmd, args)
	if err != nil {
		return err
	}
	err = c.Release(cmd.Context(), one)
	if err == nil || isOver(err) {
		k.remove(one.ID)
	}
	if err != nil {
		return a.failed(err)
	}
	return nil
}

// reopen finds what was kept of a lease, and connects with its service.
func (a *app) reopen(cmd *cobra.Command, args []string) (keeper, *client.Lease, *client.Client, error) {
	k, err := openKeeper()
	if err != nil {
		return k, nil, nil, err
	}
	one, err := a.pick(cmd.Context(), k, append(args, "")[0])
	if err != nil {
		return k, nil, nil, err
	}
	if !cmd.Flags().Changed("url") {
		a.url = one.URL
	}
	c, err := a.client(client.Options{OnRetry: func(err error, _ time.Duration) { a.say("%s: %s, trying again", a.url, reason(err)) }})
	return k, one.lease(), c, err
}

// pick finds what was kept of the lease that is meant: by its id, by a device of it, or "" for the only one there is.
func (a *app) pick(ctx context.Context, k keeper, what string) (*kept, error) {
	if isID(what) {
		return k.get(what)
	}
	all, err := k.all()
	if err != nil {
		return nil, err
	}
	if what != "" {
		all = slices.DeleteFunc(all, func(one *kept) bool { return !slices.Contains(one.Devices, what) })
	}
	if len(all) > 1 {
		all = slices.DeleteFunc(all, func(one *kept) bool { return a.forget(ctx, k, one) })
	}
	switch {
	case len(all) == 1:
		return all[0], nil
	case len(all) == 0 && what != "":
		return nil, &failure{exitNoInput, fmt.Sprintf("%q is neither the id of a lease nor a device of one that is kept in %s; only who acquired it can do that", what, k.dir)}
	case len(all) == 0:
		return nil, &failure{exitNoInput, "no lease is kept in " + k.dir + "; acquire one first"}
	}
	which := make([]string, len(all))
	for i, one := range all {
		which[i] = fmt.Sprintf("%s (%s)", one.ID, strings.Join(one.Devices, ", "))
	}
	return nil, &failure{exitUsage, "which lease? " + strings.Join(which, ", ")}
}

// forget removes what was kept of a lease if that is over, as its service says.
func (a *app) forget(ctx context.Context, k keeper, one *kept) bool {
	c, err := client.New(one.URL, client.Options{RetryFor: -1})
	if err != nil {
		return false
	}
	l, err := c.Get(ctx, one.ID, "")
	if over := isOver(err) || err == nil && l.Ended != nil; !over {
		return false
	}
	k.remove(one.ID)
	return true
}
