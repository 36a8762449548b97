package faults_test

import "testing"

// spoiled makes what Redis answers arrive badly, again and again.
func spoiled(kind string, toxicity float64, attributes map[string]int) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		for range 3 {
			mend := l.wire.spoil(t, kind, "downstream", toxicity, attributes)
			lasts(t, short/2)
			mend()
			lasts(t, short/4)
		}
	}
}

// halfOpen lets nothing pass to and from Redis, though all connections stay.
func halfOpen(t *testing.T, l *lab) {
	for range 2 {
		mend := l.wire.cut(t)
		lasts(t, short)
		mend()
		lasts(t, short/3)
	}
}
