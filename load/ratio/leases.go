package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/automation-infra/automation-infra/lease"
)

// pool is where the devices are: where requests without a body go.
const pool = "default"

// keptTTL is how long a kept lease lives without keepalive: longer than all runs.
const keptTTL = 6 * time.Hour

// held is a lease with its token.
type held struct {
	id    lease.ID
	token lease.Token
}

// keep leases devices until n of them are.
func (l *lab) keep(ctx context.Context, n int) error {
	missing := n - len(l.kept)
	if missing <= 0 {
		return nil
	}
	l.say("lease %d of %d devices", n, l.devices)
	added := make([]held, missing)
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(connections / 4)
	for i := range added {
		all.Go(func() error {
			token := lease.NewToken()
			added[i] = held{token.ID(pool), token}
			body := fmt.Sprintf(`{"ttl_seconds": %d}`, int(keptTTL.Seconds()))
			want := []int{http.StatusCreated, http.StatusOK} // this when it was repeated
			return l.sendPatiently(ctx, l.allocator, ask{http.MethodPost, "/v1/leases", token, body, want}, nil)
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	l.kept = append(l.kept, added...)
	return os.WriteFile(l.leasesFile(), []byte(listOf(l.kept)), 0o600) //nolint:gosec // in our own folder
}

// leasesFile is the path of a file of the kept leases, for keepalive.lua.
func (l *lab) leasesFile() string { return filepath.Join(l.dir, fmt.Sprintf("leases-%d", l.devices)) }

// listOf is the leases as keepalive.lua reads them.
func listOf(leases []held) string {
	var list strings.Builder
	for _, h := range leases {
		list.WriteString(h.id.String() + " " + string(h.token) + "\n")
	}
	return list.String()
}

// renew keeps a lease alive.
func (l *lab) renew(ctx context.Context, h held) error {
	path := "/v1/leases/" + h.id.String() + "/keepalive"
	return l.send(ctx, l.keepalive, ask{method: http.MethodPost, path: path, token: h.token, want: []int{http.StatusOK}}, nil)
}

// releaseCycles releases what a run of cycles.lua with this prefix of tokens left leased, at most a lease a connection.
func (l *lab) releaseCycles(ctx context.Context, prefix string, requests int) error {
	tokens := cycleTokens(prefix, requests)
	// By when they end: those of the run come before the kept ones.
	list := ask{method: http.MethodGet, path: "/v1/leases?state=active&pool=" + pool, want: []int{http.StatusOK}}
	for {
		var page struct{ Leases []struct{ ID string } }
		if err := l.sendPatiently(ctx, l.allocator, list, &page); err != nil {
			return err
		}
		released := 0
		for _, found := range page.Leases {
			if token, ours := tokens[found.ID]; ours {
				released++
				release := ask{method: http.MethodDelete, path: "/v1/leases/" + found.ID, token: token, want: []int{http.StatusNoContent}}
				if err := l.sendPatiently(ctx, l.allocator, release, nil); err != nil {
					return err
				}
			}
		}
		if released == 0 {
			return nil
		}
	}
}

// cycleTokens are the tokens that a run of cycles.lua may have made, by the ids of their leases: half of its requests allocate,
// and a connection may have begun one more.
func cycleTokens(prefix string, requests int) map[string]lease.Token {
	tokens := map[string]lease.Token{}
	for thread := range wrkThreads {
		for n := range requests/2 + 2*connections {
			token := lease.Token(fmt.Sprintf("%s.%d.%d", prefix, thread, n+1))
			tokens[token.ID(pool).String()] = token
		}
	}
	return tokens
}
