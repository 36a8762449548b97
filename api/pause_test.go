package api_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// When Redis comes back empty, no device is leased while holders from before may go on: who asks is told why and until when, who
// waits joins the line, and a holder from before is told to stop. The services stay ready, and say what is paused.
func TestStoreLost(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		granted := l.allocate("").want(201)
		l.redis.Advance(time.Second)
		if err := l.redis.Client.FlushAll(context.Background()).Err(); err != nil {
			t.Fatal(err)
		}
		l.redis.Advance(time.Second)
		l.reconcile()

		refused := l.allocate("").want(503, lease.CodeUnavailable)
		slack := int(l.redis.Slack.Seconds())
		after, err := strconv.Atoi(refused.header.Get("Retry-After"))
		longest, why := int((ttl + grace).Seconds()), refused.str("detail")
		if err != nil || after > longest || after < longest-slack || !strings.Contains(why, "may still be in use") {
			t.Errorf("Retry-After %d, %v: %s", after, err, refused.text)
		}
		if got := l.keepAlive(granted).want(410, lease.CodeEnded); got.str("ended_reason") != "store_lost" || got.str("ended_time") == "" {
			t.Errorf("keepalive: %s", got.text)
		}
		l.wait("0s", "").want(202)
		for _, base := range []string{l.allocator, l.keepalive} {
			got := l.do("GET", base+"/readyz", "").want(200)
			if pools := got.names("grants_paused", "pool"); len(pools) != 2 || pools[0] != "default" || pools[1] != "phones" {
				t.Errorf("readyz: %s", got.text)
			}
			until, err := time.Parse(time.RFC3339, got.names("grants_paused", "until_time")[0])
			if left := time.Until(until); err != nil || left > ttl+grace || left < ttl+grace-30*time.Second {
				t.Errorf("readyz: %s: %v", got.text, err)
			}
		}
		if got := l.do("GET", l.allocator+"/metrics", ""); !strings.Contains(got.text, `lease_store_losses_total{pool="default"} 1`) {
			t.Errorf("metrics: %s", got.text)
		}
		l.redis.Advance(ttl + grace + l.redis.Slack)
		if err := l.store.Look(context.Background()); err != nil {
			t.Fatal(err)
		}
		l.allocate("").want(201)
		if got := l.do("GET", l.allocator+"/readyz", "").want(200); got.body["grants_paused"] != nil {
			t.Errorf("readyz: %s", got.text)
		}
	})
}
