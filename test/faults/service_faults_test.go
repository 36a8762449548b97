package faults_test

import (
	"syscall"
	"testing"
	"time"
)

// restartServices ends one replica after the other, one every two seconds, and starts it again.
func restartServices(how syscall.Signal) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		restart(t, how, l.allocators[0], l.keepalives[0], l.allocators[1], l.keepalives[1])
	}
}

// restartFirst does so with one replica of each service.
func restartFirst(how syscall.Signal) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) { restart(t, how, l.allocators[0], l.keepalives[0]) }
}

func restart(t *testing.T, how syscall.Signal, replicas ...*service) {
	t.Helper()
	for _, s := range replicas {
		turn := time.Now()
		s.end(how)
		s.start(t)
		if !s.serves(t, s.ready) {
			t.Fatal("a service does not start again")
		}
		lasts(t, 2*time.Second-time.Since(turn))
	}
}
