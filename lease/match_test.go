package lease_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// kinds is an inventory with one pool, lab, that has a device of each of these kinds: d00 of the first, d01 of the next, …
func kinds(kinds ...string) *lease.Inventory {
	devices := alike(len(kinds))
	for i, kind := range kinds {
		devices[i].Labels = map[string]string{"kind": kind}
	}
	return lease.NewInventory([]lease.Pool{{Name: "lab", TTL: time.Minute, MaxHold: time.Hour, Devices: devices}})
}

// anyOf is a demand for devices of some kinds.
func anyOf(count int, kinds ...string) lease.Demand {
	return lease.Demand{Selector: "kind in (" + strings.Join(kinds, ",") + ")", Count: count}
}

func TestDemandsAreSatisfiedTogether(t *testing.T) {
	t.Parallel()
	many := strings.Split(strings.Repeat("a ", 40)+"b", " ")
	tests := map[string]struct {
		lab     *lease.Inventory
		demands []lease.Demand
		ok      bool
	}{
		"apart":                     {kinds("a", "b"), []lease.Demand{anyOf(1, "a"), anyOf(1, "b")}, true},
		"the wider one first":       {kinds("a", "b"), []lease.Demand{anyOf(1, "a", "b"), anyOf(1, "a")}, true},
		"both for one device":       {kinds("a", "b"), []lease.Demand{anyOf(1, "a"), anyOf(1, "a")}, false},
		"the first one gives way":   {kinds("a", "b", "c"), []lease.Demand{anyOf(1, "a", "b"), anyOf(1, "a"), anyOf(1, "c")}, true},
		"a chain gives way":         {kinds("a", "b", "c", "d"), []lease.Demand{anyOf(1, "a", "b"), anyOf(1, "b", "c"), anyOf(1, "c", "d"), anyOf(1, "a")}, true},
		"a chain too short":         {kinds("a", "b", "c", "x"), []lease.Demand{anyOf(1, "a", "b"), anyOf(1, "b", "c"), anyOf(1, "c", "b"), anyOf(1, "a")}, false},
		"counts":                    {kinds("a", "a", "b", "b"), []lease.Demand{anyOf(2, "a", "b"), anyOf(2, "a")}, true},
		"counts too high":           {kinds("a", "a", "b", "x"), []lease.Demand{anyOf(2, "a", "b"), anyOf(2, "a")}, false},
		"gives way to a named":      {kinds("a", "b"), []lease.Demand{anyOf(1, "a", "b"), {Name: "d00"}}, true},
		"a named one has the last":  {kinds("a", "b"), []lease.Demand{anyOf(1, "a"), {Name: "d00"}}, false},
		"all, one of them named":    {kinds("a", "a", "a"), []lease.Demand{anyOf(2, "a"), {Name: "d02"}}, true},
		"32 devices of a kind":      {kinds(many...), []lease.Demand{anyOf(31, "a"), {Name: "d39"}}, true},
		"32 devices, some named":    {kinds(many...), []lease.Demand{anyOf(28, "a"), {Name: "d00"}, {Name: "d31"}, {Name: "d39"}, anyOf(1, "b")}, true},
		"32 devices and none spare": {kinds(many[9:]...), []lease.Demand{anyOf(31, "a"), {Name: "d31"}}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := test.lab.Resolve(lease.ID{}, lease.Request{Pool: "lab", Demands: test.demands})
			if !test.ok {
				refused(t, err, lease.CodeNoMatch, "devices", "not for all of them at once")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// What Resolve says of small labs and random demands is what trying every choice of devices says.
func TestEveryChoiceOfDevicesAgrees(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	met := map[bool]int{}
	for range 5000 {
		lab := make([]string, 1+random.IntN(5))
		for i := range lab {
			lab[i] = pick(random)
		}
		demands := make([]lease.Demand, 1+random.IntN(4))
		for i := range demands {
			demands[i] = anyOf(1+random.IntN(2), pick(random), pick(random))
		}
		if i := random.IntN(2 * len(lab)); i < len(lab) {
			demands[0] = lease.Demand{Name: fmt.Sprintf("d%02d", i)}
		}
		want := choose(lab, places(demands), map[int]bool{})
		_, err := kinds(lab...).Resolve(lease.ID{}, lease.Request{Pool: "lab", Demands: demands})
		if (err == nil) != want || err != nil && !errors.Is(err, lease.ErrNoMatch) {
			t.Fatalf("lab %q, demands %+v: %v", lab, demands, err)
		}
		met[want]++
	}
	if met[true] < 500 || met[false] < 500 {
		t.Errorf("the labs are one-sided: %v", met)
	}
}

// pick returns a kind of device.
func pick(random *rand.Rand) string { return string("abc"[random.IntN(3)]) }

// places writes demands out, one for each device.
func places(demands []lease.Demand) []lease.Demand {
	var all []lease.Demand
	for _, d := range demands {
		all = append(all, slices.Repeat([]lease.Demand{d}, max(1, d.Count))...)
	}
	return all
}

// choose reports whether the devices of a lab that are not taken can satisfy demands of one device each.
func choose(lab []string, demands []lease.Demand, taken map[int]bool) bool {
	if len(demands) == 0 {
		return true
	}
	for i, kind := range lab {
		named := demands[0].Name == fmt.Sprintf("d%02d", i)
		if taken[i] || !named && !strings.Contains(strings.TrimPrefix(demands[0].Selector, "kind in "), kind) {
			continue
		}
		taken[i] = true
		if choose(lab, demands[1:], taken) {
			return true
		}
		delete(taken, i)
	}
	return false
}
