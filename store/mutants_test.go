package store_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// mutant is a mistake that somebody could make in a script.
type mutant struct {
	mistake  string
	script   string
	old, new string
}

var mutants = []mutant{
	{
		"keepalive extends whatever lock the device has", "keepalive",
		"if left == 0 then",
		"if redis.call('EXISTS', LOCK .. lease.devices[1]) == 0 then",
	},
	{
		"a lease that ends deletes whatever lock its device has", "prelude",
		"if redis.call('GET', LOCK .. device) == id then redis.call('DEL', LOCK .. device) end",
		"redis.call('DEL', LOCK .. device)",
	},
	{
		"a lock is set over another", "allocate",
		"id, 'NX', 'PX',",
		"id, 'PX',",
	},
	{
		"a device that was leased is not put back among the free", "prelude",
		"if redis.call('EXISTS', LOCK .. device) == 0 then settle(device, int(at)) end",
		"",
	},
	{
		"the fence only counts", "allocate",
		"int(math.max(tonumber(redis.call('GET', FENCE) or 0) + 1, MICROSECONDS))",
		"int(tonumber(redis.call('GET', FENCE) or 0) + 1)",
	},
	{
		"the lock has no grace", "allocate",
		"'PX', int(math.min(ttl, hold) + grace))",
		"'PX', int(math.min(ttl, hold)))",
	},
	{
		"a repeated token is granted a second device", "allocate",
		"local lease = record(id)",
		"local lease = nil",
	},
	{
		"keepalive goes past the deadline", "keepalive",
		"math.min(NOW + lease.ttl, lease.deadline)",
		"NOW + lease.ttl",
	},
	{
		"reap believes the index, not the lock", "prelude",
		"elseif left > 0 then",
		"elseif false then",
	},
	{
		"a device in maintenance is granted to who names it", "allocate",
		"redis.call('HGET', DEVICE .. device, 'state') == 'in_service'\n    and",
		"",
	},
	{
		"a read believes the record, not the lock", "prelude",
		"if left == 0 then gone = lost(id, lease) elseif",
		"if",
	},
}

// TestMutants proves that the property of TestModel catches mistakes: each mutant of the scripts fails it, and the scripts
// as they are pass by the same way.
func TestMutants(t *testing.T) {
	t.Parallel()
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		if found := failure(t, property(t, mutant{})); found != "" {
			t.Fatalf("the scripts as they are fail: %s", found)
		}
	})
	for _, m := range mutants {
		t.Run(m.mistake, func(t *testing.T) {
			t.Parallel()
			prop := property(t, m)
			for range 25 { // each time with another seed; most are caught in the first
				if found := failure(t, prop); found != "" {
					t.Logf("caught: %s", found)
					return
				}
			}
			t.Fatal("not caught")
		})
	}
}

// property is that of TestModel, for a mutant on a Redis of its own.
func property(t *testing.T, m mutant) func(*rapid.T) {
	r := storetest.Embedded(t)
	return agreesWithModel(r, func(o store.Options) *store.Store {
		changed := false
		s := store.NewWithScripts(r.Client, o, func(name, source string) string {
			if name != m.script {
				return source
			}
			changed = strings.Count(source, m.old) == 1
			return strings.Replace(source, m.old, m.new, 1)
		})
		if m.script != "" && !changed {
			panic(fmt.Sprintf("%s.lua does not have %q once: the mutant would be the original", m.script, m.old))
		}
		return s
	})
}

// failure checks a property and says what failed first, "" when nothing did. It does not let rapid shorten the history,
// which takes long.
func failure(t *testing.T, prop func(*rapid.T)) string {
	r := &recorder{T: t}
	done := make(chan struct{})
	go func() { // it ends at the first failure
		defer close(done)
		rapid.Check(r, func(t *rapid.T) {
			defer func() {
				if t.Failed() {
					r.Fatal(recover())
				}
			}()
			prop(t)
		})
	}()
	<-done
	return r.failure
}

// recorder is a test that may fail: it remembers what failed first, and the real test goes on.
type recorder struct {
	*testing.T
	failure string
}

func (r *recorder) Errorf(format string, args ...any) {
	if r.failure == "" {
		r.failure = fmt.Sprintf(format, args...)
	}
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	r.FailNow()
}

func (r *recorder) Error(args ...any) { r.Errorf("%s", fmt.Sprint(args...)) }
func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }
func (r *recorder) Fail()             { r.Errorf("failed") }
func (*recorder) FailNow()            { runtime.Goexit() }
func (r *recorder) Failed() bool      { return r.failure != "" }
func (*recorder) Log(...any)          {}
func (*recorder) Logf(string, ...any) {}
