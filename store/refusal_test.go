package store_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// realRedis is a real one, for what only that does.
func realRedis(t testing.TB, args ...string) *storetest.Redis {
	t.Helper()
	program := os.Getenv("TEST_REDIS")
	if program == "" {
		t.Skip("needs a real Redis: set TEST_REDIS=redis-server")
	}
	return storetest.Real(t, program, args...)
}

// A Redis that is up but refuses to write is an outage as well: nobody is told that a lease is unknown or over, or that no
// device is free, and when it is over everything is as before.
func TestRefusedWritesAreAnOutage(t *testing.T) {
	t.Parallel()
	for _, refusal := range []struct {
		reply        string
		refuse, obey func(t *testing.T, l *lab)
	}{
		{
			"READONLY",
			func(t *testing.T, l *lab) { l.do(t, "replicaof", "127.0.0.1", "1") },
			func(t *testing.T, l *lab) { l.do(t, "replicaof", "no", "one") },
		},
		{
			"NOREPLICAS",
			func(t *testing.T, l *lab) { l.configure(t, "min-replicas-to-write", "1") },
			func(t *testing.T, l *lab) { l.configure(t, "min-replicas-to-write", "0") },
		},
		{
			"MISCONF",
			func(t *testing.T, l *lab) { l.failToSave(t) },
			func(t *testing.T, l *lab) { l.configure(t, "stop-writes-on-bgsave-error", "no") },
		},
	} {
		t.Run(refusal.reply, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, realRedis(t), device("a", ""), device("b", ""))
			held, wanted := l.take(t, "a"), l.want(t, lease.Request{})
			refusal.refuse(t, l)
			_, _, err := l.Allocate(t.Context(), wanted)
			wantRefusal(t, "allocate", err, refusal.reply)
			for _, op := range operations(lease.Grant{ID: held.ID}) {
				if slices.Contains([]string{"keepalive", "release", "retract", "set device", "reconcile"}, op.name) {
					wantRefusal(t, op.name, op.ask(t.Context(), l.Store), refusal.reply)
				}
			}
			l.wantStates(t, map[string]lease.DeviceState{"a": lease.DeviceLeased, "b": lease.DeviceFree})
			refusal.obey(t, l)
			l.renew(t, held.ID)
			l.reconcile(t, device("a", ""), device("b", ""))
			l.wantSettled(t, "a", "b")
		})
	}
}

// What Redis answers tells an outage, after which the same call may succeed, from a defect of ours.
func TestRepliesOfAnOutage(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	s := store.New(storetest.Client(t, m.Addr()), store.Options{Grace: grace})
	id := lease.NewToken().ID(pool)
	for _, reply := range []string{
		"LOADING Redis is loading the dataset in memory",
		"READONLY You can't write against a read only replica.",
		"OOM command not allowed when used memory > 'maxmemory'.",
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
		"NOREPLICAS Not enough good replicas to write.",
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
		"CLUSTERDOWN The cluster is down",
		"TRYAGAIN Multiple keys request during rehashing of slot",
		"MOVED 3999 127.0.0.1:6381",
		"ASK 3999 127.0.0.1:6381",
		"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
		"NOAUTH Authentication required.",
		"WRONGPASS invalid username-password pair or user is disabled.",
		"NOPERM User default has no permissions to run the 'evalsha' command",
		"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
		"ERR max number of clients reached",
		"ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable",
		"ERR Protocol error: unauthenticated multibulk length",
	} {
		m.SetError(reply)
		_, err := s.Keepalive(t.Context(), id)
		wantRefusal(t, "keepalive", err, reply)
	}
	for _, reply := range []string{
		"ERR wrong number of arguments for 'evalsha' command",
		"ERR Protocol error: invalid multibulk length",
		"WRONGTYPE Operation against a key holding the wrong kind of value",
		"OOMPH",
	} {
		m.SetError(reply)
		_, err := s.Keepalive(t.Context(), id)
		if e := coded(t, err, lease.CodeInternal); e.Cause == nil || !strings.Contains(e.Cause.Error(), reply) {
			t.Errorf("cause %v, want %s", e.Cause, reply)
		}
	}
}

// wantRefusal fails unless the error is an outage because of a reply of Redis, which is for the log.
func wantRefusal(t testing.TB, operation string, err error, reply string) {
	t.Helper()
	e := coded(t, err, lease.CodeUnavailable)
	if e.Cause == nil || !strings.Contains(e.Cause.Error(), reply) || strings.Contains(e.Message, reply) {
		t.Errorf("%s: cause %v and message %q, want %s in the cause alone", operation, e.Cause, e.Message, reply)
	}
}

// do runs a command as an operator does.
func (l *lab) do(t testing.TB, command ...any) {
	t.Helper()
	if err := l.Client.Do(t.Context(), command...).Err(); err != nil {
		t.Fatalf("%v: %v", command, err)
	}
}

// failToSave has a snapshot fail, by a directory in the place of its file.
func (l *lab) failToSave(t *testing.T) {
	t.Helper()
	dir, err := l.Client.ConfigGet(t.Context(), "dir").Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir["dir"], "dump.rdb"), 0o700); err != nil {
		t.Fatal(err)
	}
	l.configure(t, "save", "3600 1")
	l.do(t, "bgsave")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for status := ""; status != "err"; { // until the process that saves has ended
		info, err := l.Client.InfoMap(ctx, "persistence").Result()
		if err != nil {
			t.Fatal(err)
		}
		status = info["Persistence"]["rdb_last_bgsave_status"]
	}
}

