package main

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// operation is something whose latency is measured.
type operation string

// The operations.
const (
	opAllocate  operation = "allocate"
	opWait      operation = "wait"
	opKeepalive operation = "keepalive"
	opRelease   operation = "release"
	opHandoff   operation = "handoff"
	opRecovery  operation = "recovery"
)

// operations are all operations, in the order in which they are shown.
var operations = []operation{opAllocate, opKeepalive, opRelease, opWait, opHandoff, opRecovery}

// about says what the latency of an operation is.
func (o operation) about() string {
	switch o {
	case opAllocate:
		return "a lease without standing in line"
	case opKeepalive:
		return "a keepalive"
	case opRelease:
		return "a release"
	case opWait:
		return "standing in line until the lease is there"
	case opHandoff:
		return "from a release to the lease of who stood in line"
	case opRecovery:
		return "from the last sign of a dead holder to the lease of who stood in line"
	}
	return string(o)
}

// request reports whether an operation is a request of its own, which should be quick.
func (o operation) request() bool { return o == opAllocate || o == opKeepalive || o == opRelease }

// latency is a duration for people, and in the record a number of milliseconds.
type latency time.Duration

// String writes three digits: 0.95 ms, 1.23 ms, 45.6 ms, 7.89 s.
func (l latency) String() string {
	d := time.Duration(l)
	switch {
	case d == 0:
		return "0"
	case d < time.Millisecond:
		return digits(float64(d)/float64(time.Microsecond)) + " µs"
	case d < time.Second:
		return digits(float64(d)/float64(time.Millisecond)) + " ms"
	case d < 10*time.Minute:
		return digits(d.Seconds()) + " s"
	}
	return short(d.Round(time.Second))
}

// digits writes a number with three digits, or all those before its point.
func digits(f float64) string {
	places := 2 - int(math.Floor(math.Log10(max(math.Abs(f), 0.01))))
	return strconv.FormatFloat(f, 'f', max(0, min(2, places)), 64)
}

// MarshalJSON writes milliseconds, to the microsecond.
func (l latency) MarshalJSON() ([]byte, error) {
	micros := time.Duration(l).Round(time.Microsecond).Microseconds()
	return json.Marshal(float64(micros) / 1000)
}
