package faults_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// short is how long most faults last: longer than a call to Redis may take.
const short = 1500 * time.Millisecond

// killRedis kills Redis and starts it again, twice.
func killRedis(t *testing.T, l *lab) {
	for range 2 {
		l.redis.kill()
		lasts(t, short/5)
		l.redis.begin(t)
		lasts(t, short/2)
	}
}

// emptyRedis kills Redis, which then starts without its data, twice; the allocators tell it of the devices at once, not within 30 s.
func emptyRedis(t *testing.T, l *lab) {
	for range 2 {
		l.redis.kill()
		lasts(t, short/5)
		l.redis.begin(t)
		for _, s := range l.allocators {
			s.signal(syscall.SIGHUP)
		}
		lasts(t, short/2)
	}
}

// stopRedis stops Redis for a while, twice; what it was sent meanwhile it does later, though nobody waits for that any more.
func stopRedis(t *testing.T, l *lab) {
	for range 2 {
		l.redis.signal(syscall.SIGSTOP)
		lasts(t, short)
		l.redis.signal(syscall.SIGCONT)
		lasts(t, short/3)
	}
}

// outOfMemory leaves Redis no memory for anything new.
func outOfMemory(t *testing.T, l *lab) {
	l.redis.set(t, "maxmemory", "1")
	lasts(t, short)
	l.redis.set(t, "maxmemory", "0")
}

// readOnly makes Redis a replica of nobody.
func readOnly(t *testing.T, l *lab) {
	l.redis.do(t, "REPLICAOF 127.0.0.1 1")
	lasts(t, short)
	l.redis.do(t, "REPLICAOF NO ONE")
}

// missesReplicas has Redis refuse to write without replicas.
func missesReplicas(t *testing.T, l *lab) {
	l.redis.set(t, "min-replicas-to-write", "1")
	lasts(t, short)
	l.redis.set(t, "min-replicas-to-write", "0")
}

// cantSave has Redis refuse to write because it could not save: a folder is where its file should be.
func cantSave(t *testing.T, l *lab) {
	obstacle := filepath.Join(l.redis.dir, "dump.rdb")
	if err := errors.Join(os.RemoveAll(obstacle), os.Mkdir(obstacle, 0o700)); err != nil { // it may have saved before
		t.Fatal(err)
	}
	saved := func(status string) {
		until(t, "saving is "+status, func(ctx context.Context) bool {
			return l.redis.info(ctx, "persistence", "rdb_bgsave_in_progress") == "0" && l.redis.info(ctx, "persistence", "rdb_last_bgsave_status") == status
		})
	}
	l.redis.set(t, "save", "3600 1")
	l.redis.do(t, "BGSAVE")
	saved("err")
	lasts(t, short)
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	l.redis.do(t, "BGSAVE")
	saved("ok")
	l.redis.set(t, "save", "")
}

// removeLocks removes locks, as somebody with redis-cli may.
func removeLocks(t *testing.T, l *lab) {
	for range 30 {
		o := operation{request: revoke, outcome: done, device: device(rand.IntN(l.devices)), call: l.history.now()}
		l.redis.do(t, "DEL lock:{default}:"+o.device)
		o.ret = l.history.now()
		l.history.add(o)
		lasts(t, short/15)
	}
}

// spoilIndexes makes every device look free, as somebody with redis-cli may.
func spoilIndexes(t *testing.T, l *lab) {
	for range 30 {
		for i := range l.devices {
			l.redis.do(t, "ZADD free:{default}:model=board 0 "+device(i))
		}
		lasts(t, short/30)
	}
}

// clockStep is longer than the TTL of the leases, all of which it ends.
const clockStep = 5 * time.Second

// stepClock lets time pass for all that is stored, which is what a step of Redis's clock does to it.
func stepClock(t *testing.T, l *lab) {
	script, err := os.ReadFile(filepath.Join(checkout(t), "store", "storetest", "advance.lua"))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.redis.admin.Eval(t.Context(), string(script), nil, clockStep.Milliseconds()).Err(); err != nil {
		t.Error(err)
	}
}