// A Redis that turns clients away is an outage, too.
func TestRefusedClientsAreAnOutage(t *testing.T) {
	t.Parallel()
	for _, setting := range [][2]string{{"requirepass", "opensesame"}, {"maxclients", "1"}} {
		t.Run(setting[0], func(t *testing.T) {
			t.Parallel()
			l := newLab(t, realRedis(t))
			l.configure(t, setting[0], setting[1])
			late := storeOn(t, l.Addr, 20*time.Second)
			for _, op := range operations(aGrant(t)) {
				wantCode(t, op.ask(t.Context(), late), lease.CodeUnavailable)
			}
		})
	}
}

// A Redis whose memory is full grants nothing, and leaves nothing half done; but holders keep their leases, return them,
// and lose them when they are silent.
func TestFullMemory(t *testing.T) {
	t.Parallel()
	l := newLab(t, realRedis(t), plain(4)...)
	kept, returned, silent := l.take(t, "d000"), l.take(t, "d001"), l.take(t, "d002")
	l.Advance(ttl / 2)
	l.renew(t, kept.ID)
	l.renew(t, returned.ID)
	l.Advance(ttl/2 + grace)

	l.configure(t, "maxmemory", "1")
	l.reap(t) // else the allocation would end the silent lease, and go on
	before := contents(l.dump(t))
	g := l.want(t, naming("d003"))
	_, _, err := l.Allocate(t.Context(), g)
	wantRefusal(t, "allocate", err, "OOM")
	if after := contents(l.dump(t)); !reflect.DeepEqual(after, before) {
		t.Errorf("the refused allocation left %v, want %v", after, before)
	}
	l.renew(t, kept.ID)
	l.release(t, returned.ID)
	_, err = l.Keepalive(t.Context(), silent.ID)
	wantEnded(t, err, lease.ReasonExpired)
	if got := slices.Collect(maps.Keys(l.dump(t).locks())); !slices.Equal(got, []string{"d000"}) {
		t.Errorf("locks of %v, want d000", got)
	}

	l.configure(t, "maxmemory", "0")
	l.wantSettled(t, "d000", "d001", "d002", "d003")
	l.take(t, "d003")
}

// contents is what is stored, without how long it lives on.
func contents(d *dump) map[string]stored {
	for name, key := range d.keys {
		key.left = 0
		d.keys[name] = key
	}
	return d.keys
}

// A wrong entry in an index does not keep a Redis whose memory is full from ending leases.
func TestFullMemoryAndWrongIndex(t *testing.T) {
	t.Parallel()
	l := newLab(t, realRedis(t), plain(2)...)
	silent := l.take(t, "d000")
	l.Advance(ttl / 2)
	kept := l.take(t, "d001")
	if err := l.Client.ZAdd(t.Context(), "active:{default}", redis.Z{Score: 1, Member: kept.ID.String()}).Err(); err != nil {
		t.Fatal(err)
	}
	l.Advance(ttl/2 + grace)
	l.configure(t, "maxmemory", "1")
	l.reap(t)
	if got := l.read(t, silent.ID); got.Ended == nil || len(l.dump(t).index("ended")) != 1 {
		t.Errorf("the silent lease ended %+v, and is not listed", got.Ended)
	}
	l.renew(t, kept.ID)
}

// What is no value of ours is a defect, not an outage: it is told apart, and changes nothing else.
func TestGarbageIsInternal(t *testing.T) {
	for _, test := range []struct {
		key string
		ask string
	}{
		{"active:{default}", "allocate"},
		{"active:{default}", "reap"},
		{"active:{default}", "list leases"},
		{"ended:{default}", "reap"},
		{"fence:{default}", "allocate"},
		{"free:{default}:-", "allocate"},
		{"device:{default}:a", "read devices"},
		{"device:{default}:a", "set device"},
		{"device:{default}:a", "reconcile"},
		{"devices:{default}", "reconcile"},
		{"lease:{default}:", "keepalive"},
		{"lease:{default}:", "release"},
		{"lease:{default}:", "read a lease"},
		{"lease:{default}:", "allocate"},
	} {
		t.Run(test.ask+" with garbage in "+test.key, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
				l := newLab(t, r, device("a", ""))
				g, key := l.want(t, lease.Request{}), test.key
				if strings.HasPrefix(key, "lease:") {
					key += g.ID.String()
				}
				l.do(t, "del", key)
				l.do(t, "set", key, "garbage")
				before := contents(l.dump(t))
				for _, op := range operations(g) {
					if op.name == test.ask {
						if e := coded(t, op.ask(t.Context(), l.Store), lease.CodeInternal); e.Cause == nil || e.Message != "" {
							t.Errorf("cause %v and message %q, want a cause alone", e.Cause, e.Message)
						}
					}
				}
				if after := contents(l.dump(t)); !reflect.DeepEqual(after, before) {
					t.Errorf("it left %v, want %v", after, before)
				}
			})
		})
	}
}
