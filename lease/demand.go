package lease

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
)

// MaxDevices is how many devices one lease may have, whatever its pool allows.
const MaxDevices = 32

// AsPattern is what the name of a demand matches: it becomes part of the names of environment variables.
const AsPattern = `^[a-z]([a-z0-9_]{0,30}[a-z0-9])?$`

// Demand is one part of what a request asks for. Devices are selected by their labels, or named, or both: then the named
// one has to match.
type Demand struct {
	Selector string `json:"selector,omitempty"` // any device that matches; "" for every device
	Name     string `json:"name,omitempty"`     // this one device; "" for any
	Count    int    `json:"count,omitempty"`    // how many; 0 is 1
	As       string `json:"as,omitempty"`       // what the client calls it; "" for nothing
}

// Want is what a demand means in an inventory: the devices that can satisfy it.
type Want struct {
	Count   int
	Device  string   // the one device, when the demand names one
	Classes []string // else the classes whose devices can
}

// normalize writes demands in their one normal form. The error is CodeInvalid.
func normalize(demands []Demand) ([]Demand, error) {
	if len(demands) == 0 {
		demands = []Demand{{}}
	}
	normal, total, taken := make([]Demand, len(demands)), 0, map[string]bool{}
	for i, d := range demands {
		selector, err := ParseSelector(d.Selector)
		if err != nil {
			return nil, inDemand(err, i, demands)
		}
		d.Selector, d.Count = selector.String(), cmp.Or(d.Count, 1)
		if err := d.check(MaxDevices-total, taken); err != nil {
			return nil, inDemand(err, i, demands)
		}
		taken["name "+d.Name], taken["as "+d.As] = d.Name != "", d.As != ""
		total += d.Count
		normal[i] = d
	}
	return normal, nil
}

var asRE = regexp.MustCompile(AsPattern)

// check says what is wrong with a demand of a request that may ask for so many devices more, and in which some names are taken.
func (d Demand) check(most int, taken map[string]bool) error {
	switch {
	case d.Count < 1 || d.Count > most:
		return Invalid("count", "a lease has 1 to %d devices", MaxDevices)
	case d.Name != "" && (d.Count > 1 || taken["name "+d.Name]):
		return Invalid("name", "device %s is one device; ask for it once", d.Name)
	case d.As != "" && !asRE.MatchString(d.As):
		return Invalid("as", "%q names no demand: 1 to 32 of a-z, 0-9 and '_', a letter first and no '_' last", d.As)
	case taken["as "+d.As]:
		return Invalid("as", "%q names another demand already", d.As)
	}
	return nil
}

// inDemand says which of several demands an error is about: "devices[1].name" for "name".
func inDemand(err error, i int, demands []Demand) error {
	if e, ok := err.(*Error); ok && len(demands) > 1 { //nolint:errorlint // it was made just now
		at := *e
		at.Field = fmt.Sprintf("devices[%d].%s", i, e.Field)
		return &at
	}
	return err
}

// check says whether a pool ever grants so much at once. What a holder has already, the store counts.
func (l Limits) check(r Request) error {
	devices := 0
	for _, d := range r.Demands {
		devices += d.Count
	}
	switch {
	case l.DevicesPerLease > 0 && devices > l.DevicesPerLease:
		return &Error{Code: CodeQuota, Field: "devices", Message: fmt.Sprintf(
			"a lease of pool %s has at most %d devices, this asks for %d", r.Pool, l.DevicesPerLease, devices)}
	case l.DevicesPerHolder > 0 && devices > l.DevicesPerHolder:
		return &Error{Code: CodeQuota, Field: "devices", Message: fmt.Sprintf(
			"a holder has at most %d devices of pool %s, this asks for %d", l.DevicesPerHolder, r.Pool, devices)}
	case (l.LeasesPerHolder > 0 || l.DevicesPerHolder > 0) && r.Holder == "":
		return Invalid("holder", "pool %s limits what one holder may have; say who you are", r.Pool)
	}
	return nil
}

