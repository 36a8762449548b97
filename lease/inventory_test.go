package lease_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

func labInventory() *lease.Inventory {
	rpi4 := map[string]string{"model": "rpi4", "arch": "arm64"}
	return lease.NewInventory([]lease.Pool{
		{Name: "default", TTL: time.Minute, MaxHold: time.Hour, Devices: []lease.Device{
			{Name: "rpi4-02", Labels: rpi4}, {Name: "rpi4-01", Labels: rpi4}, {Name: "bare"},
			{Name: "nuc-01", Labels: map[string]string{"model": "nuc", "arch": "amd64"}},
		}},
		{Name: "empty", TTL: time.Minute, MaxHold: 10 * time.Second},
	})
}

func TestInventory(t *testing.T) {
	t.Parallel()
	inv := labInventory()
	if got := inv.Pools(); !slices.Equal(got, []string{"default", "empty"}) {
		t.Errorf("pools %v", got)
	}
	classes := inv.Pool("default").Classes()
	if len(classes) != 3 || classes[0].Name != "" || classes[1].Name != "arch=amd64,model=nuc" || classes[2].Name != "arch=arm64,model=rpi4" || classes[2].Size != 2 {
		t.Errorf("classes %+v", classes)
	}
	if d := inv.Device("rpi4-02"); d == nil || d.Pool != "default" || inv.Device("x") != nil || inv.Pool("x") != nil {
		t.Errorf("device %+v", d)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	inv := labInventory()
	id := lease.NewToken().ID("default")
	for _, c := range []struct {
		request  lease.Request
		matching int
		classes  string
	}{
		{lease.Request{}, 4, "|arch=amd64,model=nuc|arch=arm64,model=rpi4"},
		{lease.Request{Selector: "arch"}, 3, "arch=amd64,model=nuc|arch=arm64,model=rpi4"},
		{lease.Request{Selector: "!arch"}, 1, ""},
		{lease.Request{Selector: "model notin (nuc), arch"}, 2, "arch=arm64,model=rpi4"},
		{lease.Request{Name: "rpi4-01", Selector: "arch=arm64"}, 1, "arch=arm64,model=rpi4"},
	} {
		c.request.Pool = "default"
		g, err := inv.Resolve(id, c.request)
		if err != nil || g.Demand.Matching != c.matching || strings.Join(g.Demand.Classes, "|") != c.classes || g.Demand.Device != c.request.Name {
			t.Errorf("%+v: %+v, %v", c.request, g.Demand, err)
		}
		if g.TTL != time.Minute || g.MaxHold != time.Hour || g.ID != id {
			t.Errorf("%+v: %+v", c.request, g)
		}
	}
}

func TestResolveDurations(t *testing.T) {
	t.Parallel()
	inv := labInventory()
	for _, c := range []struct{ ttl, hold, wantTTL, wantHold time.Duration }{
		{0, 0, time.Minute, time.Hour},
		{time.Hour, 0, time.Hour, time.Hour},
		{0, 10 * time.Second, 10 * time.Second, 10 * time.Second},
		{lease.MinTTL, lease.MinTTL, lease.MinTTL, lease.MinTTL},
		{time.Second, 0, 0, 0}, {2 * time.Hour, 0, 0, 0}, {0, 2 * time.Hour, 0, 0}, {0, time.Second, 0, 0}, {-1, 0, 0, 0}, {0, -1, 0, 0},
	} {
		g, err := inv.Resolve(lease.ID{}, lease.Request{Pool: "default", TTL: c.ttl, MaxHold: c.hold})
		if g.TTL != c.wantTTL || g.MaxHold != c.wantHold || (err == nil) != (c.wantTTL != 0) {
			t.Errorf("%+v: TTL %s, hold %s, %v", c, g.TTL, g.MaxHold, err)
		}
		if err != nil && !errors.Is(err, lease.ErrInvalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestResolveSaysWhatMatchesNothing(t *testing.T) {
	t.Parallel()
	inv := labInventory()
	for say, r := range map[string]lease.Request{
		"the pools are default, empty":      {Pool: "attic"},
		"no device has a label":             {Pool: "empty", Selector: "a"},
		"model is one of nuc, rpi4":         {Pool: "default", Selector: "arch=arm64,model=rpi9"},
		"the labels are arch, model":        {Pool: "default", Selector: "gpu"},
		"all of \"arch=amd64,model=rpi4\"":  {Pool: "default", Selector: "model=rpi4,arch=amd64"},
		"for device nuc-01 no device":       {Pool: "default", Selector: "model=rpi4", Name: "nuc-01"},
		"no device of pool default is name": {Pool: "default", Name: "nuc-02"},
	} {
		_, err := inv.Resolve(lease.ID{}, r)
		if !errors.Is(err, lease.ErrNoMatch) || !strings.Contains(err.Error(), say) {
			t.Errorf("%+v: %v does not say %q", r, err, say)
		}
	}
}

func TestSelectorHasOneNormalForm(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"model=rpi4,arch!=arm", " arch != arm , model == rpi4 ", "model==rpi4,arch!=arm"} {
		selector, err := lease.ParseSelector(s)
		if err != nil || selector.String() != "arch!=arm,model=rpi4" {
			t.Errorf("%q: %q, %v", s, selector, err)
		}
	}
}

func TestDigestTellsRequestsApart(t *testing.T) {
	t.Parallel()
	digests := map[string]lease.Request{}
	for _, r := range []lease.Request{
		{}, {Pool: "a"}, {Selector: "a"}, {Name: "a"}, {TTL: 1}, {MaxHold: 1}, {Holder: "a"}, {Purpose: "a"}, {Link: "a"},
	} {
		if same, taken := digests[r.Digest()]; taken {
			t.Errorf("%+v and %+v have the same digest", r, same)
		}
		digests[r.Digest()] = r
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key, value string
		valid      bool
	}{
		{"model", "rpi4", true}, {"lab.example/gpu", "", true}, {"a", "A.b_c-9", true},
		{"", "x", false}, {"a b", "x", false}, {"a", "b c", false}, {"a", strings.Repeat("x", 64), false}, {"a", "-x", false},
	} {
		if err := lease.ValidateLabel(c.key, c.value); (err == nil) != c.valid {
			t.Errorf("%q=%q: %v", c.key, c.value, err)
		}
	}
}

func FuzzParseSelector(f *testing.F) {
	for _, s := range []string{"", "model=rpi4", "model in (a,b),!gpu", "a>1", "x notin (y)", "a==b", "a=,b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		selector, err := lease.ParseSelector(s)
		if err != nil {
			if !errors.Is(err, lease.ErrInvalid) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		again, err := lease.ParseSelector(selector.String())
		if err != nil || again.String() != selector.String() {
			t.Errorf("%q: %q is not a normal form: %q, %v", s, selector, again, err)
		}
		selector.Matches(map[string]string{"model": "rpi4"})
	})
}
