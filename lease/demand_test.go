package lease_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// resolve asks the lab's default pool for demands.
func resolve(demands ...lease.Demand) (lease.Grant, error) {
	return labInventory().Resolve(lease.ID{}, lease.Request{Pool: "default", Demands: demands})
}

func TestDemandsHaveOneNormalForm(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ demands, want []lease.Demand }{
		"none":      {nil, []lease.Demand{{Count: 1}}},
		"empty":     {[]lease.Demand{{}}, []lease.Demand{{Count: 1}}},
		"count":     {[]lease.Demand{{Count: 2}}, []lease.Demand{{Count: 2}}},
		"selector":  {[]lease.Demand{{Selector: " model == rpi4 , arch "}}, []lease.Demand{{Selector: "arch,model=rpi4", Count: 1}}},
		"name":      {[]lease.Demand{{Name: "nuc-01", Count: 1}}, []lease.Demand{{Name: "nuc-01", Count: 1}}},
		"two names": {[]lease.Demand{{Name: "nuc-01"}, {Name: "bare"}}, []lease.Demand{{Name: "nuc-01", Count: 1}, {Name: "bare", Count: 1}}},
		"in order": {
			[]lease.Demand{{Selector: "model==nuc", As: "host"}, {Selector: "model=rpi4", Count: 2, As: "boards"}},
			[]lease.Demand{{Selector: "model=nuc", Count: 1, As: "host"}, {Selector: "model=rpi4", Count: 2, As: "boards"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := slices.Clone(test.demands)
			g, err := resolve(test.demands...)
			if err != nil || !slices.Equal(g.Request.Demands, test.want) {
				t.Errorf("got %+v, %v, want %+v", g.Request.Demands, err, test.want)
			}
			if !slices.Equal(test.demands, before) {
				t.Errorf("the client's demands became %+v", test.demands)
			}
			if again, err := resolve(g.Request.Demands...); err != nil || again.Request.Digest() != g.Request.Digest() {
				t.Errorf("the normal form of the normal form is %+v, %v", again.Request.Demands, err)
			}
		})
	}
}

