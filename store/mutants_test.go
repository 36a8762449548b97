package store_test

import (
	"fmt"
	"os"
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
		"held and call('GET', lock) == id and",
		"held and",
	},
	{
		"a lease that ends deletes whatever lock its device has", "ends",
		"if holder == id then redis.call('DEL', LOCK .. device) end",
		"redis.call('DEL', LOCK .. device)",
	},
	{
		"a lock is not looked at, and set over another", "line",
		"== 'in_service' and redis.call('EXISTS', LOCK .. name) == 0 and",
		"== 'in_service' and",
	},
	{
		"a device that was leased is not put back among the free", "ends",
		"for _, device in ipairs(free) do settle(device, stamp) end",
		"",
	},
	{
		"the fence only counts", "award",
		"math.max(tonumber(redis.call('GET', FENCE) or 0) + 1, MICROSECONDS)",
		"tonumber(redis.call('GET', FENCE) or 0) + 1",
	},
	{
		"the lock has no grace", "award",
		"'PX', ttl + grace)",
		"'PX', ttl)",
	},
	{
		"a repeated token is granted a second lease", "allocate_other",
		"local known = record(id)",
		"local known = nil",
	},
	{
		"keepalive goes past the deadline", "keepalive",
		"math.min(now + ttl, deadline)",
		"now + ttl",
	},
	{
		"reap believes the index, not the lock", "serve",
		"elseif left > 0 then",
		"elseif false then",
	},
	{
		"a device in maintenance stays among the free", "settle",
		"if state and state ~= 'in_service' then redis.call('ZREM', FREE .. class, device) end",
		"",
	},
	{
		"a read believes the record, not the lock", "view",
		"if left == 0 then gone = lost(id, lease) elseif",
		"if",
	},
	{
		"priority counts for nothing in line", "allocate_other",
		"the.nextNumber() - ARGV[12] * ARGV[13] * 1000",
		"the.nextNumber()",
	},
	{
		"no waiting makes up for a priority", "allocate_other",
		"the.nextNumber() - ARGV[12] * ARGV[13] * 1000",
		"the.nextNumber() - ARGV[12] * 1000000000000",
	},
	{
		"the younger take what those before them could use", "line",
		"spoken[device.name] = true",
		"spoken[device.name] = filled == #list or nil",
	},
	{
		"who waits is granted a part of what it wants", "line",
		"return devices, filled > 0 and filled == plan.size",
		"return devices, filled > 0",
	},
	{
		"devices are matched greedily", "line",
		"if put(other, seen) then",
		"if false then",
	},
	{
		"devices are matched without regard to how long they are free", "line",
		"device.since < best.since or (device.since == best.since and device.name < best.name)",
		"device.name < best.name",
	},
	{
		"nobody is dropped from the line", "serve",
		"theLine().drop(tickets[i], 'abandoned', tonumber(tickets[i + 1]))",
		"redis.call('ZREM', TICKETS, tickets[i])",
	},
	{
		"asking for a ticket does not keep it", "line",
		"redis.call('ZADD', TICKETS, NOW + f[1], id)",
		"redis.call('ZADD', TICKETS, NOW, id)",
	},
	{
		"who does not wait overtakes the line", "allocate_other",
		"the.walk(order, id)",
		"",
	},
	{
		"a release does not serve the line", "release_other",
		"serve()\n",
		"",
	},
	{
		"a ticket that is given up stays in the line of its class", "line",
		"redis.call('ZREM', QUEUE_FOR .. node, id)\n    if",
		"if",
	},
	{
		"keepalive extends one lock of several", "keepalive",
		"for _, lock in ipairs(locks) do call('PEXPIRE'",
		"for _, lock in ipairs({ locks[1] }) do call('PEXPIRE'",
	},
	{
		"of several devices, one comes back when the lease ends", "ends",
		"for _, device in ipairs(free) do settle",
		"for _, device in ipairs({ free[1] }) do settle",
	},
	{
		"what waits does not count as its holder's", "allocate_other",
		"redis.call('HSET', HOLDER .. holder, id, new.size)",
		"",
	},
	{
		"a lease is taken back though its holder was told of it again", "release_other",
		"if retract and redis.call('HEXISTS', LEASE .. id, 'retractable') == 0",
		"if false",
	},
	{
		"a lease is not taken back", "allocate",
		", 'retractable', '1'",
		"",
	},
	{
		"who asks for one device does not look at the line", "allocate",
		"redis.call('EXISTS', LEASE .. id, QUEUE, TICKETS, PAUSED) == 0",
		"redis.call('EXISTS', LEASE .. id, PAUSED) == 0",
	},
	{
		"a repeated token for one device is granted a second lease", "allocate",
		"redis.call('EXISTS', LEASE .. id, QUEUE, TICKETS, PAUSED) == 0",
		"redis.call('EXISTS', QUEUE, TICKETS, PAUSED) == 0",
	},
	{
		"who asks for one device does not look for what is due", "allocate",
		"and not redis.call('ZRANGEBYSCORE', ACTIVE, '-inf', STAMP, 'LIMIT', '0', '1')[1]",
		"",
	},
	{
		"one device is granted whatever its state", "allocate",
		"if f[1] == 'in_service' and not locked",
		"if not locked",
	},
	{
		"one device is granted whoever has its lock", "allocate",
		"'in_service' and not locked then",
		"'in_service' then",
	},
	{
		"a wrong index has one device refused", "allocate",
		"busy = named and class and (locked or",
		"busy = true or (locked or",
	},
	{
		"one device is granted beyond the limits", "allocate",
		"local usual = one and",
		"has = nil\n  local usual = one and",
	},
	{
		"one lease more is granted than the limit", "allocate",
		"leases >= mostLeases",
		"leases > mostLeases",
	},
	{
		"of several classes, that is granted which has been free the shortest", "allocate",
		"at < since or",
		"at > since or",
	},
	{
		"within a class, that is granted which has been free the shortest", "allocate",
		"redis.call('ZRANGE', FREE .. one, '0', '0')[1]",
		"redis.call('ZRANGE', FREE .. one, '-1', '-1')[1]",
	},
	{
		"a grant does not count as its holder's", "award",
		"if lease.size then redis.call('HSET', HOLDER .. holder, id, lease.size) end",
		"",
	},
	{
		"a grant leaves its device among the free", "award",
		"redis.call('ZREM', FREE .. device.class, name)",
		"",
	},
	{
		"a lease that was over is released", "release",
		"held and redis.call('GET', LOCK .. device) == id",
		"held",
	},
	{
		"a release keeps what it frees from those who wait", "release",
		"and redis.call('EXISTS', unpack(queues)) == 0",
		"",
	},
	{
		"a release forgets that a grant may be taken back", "release",
		"f[1] == 'active' and not retract,",
		"f[1] == 'active',",
	},
	{
		"what ended counts as its holder's", "close",
		"if holder and holder ~= '' then redis.call('HDEL', HOLDER .. holder, id) end",
		"",
	},
	{
		"a better inventory does not serve the line", "requeue",
		"freed = true",
		"",
	},
	{
		"grants go on though Redis lost its state", "epoch",
		"lose(tonumber(since), tonumber(ARGV[2]))",
		"",
	},
	{
		"what is lost again is paused for less", "epoch",
		"ttl = math.max(ttl, ARGV[2] - grace)",
		"",
	},
	{
		"the longest TTL that was told is forgotten", "epoch",
		"tonumber(redis.call('GET', LONGEST) or 0)",
		"0",
	},
	{
		"who asks for one device does not look for a pause", "allocate",
		"redis.call('EXISTS', LEASE .. id, QUEUE, TICKETS, PAUSED) == 0",
		"redis.call('EXISTS', LEASE .. id, QUEUE, TICKETS) == 0",
	},
	{
		"the line is served in a pause", "line",
		"if paused or barred[node]",
		"if barred[node]",
	},
	{
		"in a pause a request is told that none is free", "allocate_other",
		"if paused > 0 then",
		"if false then",
	},
	{
		"a lease that was lost is told never to have been", "keepalive_other",
		"if since then",
		"if false then",
	},
	{
		"what reaches too far after the clock went back stays so", "reap",
		"if not most or due <= NOW + most then",
		"if true then",
	},
	{
		"a lease that reaches too far is capped, but not its locks", "reap",
		"redis.call('PEXPIRE', LOCK .. device, most)",
		"",
	},
	{
		"a lease that reaches too far keeps its deadline", "reap",
		"if lease.grant > NOW then",
		"if false then",
	},
}

// raceDetector is whether it is on.
var raceDetector bool

// TestMutants proves that the property of TestModel catches mistakes: each mutant of the scripts fails it, and the scripts
// as they are pass by the same way.
func TestMutants(t *testing.T) {
	t.Parallel()
	if os.Getenv("TEST_REDIS") != "" {
		t.Skip("SKIPPED with a real Redis: make test runs this on the embedded one")
	}
	if raceDetector {
		t.Skip("SKIPPED under the race detector, which makes it slow and sees no scripts: make test runs this without")
	}
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
			for range 100 { // each time with another seed; most are caught in the first
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
	t.Helper()
	if m.script != "" && strings.Count(store.ScriptSource(m.script), m.old) != 1 {
		t.Fatalf("%s.lua does not have %q once: the mutant would be the original", m.script, m.old)
	}
	r := storetest.Embedded(t)
	return agreesWithModel(r, func(o store.Options) *store.Store {
		return store.NewWithScripts(r.Client, o, func(name, source string) string {
			source = unhurried(name, source)
			if name == m.script {
				source = strings.Replace(source, m.old, m.new, 1)
			}
			return source
		})
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
