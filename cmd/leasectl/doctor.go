package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

func (a *app) doctorCommand() *cobra.Command {
	try := false
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out why leasing does not work",
		Long: `doctor checks, one after the other, what leasing needs, and says what to do about what is wrong: the allocator, the clocks, the
devices, the line, the keepalive service as leases name it, and the tokens that are kept here, of which it forgets those of leases
that are over. With --try it leases a free device for a moment. The exit code is 69 if something is wrong.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(client.Options{RetryFor: -1})
			if err != nil {
				return err
			}
			return (&doctor{a, c, try}).run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&try, "try", false, "lease any free device, keep it alive once, and release it")
	return cmd
}

// doctor checks what leasing needs. A check returns what it found, and as an error what is wrong.
type doctor struct {
	*app
	*client.Client
	try bool
}

// errUnknown is that there was nothing to check, which is not wrong.
var errUnknown = errors.New("unknown")

func (d *doctor) run(ctx context.Context) error {
	checks := []struct {
		what  string
		check func(context.Context) (string, error)
	}{
		{"allocator", d.allocator}, {"clock", d.clock}, {"devices", d.devices}, {"line", d.line}, {"keepalive", d.keepalive}, {"tokens", d.tokens},
	}
	wrong := false
	for i, c := range checks {
		limited, cancel := context.WithTimeout(ctx, 10*time.Second)
		found, err := c.check(limited)
		cancel()
		how := "ok"
		switch {
		case errors.Is(err, errUnknown):
			how = "?"
		case err != nil:
			how, found, wrong = "WRONG", err.Error(), true
		}
		if err := d.print(fmt.Sprintf("%-5s  %-9s  %s\n", how, c.what, found)); err != nil {
			return err
		}
		if wrong && i == 0 {
			break // all else needs the allocator
		}
	}
	if wrong {
		return &failure{code: exitUnavailable}
	}
	return nil
}

// get asks the allocator for one of its paths that are not of the API.
func (d *doctor) get(ctx context.Context, path string, into any) (status int, date string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(d.url, "/")+path, nil)
	if err != nil {
		return 0, "", err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", fmt.Errorf("%w; start the service there, or set LEASES_URL or --url", err)
	}
	defer func() { _ = reply.Body.Close() }() // it was read
	known := reply.StatusCode == http.StatusOK || reply.StatusCode == http.StatusServiceUnavailable
	if err := json.NewDecoder(reply.Body).Decode(into); err != nil || !known {
		return 0, "", fmt.Errorf("%s answers %s, but not as the lease service does; set LEASES_URL or --url", d.url, reply.Status)
	}
	return reply.StatusCode, reply.Header.Get("Date"), nil
}

func (d *doctor) allocator(ctx context.Context) (string, error) {
	var ready struct{ Reason string }
	asked := time.Now()
	status, _, err := d.get(ctx, "/readyz", &ready)
	took := time.Since(asked).Round(time.Millisecond)
	switch {
	case err != nil:
		return "", err
	case status != http.StatusOK:
		return "", fmt.Errorf("%s is not ready: %s; its log says more", d.url, ready.Reason)
	}
	var document struct {
		Info struct{ Title, Version string }
	}
	if _, _, err := d.get(ctx, "/openapi.json", &document); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is ready, and answered in %s; %s %s, leasectl %s", d.url, took, document.Info.Title, document.Info.Version, version), nil
}

// clock compares the clocks, by which nothing but what is shown to people is decided.
func (d *doctor) clock(ctx context.Context) (string, error) {
	var ready struct{}
	_, date, err := d.get(ctx, "/readyz", &ready)
	if err != nil {
		return "", err
	}
	theirs, err := http.ParseTime(date)
	if err != nil {
		return "the service does not tell its time", errUnknown
	}
	if off := time.Since(theirs).Round(time.Second); off.Abs() > 2*time.Second {
		return fmt.Sprintf("this clock is %s off the service's: leases do not depend on that, but times that are shown do", off), nil
	}
	return "as the service's", nil
}

func (d *doctor) devices(ctx context.Context) (string, error) {
	states := map[string]map[lease.DeviceState]int{}
	for device, err := range d.Devices(ctx, client.DeviceFilter{}) {
		if err != nil {
			return "", d.failed(err)
		}
		if states[device.Pool] == nil {
			states[device.Pool] = map[lease.DeviceState]int{}
		}
		states[device.Pool][device.State]++
	}
	if len(states) == 0 {
		return "", errors.New("there are none; the allocator's INVENTORY lists them")
	}
	var pools []string
	for _, pool := range slices.Sorted(maps.Keys(states)) {
		n := states[pool]
		pools = append(pools, fmt.Sprintf("pool %s: %d free, %d leased, %d in maintenance", pool, n[lease.DeviceFree], n[lease.DeviceLeased], n[lease.DeviceMaintenance]))
	}
	return strings.Join(pools, "; "), nil
}

func (d *doctor) line(ctx context.Context) (string, error) {
	waiting, longest := 0, time.Duration(0)
	for l, err := range d.Leases(ctx, client.LeaseFilter{State: lease.StatePending}) {
		if err != nil {
			return "", d.failed(err)
		}
		waiting, longest = waiting+1, max(longest, l.Waited)
	}
	if waiting == 0 {
		return "nobody waits", nil
	}
	return fmt.Sprintf("%d wait, one of them for %s", waiting, longest), nil
}

// keepalive asks where leases say that they are kept alive.
func (d *doctor) keepalive(ctx context.Context) (string, error) {
	if d.try {
		return d.lease(ctx)
	}
	for l, err := range d.Leases(ctx, client.LeaseFilter{}) {
		if err != nil {
			return "", d.failed(err)
		}
		return d.answers(ctx, strings.TrimSuffix(l.KeepaliveURL, "/v1/leases/"+l.ID+"/keepalive"))
	}
	return "no lease says where it is; leasectl doctor --try finds out", errUnknown
}

// answers asks a keepalive service for a lease that there is not.
func (d *doctor) answers(ctx context.Context, service string) (string, error) {
	token := lease.NewToken()
	id := token.ID(lease.DefaultPool).String()
	err := d.Keepalive(ctx, &client.Lease{ID: id, Token: token, KeepaliveURL: service + "/v1/leases/" + id + "/keepalive"})
	if errors.Is(err, lease.ErrNotFound) {
		return service + " answers", nil
	}
	return "", unkept(service, err)
}

func unkept(service string, err error) error {
	return fmt.Errorf("%s: %s; the allocator's KEEPALIVE_URL has to be where this machine reaches the keepalive service", service, reason(err))
}

// lease leases a device for a moment.
func (d *doctor) lease(ctx context.Context) (string, error) {
	asked := time.Now()
	l, err := d.Acquire(ctx, client.Request{Pool: d.defaults.Pool, TTL: lease.MinTTL, Holder: d.defaults.Holder, Purpose: "leasectl doctor"}, client.Waiting{})
	switch {
	case errors.Is(err, lease.ErrNoneFree):
		return "no device is free to try it with", errUnknown
	case err != nil:
		return "", d.failed(err)
	}
	kept := d.Keepalive(ctx, l)
	if err := d.Release(ctx, l); err != nil {
		return "", d.failed(err)
	}
	if kept != nil {
		return "", unkept(l.KeepaliveURL, kept)
	}
	return fmt.Sprintf("leased %s, kept it alive at %s, and released it, in %s", l.Devices[0].Name, l.KeepaliveURL, time.Since(asked).Round(time.Millisecond)), nil
}

func (d *doctor) tokens(ctx context.Context) (string, error) {
	k, err := openKeeper()
	if err != nil {
		return "", err
	}
	all, err := k.all()
	if err != nil {
		return "", err
	}
	left := slices.DeleteFunc(slices.Clone(all), func(one *kept) bool { return d.forget(ctx, k, one) })
	return fmt.Sprintf("%d kept in %s, and %d forgotten, whose leases are over", len(left), k.dir, len(all)-len(left)), nil
}