// Match finds the devices of the pool that can satisfy demands in their normal form, and how many these are in all. The
// error is CodeNoMatch when all devices together can't satisfy all demands.
func (p *Pool) Match(demands []Demand) (wants []Want, matching int, err error) {
	wants = make([]Want, len(demands))
	for i, d := range demands {
		if wants[i], err = p.match(d); err != nil {
			return nil, 0, inDemand(err, i, demands)
		}
	}
	for i := range wants {
		if got := p.size(wants[i : i+1]); got < wants[i].Count {
			return nil, 0, inDemand(noMatch("count", fmt.Sprintf("pool %s has %d devices that match, this asks for %d", p.Name, got, wants[i].Count)), i, demands)
		}
	}
	if !p.suffices(wants) {
		return nil, 0, noMatch("devices", "pool "+p.Name+" has devices for each of the demands, but not for all of them at once")
	}
	return wants, p.size(wants), nil
}

// match finds the devices that can satisfy one demand.
func (p *Pool) match(d Demand) (Want, error) {
	selector, err := parseSelector(d.Selector)
	if err != nil {
		return Want{}, err
	}
	if d.Name != "" {
		return p.matchNamed(selector, d.Name)
	}
	w := Want{Count: d.Count}
	for _, class := range p.classes {
		if selector.Matches(class.Labels) {
			w.Classes = append(w.Classes, class.Name)
		}
	}
	if len(w.Classes) == 0 {
		return Want{}, noMatch("selector", "in pool "+p.Name+" "+selector.whyNone(p.classes))
	}
	return w, nil
}

func (p *Pool) matchNamed(selector Selector, name string) (Want, error) {
	device := p.device(name)
	if device == nil {
		return Want{}, noMatch("name", "no device of pool "+p.Name+" is named "+name)
	}
	if class := (Class{Labels: device.Labels}); !selector.Matches(class.Labels) {
		return Want{}, noMatch("selector", "for device "+name+" "+selector.whyNone([]Class{class}))
	}
	return Want{Count: 1, Device: name}, nil
}

// size is how many devices of the pool satisfy any of some wants.
func (p *Pool) size(wants []Want) int {
	classes := map[string]bool{}
	for _, w := range wants {
		for _, class := range w.Classes {
			classes[class] = true
		}
	}
	n := 0
	for _, class := range p.classes {
		if classes[class.Name] {
			n += class.Size
		}
	}
	for _, w := range wants {
		if w.Device != "" && !classes[p.device(w.Device).Class()] {
			n++
		}
	}
	return n
}

// suffices reports whether the devices of the pool can satisfy all wants at once: a bipartite matching by augmenting paths
// (H. W. Kuhn, The Hungarian method for the assignment problem, 1955). A want for which as many devices will do as the lease
// has in all is left out: it finds some whichever the others take.
func (p *Pool) suffices(wants []Want) bool {
	total := 0
	for _, w := range wants {
		total += w.Count
	}
	m := matching{place: map[string]int{}}
	for i, w := range wants {
		if p.size(wants[i:i+1]) >= total {
			continue
		}
		devices := p.candidates(w)
		for range w.Count {
			m.places = append(m.places, devices)
			if !m.fill(len(m.places)-1, map[string]bool{}) {
				return false
			}
		}
	}
	return true
}

// matching is which device takes which place of a lease.
type matching struct {
	places [][]string     // the devices that can take each
	place  map[string]int // of a device
}

// fill finds a device for a place, if need be by giving other places other devices.
func (m *matching) fill(place int, tried map[string]bool) bool {
	for _, device := range m.places[place] {
		if tried[device] {
			continue
		}
		tried[device] = true
		if other, taken := m.place[device]; !taken || m.fill(other, tried) {
			m.place[device] = place
			return true
		}
	}
	return false
}

// candidates is devices that satisfy a want, as many as can matter.
func (p *Pool) candidates(w Want) []string {
	if w.Device != "" {
		return []string{w.Device}
	}
	var names []string
	for _, class := range p.classes {
		if slices.Contains(w.Classes, class.Name) {
			names = append(names, class.first...)
		}
	}
	return names
}
