package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/automation-infra/automation-infra/client"
)

// streams are the standard ones.
type streams struct{ in, out, err *os.File }

// app is one call of the program.
type app struct {
	streams
	defaults settings
	url      string
}

// run runs the program, and returns its exit code.
func run(ctx context.Context, args []string, std streams) int {
	a := &app{streams: std}
	var err error
	if a.defaults, err = readSettings(); err != nil {
		return a.report(err)
	}
	root := a.root()
	root.SetArgs(args)
	return a.report(root.ExecuteContext(ctx))
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "leasectl",
		Short:         "Lease test hardware, and run commands on it",
		Long:          "leasectl leases test hardware, runs commands while it is leased, and gives it back.\n\n" + aboutSettings + "\n\n" + exitCodes,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.PersistentFlags().StringVar(&a.url, "url", a.defaults.URL, "URL of the lease service, or set LEASES_URL")
	root.AddCommand(a.runCommand(), a.acquireCommand(), a.holdCommand(), a.releaseCommand(), a.keepaliveCommand(), a.doctorCommand(), a.versionCommand())
	root.AddCommand(a.getCommand(), a.describeCommand(), a.whoCommand(), a.queueCommand(), a.drainCommand(), a.undrainCommand(), a.waitCommand())
	a.complete(root)
	return root
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		return a.print("leasectl " + version + "\n")
	}}
}

// print writes to stdout.
func (a *app) print(text string) error {
	if _, err := a.out.WriteString(text); err != nil {
		return &failure{exitSoftware, err.Error()}
	}
	return nil
}

// say writes a line to stderr.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.err, "leasectl: "+format+"\n", args...) // there is nowhere else to say it
}

// report says why the program failed, if it did, and returns its exit code. What is no failure of ours is cobra's, about the usage.
func (a *app) report(err error) int {
	var f *failure
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &f):
		f = &failure{exitUsage, err.Error() + "; see leasectl --help"}
	}
	if f.message != "" {
		a.say("%s", f.message)
	}
	return f.code
}

// client connects with the service. o says who is told of outages.
func (a *app) client(o client.Options) (*client.Client, error) {
	c, err := client.New(a.url, o)
	if err != nil {
		return nil, &failure{exitUsage, err.Error() + "; set LEASES_URL or --url"}
	}
	return c, nil
}
