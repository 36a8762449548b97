package main

import "sync"

// holdings are the leases that the driver has or may have, to be given back at the end.
type holdings struct {
	mu     sync.Mutex
	holds  map[*hold]bool
	leases int // of these, those whose grant was received
}

func newHoldings() *holdings { return &holdings{holds: map[*hold]bool{}} }

// add enters what is about to be asked for.
func (s *holdings) add(h *hold) {
	const most = 10 * maxUnderWay // what does not fit in ends by itself
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.holds) < most {
		s.holds[h] = true
	}
}

// granted enters that the grant was received.
func (s *holdings) granted(h *hold, t *tenure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.tenure = t
	if s.holds[h] {
		s.leases++
	}
}

// remove forgets what is over.
func (s *holdings) remove(h *hold) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holds[h] && h.tenure != nil {
		s.leases--
	}
	delete(s.holds, h)
}

func (s *holdings) has(h *hold) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holds[h]
}

func (s *holdings) all() []*hold {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*hold, 0, len(s.holds))
	for h := range s.holds {
		all = append(all, h)
	}
	return all
}

// count is how many leases there are.
func (s *holdings) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leases
}
