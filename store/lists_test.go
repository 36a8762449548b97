package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// list reads all leases of a state, so many at a time, and tells how many reads that took.
func (l *lab) list(t testing.TB, state lease.State, limit int) (ids []lease.ID, reads int) {
	t.Helper()
	for after := ""; reads == 0 || after != ""; reads++ {
		some, next, err := l.Leases(t.Context(), pool, state, after, limit)
		if err != nil || len(some) > limit {
			t.Fatalf("list %s after %q: %d leases, %v", state, after, len(some), err)
		}
		for _, one := range some {
			if one.State != state {
				t.Errorf("list %s: %s is %s", state, one.ID, one.State)
			}
			ids = append(ids, one.ID)
		}
		after = next
	}
	return ids, reads
}

// Leases that end at the very same time are all listed, once each, however they fall on pages.
func TestListOfEqualTimes(t *testing.T) {
	for _, limit := range []int{1, 3, 4, 9, 10, 128, 1000} {
		t.Run(fmt.Sprint(limit, " at a time"), func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
				l := newLab(t, r, plain(10)...)
				var want []string
				for range 10 {
					want = append(want, l.grant(t, lease.Request{}).ID.String())
				}
				slices.Sort(want)
				due := float64(time.Now().Add(ttl).UnixMilli())
				for _, id := range want {
					if err := r.Client.ZAdd(t.Context(), "active:{default}", redis.Z{Score: due, Member: id}).Err(); err != nil {
						t.Fatal(err)
					}
				}
				ids, reads := l.list(t, lease.StateActive, limit)
				var got []string
				for _, id := range ids {
					got = append(got, id.String())
				}
				if !slices.Equal(got, want) {
					t.Errorf("listed %v, want %v", got, want)
				}
				if most := 10/limit + 2; reads > most {
					t.Errorf("%d reads, want at most %d", reads, most)
				}
			})
		})
	}
}

// Active leases are listed by when they end, others by when they ended; each state has its own.
func TestListsAreOrdered(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, plain(6)...)
		var long, short, returned []lease.ID
		for range 2 {
			r.Advance(l.moment())
			long = append(long, l.grant(t, lease.Request{TTL: hold}).ID)
			short = append(short, l.grant(t, lease.Request{TTL: ttl}).ID)
			returned = append(returned, l.grant(t, lease.Request{TTL: ttl}).ID)
		}
		for _, id := range slices.Backward(returned) {
			r.Advance(l.moment())
			l.release(t, id)
		}
		slices.Reverse(returned)
		l.wantListed(t, lease.StateActive, slices.Concat(short, long))
		l.wantListed(t, lease.StateReleased, returned)
		l.wantListed(t, lease.StateExpired, nil)

		r.Advance(ttl + grace + l.moment())
		l.wantListed(t, lease.StateActive, long)
		l.reap(t)
		l.wantListed(t, lease.StateActive, long)
		l.wantListed(t, lease.StateExpired, short)
		l.wantListed(t, lease.StateReleased, returned)
		l.wantListed(t, lease.StateRevoked, nil)
	})
}

func (l *lab) wantListed(t testing.TB, state lease.State, want []lease.ID) {
	t.Helper()
	if got, _ := l.list(t, state, 2); !slices.Equal(got, want) {
		t.Errorf("%s are %v, want %v", state, got, want)
	}
}

// A lease that is kept alive while it is listed may come twice, but none is left out.
func TestListWhileLeasesAreKeptAlive(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, plain(6)...)
		var all []lease.ID
		for range 6 {
			r.Advance(time.Second)
			all = append(all, l.grant(t, lease.Request{}).ID)
		}
		seen := map[lease.ID]bool{}
		for i, after := 0, ""; i == 0 || after != ""; i++ {
			some, next, err := l.Leases(t.Context(), pool, lease.StateActive, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range some {
				seen[one.ID] = true
			}
			after = next
			if i < len(all) {
				l.renew(t, all[i])
			}
		}
		if len(seen) != len(all) {
			t.Errorf("saw %d leases, want %d", len(seen), len(all))
		}
	})
}

func TestListOfWrongPosition(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, plain(1)...)
		for _, after := range []string{"x", "/", "1.5/x", "99999999999999999999/x"} {
			_, _, err := l.Leases(t.Context(), pool, lease.StateActive, after, 10)
			if e := coded(t, err, lease.CodeInvalid); e.Field != "page_token" {
				t.Errorf("after %q: field %q, want page_token", after, e.Field)
			}
		}
	})
}
