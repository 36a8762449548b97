package lease_test

import (
	"errors"
	"fmt"
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
	if d := inv.Device("rpi4-02"); d == nil || d.Pool != "default" || inv.Device("x") != nil || inv.Pool("x") != nil {
		t.Errorf("device %+v", d)
	}
}

func TestClasses(t *testing.T) {
	t.Parallel()
	want := []string{"- 1", "arch=amd64,model=nuc 1", "arch=arm64,model=rpi4 2"}
	var got []string
	for _, class := range labInventory().Pool("default").Classes() {
		got = append(got, fmt.Sprint(class.Name, " ", class.Size))
		if lease.ValidateName(class.Name) == nil {
			t.Errorf("class %s could be the name of a device", class.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("classes %q, want %q", got, want)
	}
}

func TestGrantHasTheRulesOfThePool(t *testing.T) {
	t.Parallel()
	asked := lease.Queueing{Ageing: time.Second, AskWithin: time.Hour}
	limits := lease.Limits{DevicesPerLease: 2, LeasesPerHolder: 3, DevicesPerHolder: 4}
	inv := lease.NewInventory([]lease.Pool{
		{Name: "a", TTL: time.Minute, MaxHold: time.Hour, Queueing: asked, Limits: limits, Devices: []lease.Device{{Name: "x"}}},
		{Name: "b", TTL: time.Minute, MaxHold: time.Hour, Devices: []lease.Device{{Name: "y"}}},
	})
	for pool, want := range map[string]lease.Grant{
		"a": {Queueing: asked, Limits: limits},
		"b": {Queueing: lease.Queueing{Ageing: lease.DefaultAgeing, AskWithin: lease.DefaultAskWithin}},
	} {
		id := lease.NewToken().ID(pool)
		g, err := inv.Resolve(id, lease.Request{Pool: pool, Holder: "ann", Priority: lease.MaxPriority})
		if err != nil || g.ID != id || g.Queueing != want.Queueing || g.Limits != want.Limits || g.Wait {
			t.Errorf("pool %s: %+v, %v", pool, g, err)
		}
		if g.Request.Holder != "ann" || g.Request.Priority != lease.MaxPriority {
			t.Errorf("pool %s: the request is %+v", pool, g.Request)
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

func TestPartsOfSelector(t *testing.T) {
	t.Parallel()
	s, err := lease.ParseSelector("model in (rpi5,rpi4),!gpu,arch!=arm")
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, p := range s.Parts() {
		parts = append(parts, p.String())
	}
	if got := strings.Join(parts, " and "); got != "arch!=arm and !gpu and model in (rpi4,rpi5)" {
		t.Error(got)
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
		{}, {Pool: "a"}, {Priority: 1}, {TTL: 1}, {MaxHold: 1}, {Holder: "a"}, {Purpose: "a"}, {Link: "a"},
		{Demands: []lease.Demand{{}}}, {Demands: []lease.Demand{{}, {}}}, {Demands: []lease.Demand{{Selector: "a"}}},
		{Demands: []lease.Demand{{Name: "a"}}}, {Demands: []lease.Demand{{Count: 1}}}, {Demands: []lease.Demand{{As: "a"}}},
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
