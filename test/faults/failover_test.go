package faults_test

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// gasp is how long a master that dies with its host still serves those near it, after its replicas have heard the last of it.
const gasp = 300 * time.Millisecond

// killMaster kills the master, and starts it again when another has taken over.
func killMaster(t *testing.T, l *lab) {
	mend := l.wire.cut(t)
	lasts(t, gasp)
	l.endNear()
	l.redis.kill()
	l.group.failedOver(t)
	mend()
	l.redis.begin(t)
	l.group.demoted(t)
}

// loseMaster loses the master's host for good: nobody even refuses a connection.
func loseMaster(t *testing.T, l *lab) {
	l.wire.cut(t)
	lasts(t, gasp)
	l.endNear()
	l.redis.signal(syscall.SIGSTOP)
	l.group.failedOver(t)
}

// cutOffMaster leaves the master alone with some services and clients, until long after the others have another.
func cutOffMaster(t *testing.T, l *lab) {
	mend := l.wire.cut(t)
	l.group.failedOver(t)
	lasts(t, l.ttl+grace)
	mend()
	l.group.demoted(t)
}

// stopMaster stops the master until another has taken over; it does not know of that when it goes on.
func stopMaster(t *testing.T, l *lab) {
	l.redis.signal(syscall.SIGSTOP)
	l.group.failedOver(t)
	lasts(t, short)
	l.redis.signal(syscall.SIGCONT)
	l.group.demoted(t)
}

// planFailover hands over as docs/operations.md says: writes are paused, and the replicas have all, before another takes over.
func planFailover(t *testing.T, l *lab) {
	l.redis.do(t, "CLIENT PAUSE 10000 WRITE")
	l.group.inStep(t)
	l.group.planned(t)
	l.group.demoted(t)
	l.redis.do(t, "CLIENT UNPAUSE")
}

// planFailoverUnpaused hands over while clients write: what the old master takes after the new one was chosen is lost, though a
// replica that still follows the old one has it.
func planFailoverUnpaused(t *testing.T, l *lab) {
	l.group.planned(t)
	l.group.demoted(t)
}

// loseTwo loses the one replica that has the last leases, and then the master, while the other replica has heard nothing for a moment.
func loseTwo(t *testing.T, l *lab) {
	near, far := l.group.replicas[0], l.group.replicas[1]
	far.signal(syscall.SIGSTOP)
	l.redis.do(t, "CLIENT KILL TYPE replica") // of the two, one comes again
	lasts(t, short/3)
	near.kill()
	lasts(t, short) // until the Sentinels know; else they would choose it
	l.redis.kill()
	far.signal(syscall.SIGCONT)
	l.group.failedOver(t)
	near.begin(t) // else nobody confirms, and nothing is granted
	near.do(t, "REPLICAOF "+strings.Replace(far.addr, ":", " ", 1))
	l.redis.begin(t)
	l.group.demoted(t)
}

// endNear ends the services that go to the first master whatever the Sentinels say, which die with its host.
func (l *lab) endNear() {
	l.allocators[0].kill()
	l.keepalives[0].kill()
}