func TestWants(t *testing.T) {
	t.Parallel()
	const nuc, rpi4 = "arch=amd64,model=nuc", "arch=arm64,model=rpi4"
	tests := map[string]struct {
		demands  []lease.Demand
		want     []lease.Want
		matching int
	}{
		"any device":            {nil, []lease.Want{{Count: 1, Classes: []string{"-", nuc, rpi4}}}, 4},
		"label":                 {[]lease.Demand{{Selector: "arch"}}, []lease.Want{{Count: 1, Classes: []string{nuc, rpi4}}}, 3},
		"without label":         {[]lease.Demand{{Selector: "!arch"}}, []lease.Want{{Count: 1, Classes: []string{"-"}}}, 1},
		"not in":                {[]lease.Demand{{Selector: "model notin (nuc),arch", Count: 2}}, []lease.Want{{Count: 2, Classes: []string{rpi4}}}, 2},
		"name":                  {[]lease.Demand{{Name: "rpi4-01", Selector: "arch=arm64"}}, []lease.Want{{Count: 1, Device: "rpi4-01"}}, 1},
		"apart":                 {[]lease.Demand{{Selector: "arch=amd64"}, {Selector: "!arch"}}, []lease.Want{{Count: 1, Classes: []string{nuc}}, {Count: 1, Classes: []string{"-"}}}, 2},
		"overlap counts once":   {[]lease.Demand{{Selector: "arch"}, {Selector: "model=rpi4"}}, []lease.Want{{Count: 1, Classes: []string{nuc, rpi4}}, {Count: 1, Classes: []string{rpi4}}}, 3},
		"named and of a class":  {[]lease.Demand{{Selector: "arch"}, {Name: "rpi4-01"}}, []lease.Want{{Count: 1, Classes: []string{nuc, rpi4}}, {Count: 1, Device: "rpi4-01"}}, 3},
		"named and of no class": {[]lease.Demand{{Name: "bare"}, {Selector: "arch"}}, []lease.Want{{Count: 1, Device: "bare"}, {Count: 1, Classes: []string{nuc, rpi4}}}, 4},
		"two of a class named":  {[]lease.Demand{{Name: "rpi4-02"}, {Name: "rpi4-01"}}, []lease.Want{{Count: 1, Device: "rpi4-02"}, {Count: 1, Device: "rpi4-01"}}, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, err := resolve(test.demands...)
			same := func(a, b lease.Want) bool {
				return a.Count == b.Count && a.Device == b.Device && slices.Equal(a.Classes, b.Classes)
			}
			if err != nil || !slices.EqualFunc(g.Wants, test.want, same) || g.Matching != test.matching {
				t.Errorf("got %+v of %d, %v", g.Wants, g.Matching, err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	const invalid, noMatch = lease.CodeInvalid, lease.CodeNoMatch
	one := func(d ...lease.Demand) lease.Request { return lease.Request{Demands: d} }
	tests := []struct {
		request lease.Request
		code    lease.Code
		field   string
		say     string
	}{
		{lease.Request{Priority: -1}, invalid, "priority", "a priority is 0 to 9"},
		{lease.Request{Priority: 10}, invalid, "priority", "a priority is 0 to 9"},
		{lease.Request{TTL: time.Second}, invalid, "ttl_seconds", "is 3 to 3600 seconds"},
		{lease.Request{MaxHold: 2 * time.Hour}, invalid, "max_hold_seconds", "held 3 to 3600 seconds"},

		{one(lease.Demand{Count: -1}), invalid, "count", "a lease has 1 to 32 devices"},
		{one(lease.Demand{Count: 33}), invalid, "count", "a lease has 1 to 32 devices"},
		{one(lease.Demand{Count: 20}, lease.Demand{Count: 13}), invalid, "devices[1].count", "1 to 32 devices"},
		{one(lease.Demand{}, lease.Demand{Count: math.MaxInt}), invalid, "devices[1].count", "1 to 32 devices"},
		{one(make([]lease.Demand, 33)...), invalid, "devices[32].count", "1 to 32 devices"},
		{one(lease.Demand{Name: "bare", Count: 2}), invalid, "name", "device bare is one device"},
		{one(lease.Demand{Name: "bare"}, lease.Demand{Name: "bare"}), invalid, "devices[1].name", "ask for it once"},
		{one(lease.Demand{Selector: "a=b=c"}), invalid, "selector", "a selector is like"},
		{one(lease.Demand{Selector: strings.Repeat("a", 1025)}), invalid, "selector", "at most 1024 bytes"},
		{one(lease.Demand{Selector: ",,"}, lease.Demand{}), invalid, "devices[0].selector", "a selector is like"},

		{lease.Request{Pool: "attic"}, noMatch, "pool", "the pools are default, empty"},
		{lease.Request{Pool: "empty", Demands: []lease.Demand{{Selector: "a"}}}, noMatch, "selector", "no device has a label"},
		{one(lease.Demand{Selector: "arch=arm64,model=rpi9"}), noMatch, "selector", "model is one of nuc, rpi4"},
		{one(lease.Demand{Selector: "gpu"}), noMatch, "selector", "the labels are arch, model"},
		{one(lease.Demand{Selector: "model=rpi4,arch=amd64"}), noMatch, "selector", `all of "arch=amd64,model=rpi4"`},
		{one(lease.Demand{}, lease.Demand{Selector: "gpu"}), noMatch, "devices[1].selector", "the labels are"},
		{one(lease.Demand{Selector: "model=rpi4", Name: "nuc-01"}), noMatch, "selector", "for device nuc-01 no device"},
		{one(lease.Demand{Selector: "model=nuc", Name: "bare"}, lease.Demand{}), noMatch, "devices[0].selector", "for device bare no device"},
		{one(lease.Demand{Name: "nuc-02"}), noMatch, "name", "no device of pool default is named nuc-02"},
		{one(lease.Demand{}, lease.Demand{Name: "nuc-02"}), noMatch, "devices[1].name", "is named nuc-02"},
		{one(lease.Demand{Selector: "model=rpi4", Count: 3}), noMatch, "count", "pool default has 2 devices that match, this asks for 3"},
		{one(lease.Demand{Count: 5}), noMatch, "count", "has 4 devices"},
		{one(lease.Demand{}, lease.Demand{Selector: "arch", Count: 4}), noMatch, "devices[1].count", "has 3 devices that match, this asks for 4"},
		{one(lease.Demand{Count: 3}, lease.Demand{Count: 2}), noMatch, "devices", "not for all of them at once"},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s %s %s", test.code, test.field, test.say), func(t *testing.T) {
			t.Parallel()
			if test.request.Pool == "" {
				test.request.Pool = "default"
			}
			_, err := labInventory().Resolve(lease.ID{}, test.request)
			refused(t, err, test.code, test.field, test.say)
		})
	}
}

// refused checks why a request was.
func refused(t *testing.T, err error, code lease.Code, field, say string) {
	t.Helper()
	e, ok := errors.AsType[*lease.Error](err)
	if !ok || e.Code != code || e.Field != field || !strings.Contains(e.Message, say) {
		t.Errorf("got %#v, want %s of %q that says %q", err, code, field, say)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	const quota, ok = lease.CodeQuota, lease.Code("")
	tests := map[string]struct {
		limits lease.Limits
		count  int
		holder string
		code   lease.Code
		field  string
		say    string
	}{
		"no limit":                 {lease.Limits{}, 5, "", ok, "", ""},
		"as many as a lease has":   {lease.Limits{DevicesPerLease: 3}, 3, "", ok, "", ""},
		"more than a lease has":    {lease.Limits{DevicesPerLease: 3}, 4, "", quota, "devices", "a lease of pool lab has at most 3 devices, this asks for 4"},
		"as many as a holder has":  {lease.Limits{DevicesPerHolder: 3}, 3, "ann", ok, "", ""},
		"more than a holder has":   {lease.Limits{DevicesPerHolder: 3}, 4, "ann", quota, "devices", "a holder has at most 3 devices of pool lab, this asks for 4"},
		"one lease of a holder":    {lease.Limits{LeasesPerHolder: 1}, 5, "ann", ok, "", ""},
		"leases of no holder":      {lease.Limits{LeasesPerHolder: 1}, 1, "", lease.CodeInvalid, "holder", "pool lab limits what one holder may have"},
		"devices of no holder":     {lease.Limits{DevicesPerHolder: 3}, 1, "", lease.CodeInvalid, "holder", "say who you are"},
		"more than the pool has":   {lease.Limits{DevicesPerLease: 8}, 7, "", lease.CodeNoMatch, "devices", "not for all of them at once"},
		"more than allowed or had": {lease.Limits{DevicesPerLease: 6}, 7, "", quota, "devices", "at most 6 devices"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := lease.Pool{Name: "lab", TTL: time.Minute, MaxHold: time.Hour, Limits: test.limits, Devices: alike(6)}
			r := lease.Request{Pool: "lab", Holder: test.holder, Demands: make([]lease.Demand, test.count)}
			_, err := lease.NewInventory([]lease.Pool{pool}).Resolve(lease.ID{}, r)
			if test.code != ok {
				refused(t, err, test.code, test.field, test.say)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// alike returns n devices without labels: d00, d01, …
func alike(n int) []lease.Device {
	devices := make([]lease.Device, n)
	for i := range devices {
		devices[i].Name = fmt.Sprintf("d%02d", i)
	}
	return devices
}

func TestPriorities(t *testing.T) {
	t.Parallel()
	for _, priority := range []int{0, lease.DefaultPriority, lease.MaxPriority} {
		if g, err := labInventory().Resolve(lease.ID{}, lease.Request{Pool: "default", Priority: priority}); err != nil || g.Request.Priority != priority {
			t.Errorf("priority %d: %+v, %v", priority, g.Request, err)
		}
	}
}
