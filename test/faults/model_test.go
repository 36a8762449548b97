package faults_test

import (
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"
)

// act is what happens to a device.
type act int

const (
	grant      act = iota // the lease has the device
	refuse                // the lease can't have it, because another has
	renew                 // the lease lives on
	vanish                // the lease is over, or unknown
	giveBack              // its holder returned it
	relinquish            // its holder needs it no longer, whether or not anybody heard of that
	takeAway              // somebody removed the lock by hand
)

func (a act) String() string {
	return [...]string{"grant", "refuse", "renew", "vanish", "give back", "relinquish", "take away"}[a]
}

// step is an act as the model is told it.
type step struct {
	act       act
	device    string
	lease     int
	fence     int64
	until     time.Duration // until when the lease is certain, of a grant or renewal
	call, ret time.Duration // it happened between these
	excused   bool          // of a refusal: another lease, of which nothing is known, may have the device
	forgetful bool          // Redis may have lost the lease by then
}

func (s step) String() string {
	return fmt.Sprintf("%s lease %d (fence %d, certain until %.3f s) between %.3f and %.3f s",
		s.act, s.lease, s.fence, s.until.Seconds(), s.call.Seconds(), s.ret.Seconds())
}

// mutex is the state of the model: a device that at most one lease has.
//
// A lease whose certain time has passed may be gone or not; nobody knows before somebody asks. So it is kept until a step needs
// that it is gone, and that is legal for a step that may have happened after the certain time. What comes after such a step then
// happened after that time too: passed is the latest such time.
type mutex struct {
	lease  int // 0 for none
	fence  int64
	until  time.Duration
	passed time.Duration
}

// vacate frees the device if its lease may be gone by the time of a step.
func (m *mutex) vacate(s step) bool {
	if m.lease == 0 {
		return true
	}
	if s.ret < m.until {
		return false
	}
	m.passed, m.lease = max(m.passed, m.until), 0
	return true
}

// take is a step of the model: whether it is legal, and the state after it.
func (m mutex) take(s step) (bool, mutex) {
	if s.ret < m.passed {
		return false, m
	}
	mine, legal := m.lease == s.lease, true
	switch s.act {
	case grant:
		if mine && (s.fence == m.fence || !s.forgetful) { // told again
			m.until, legal = max(m.until, s.until), s.fence == m.fence
			break
		}
		legal = m.vacate(s) && s.fence > m.fence
		m.lease, m.fence, m.until = s.lease, s.fence, s.until
	case refuse:
		legal = s.excused || (m.lease != 0 && !mine)
	case renew:
		m.until, legal = max(m.until, s.until), mine
	case vanish:
		legal = !mine || s.forgetful || m.vacate(s) // what is forgotten keeps the device as long as its holder may use it
	case giveBack:
		m.lease, legal = 0, mine
	case relinquish:
		if mine {
			m.until = 0
		}
	case takeAway:
		m.lease = 0
	}
	return legal, m
}

// fencedMutex is the model that porcupine checks: a mutex for each device.
func fencedMutex() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			devices := map[string][]porcupine.Operation{}
			for _, o := range history {
				device := o.Input.(step).device
				devices[device] = append(devices[device], o)
			}
			var parts [][]porcupine.Operation
			for _, part := range devices {
				parts = append(parts, part)
			}
			return parts
		},
		Init:              func() any { return mutex{} },
		Step:              func(state, input, _ any) (bool, any) { return state.(mutex).take(input.(step)) },
		DescribeOperation: func(input, _ any) string { return input.(step).String() },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
	}
}
