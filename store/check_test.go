package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// The embedded Redis is fit, but for a clock that goes wrong.
func TestCheckOfEmbeddedRedis(t *testing.T) {
	t.Parallel()
	r := storetest.Embedded(t)
	l := newLab(t, r)
	r.Advance(time.Hour)
	l.wantWarnings(t, "clock")
}

// A Redis that would drop leases is refused, and one that loses them when it restarts is warned of; both say what to do.
func TestCheckOfRealRedis(t *testing.T) {
	t.Parallel()
	l := newLab(t, realRedis(t))
	l.wantWarnings(t, "appendonly yes")
	l.configure(t, "appendonly", "yes")
	l.wantWarnings(t)
	for _, policy := range []string{"allkeys-lru", "volatile-ttl"} {
		l.configure(t, "maxmemory-policy", policy)
		if _, err := l.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "CONFIG SET maxmemory-policy noeviction") {
			t.Errorf("%s: error %v, want what to do", policy, err)
		}
	}
}

// Replicas that are to confirm leases and are not there are warned of.
func TestCheckCountsReplicas(t *testing.T) {
	t.Parallel()
	l := newLabWith(t, realRedis(t), store.Options{Confirm: 2})
	l.configure(t, "appendonly", "yes")
	l.wantWarnings(t, "Redis has 0 replicas, and 2 are to confirm each lease")
}

// wantWarnings fails unless Check warns of these things and no others.
func (l *lab) wantWarnings(t testing.TB, want ...string) {
	t.Helper()
	got, err := l.Check(t.Context())
	if err != nil || len(got) != len(want) {
		t.Fatalf("warnings %q, %v, want of %q", got, err, want)
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("warning %q, want of %q", got[i], want[i])
		}
	}
}

// configure changes a setting of a real Redis.
func (l *lab) configure(t testing.TB, name, value string) {
	t.Helper()
	if err := l.Client.ConfigSet(t.Context(), name, value).Err(); err != nil {
		t.Fatalf("config set %s %s: %v", name, value, err)
	}
}

func TestCheckNeedsAnAnswer(t *testing.T) {
	t.Parallel()
	_, err := storeOn(t, storetest.FreeAddr(t), time.Second).Check(t.Context())
	wantCode(t, err, lease.CodeUnavailable)
}
