package lease

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// MaxSelectorLength is the longest selector taken, in bytes.
const MaxSelectorLength = 1024

// Selector chooses devices by their labels, in the grammar of Kubernetes label selectors
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors). The zero Selector
// chooses every device.
type Selector struct{ requirements []labels.Requirement }

// ParseSelector reads a selector; "" chooses every device. The error is CodeInvalid.
func ParseSelector(s string) (Selector, error) {
	if len(s) > MaxSelectorLength {
		return Selector{}, Invalid("selector", "a selector is at most %d bytes", MaxSelectorLength)
	}
	return parseSelector(s)
}

// parseSelector reads a selector of any length: a normal form may be longer than what was sent.
func parseSelector(s string) (Selector, error) {
	parsed, err := labels.Parse(s)
	if err != nil {
		return Selector{}, Invalid("selector", "%v; a selector is like model=rpi4,arch!=arm, model in (rpi4,rpi5), gpu or !gpu", err)
	}
	requirements, _ := parsed.Requirements()
	for i, r := range requirements {
		if r.Operator() != selection.DoubleEquals {
			continue
		}
		same, err := labels.NewRequirement(r.Key(), selection.Equals, r.Values().List())
		if err != nil {
			return Selector{}, Invalid("selector", "%v", err)
		}
		requirements[i] = *same
	}
	return Selector{requirements}, nil
}

// Matches reports whether the selector chooses a device with these labels.
func (s Selector) Matches(set map[string]string) bool {
	return !slices.ContainsFunc(s.requirements, func(r labels.Requirement) bool { return !r.Matches(labels.Set(set)) })
}

// String returns the selector in its one normal form.
func (s Selector) String() string {
	parts := make([]string, len(s.requirements))
	for i := range s.requirements {
		parts[i] = s.requirements[i].String()
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// Parts are the requirements of the selector, each by itself; by label.
func (s Selector) Parts() []Selector {
	parts := make([]Selector, len(s.requirements))
	for i, r := range s.requirements {
		parts[i] = Selector{[]labels.Requirement{r}}
	}
	return parts
}

// whyNone says which part of the selector no class of these has.
func (s Selector) whyNone(classes []Class) string {
	for _, r := range s.requirements {
		has := func(c Class) bool { return r.Matches(labels.Set(c.Labels)) }
		if !slices.ContainsFunc(classes, has) {
			return fmt.Sprintf("no device matches %q; %s", r.String(), labelValues(r.Key(), classes))
		}
	}
	return fmt.Sprintf("no device matches all of %q at once, though each part matches some", s.String())
}

// labelValues says which values a label has among the classes.
func labelValues(key string, classes []Class) string {
	values, keys := map[string]bool{}, map[string]bool{}
	for _, c := range classes {
		for k := range c.Labels {
			keys[k] = true
		}
		if v, ok := c.Labels[key]; ok {
			values[v] = true
		}
	}
	if len(values) > 0 {
		return key + " is one of " + enumerate(values)
	}
	if len(keys) > 0 {
		return "the labels are " + enumerate(keys)
	}
	return "no device has a label"
}

// enumerate lists a set in order, cut off where a message would become unreadable.
func enumerate(set map[string]bool) string {
	const most = 20
	all := make([]string, 0, len(set))
	for v := range set {
		all = append(all, v)
	}
	slices.Sort(all)
	if len(all) > most {
		return fmt.Sprintf("%s … (%d more)", strings.Join(all[:most], ", "), len(all)-most)
	}
	return strings.Join(all, ", ")
}
