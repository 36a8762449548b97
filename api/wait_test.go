package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store/storetest"
)

// patientInventory is a lab in which nobody asks again by himself while a test runs: who waits gets to know, or does not.
func patientInventory(o *labOptions) {
	pool := *exampleInventory().Pool("default")
	pool.TTL, pool.Queueing.AskWithin = maxHold, maxHold
	o.inventory, o.reread = lease.NewInventory([]lease.Pool{pool}), maxHold
}

func TestWaitIsOverWhenTheLeaseIsGranted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		here, there := newLab(t, r, patientInventory), newLab(t, r, patientInventory)
		for name, releases := range map[string]*lab{"here": here, "at another replica": there} {
			first := here.wait("10m", `{"name":"nuc-01"}`).want(201)
			if first.num("waited_seconds") != 0 || first.str("grant_time") != first.str("create_time") {
				t.Errorf("%s: it did not wait: %s", name, first.text)
			}
			later := here.later(func() *answer { return here.wait("10m", `{"selector":"model=nuc"}`) })
			here.untilWaiting(1)
			r.Advance(5 * time.Second)
			releases.release(first).want(204)
			got := (<-later).want(201)
			if got.str("state") != "active" || got.device() != "nuc-01" || got.num("fence") <= first.num("fence") || got.header.Get("Retry-After") != "" ||
				!strings.Contains(got.text, secret) || len(got.str("token")) < 22 || got.header.Get("Location") != "/v1/leases/"+got.str("id") {
				t.Errorf("%s: %s", name, got.text)
			}
			if got.num("waited_seconds") < 5 || got.body["queue"] != nil || parseTime(t, got.str("grant_time")).Sub(parseTime(t, got.str("create_time"))) < 5*time.Second {
				t.Errorf("%s: it waited: %s", name, got.text)
			}
			here.untilWaiting(0)
			here.keepAlive(got).want(200)
			here.release(got).want(204)
		}
	})
}

func TestWaitOfNothingJoinsTheLine(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		l.allocate(`{"name":"nuc-01"}`).want(201)
		first := l.wait("0s", `{"name":"nuc-01","holder":"alice"}`).want(202)
		second := l.wait("0s", `{"selector":"model=nuc"}`).want(202)
		if first.object("queue").num("place") != 1 || second.object("queue").num("place") != 2 || second.object("queue").num("length") != 2 {
			t.Errorf("places: %s\n%s", first.text, second.text)
		}
		q := second.object("queue")
		if q.num("matching_devices") != 1 || q.num("leased_devices") != 1 || q.num("next_end_seconds") < 40 || q.str("next_end_time") == "" ||
			!strings.HasPrefix(q.str("reason"), "1 matching device leased; next may end in ") {
			t.Errorf("why it waits: %s", second.text)
		}
		if first.str("state") != "pending" || !strings.Contains(first.text, `"devices":[]`) || len(first.str("token")) < 22 ||
			first.header.Get("Location") != "/v1/leases/"+first.str("id") || first.header.Get("Cache-Control") != "no-store" {
			t.Errorf("pending lease: %v %s", first.header, first.text)
		}
		for _, absent := range []string{"fence", "grant_time", "deadline_time", "expire_time", "keepalive_url", "ended_time"} {
			if first.body[absent] != nil {
				t.Errorf("%s before the grant: %s", absent, first.text)
			}
		}
		if first.header.Get("Retry-After") != "15" || first.num("retry_after_seconds") != 15 {
			t.Errorf("Retry-After %q, want a third of 45 s: %s", first.header.Get("Retry-After"), first.text)
		}
		short := l.wait("0s", `{"name":"nuc-01","ttl_seconds":4}`).want(202)
		if short.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After %q, want a third of the TTL: %s", short.header.Get("Retry-After"), short.text)
		}
	})
}

func TestWaitThatEnds(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		held := l.allocate(`{"name":"nuc-01"}`).want(201)
		pending := l.wait("20ms", `{"name":"nuc-01"}`).want(202)
		l.poll(pending, "?wait=20ms").want(202)
		l.poll(pending).want(202)
		if got := l.poll(held, "?wait=10m").want(200); got.str("state") != "active" || !strings.Contains(got.text, secret) {
			t.Errorf("no reason to wait: %s", got.text)
		}
	})
}

func TestWaitGoesOnAtAnotherReplica(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		here, there := newLab(t, r, patientInventory), newLab(t, r, patientInventory)
		held := here.allocate(`{"name":"nuc-01"}`).want(201)
		pending := here.wait("0s", `{"name":"nuc-01"}`).want(202)
		token := "Lease-Token: " + pending.str("token")
		read := there.later(func() *answer { return there.poll(pending, "?wait=10m") })
		repeated := there.later(func() *answer { return there.wait("10m", `{"name":"nuc-01"}`, token) })
		there.untilWaiting(2)
		here.allocate(`{"name":"nuc-01"}`, token).want(202) // asks for it, and does not wait
		here.release(held).want(204)
		if got := (<-read).want(200); got.str("state") != "active" || got.device() != "nuc-01" || !strings.Contains(got.text, secret) || got.body["token"] != nil {
			t.Errorf("read: %s", got.text)
		}
		if got := (<-repeated).want(201); got.str("id") != pending.str("id") || got.str("token") != pending.str("token") {
			t.Errorf("repeated: %s", got.text)
		}
		here.wait("10m", `{"name":"nuc-01"}`, token).want(200) // it was active before
	})
}

func TestWaitEndsWithTheLease(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		l.allocate(`{"name":"nuc-01"}`).want(201)
		pending := l.wait("0s", `{"name":"nuc-01"}`).want(202)
		token := "Lease-Token: " + pending.str("token")
		posted := l.later(func() *answer { return l.wait("10m", `{"name":"nuc-01"}`, token) })
		read := l.later(func() *answer { return l.poll(pending, "?wait=10m") })
		l.untilWaiting(2)
		l.release(pending).want(204)
		if got := (<-posted).want(410, lease.CodeEnded); got.str("ended_reason") != "released" {
			t.Errorf("posted: %s", got.text)
		}
		if got := (<-read).want(200); got.str("state") != "released" || got.str("ended_reason") != "released" {
			t.Errorf("read: %s", got.text)
		}
		if got := l.queue("default"); len(got) != 0 {
			t.Errorf("in line still: %v", got)
		}
	})
}

func TestWhoDoesNotAskLosesThePlace(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		l.allocate(`{"name":"nuc-01"}`).want(201)
		asked, seen := l.wait("0s", `{"name":"nuc-01"}`).want(202), l.wait("0s", `{"name":"nuc-01"}`).want(202)
		l.redis.Advance(24 * time.Second)
		l.poll(asked).want(202)
		l.do("GET", l.allocator+"/v1/leases/"+seen.str("id"), "").want(202) // anyone may look
		l.redis.Advance(24 * time.Second)
		l.poll(asked).want(202)
		if got := l.poll(seen).want(200); got.str("state") != "abandoned" || got.str("ended_reason") != "abandoned" || got.body["queue"] != nil {
			t.Errorf("nobody asked: %s", got.text)
		}
		got := l.wait("10m", `{"name":"nuc-01"}`, "Lease-Token: "+seen.str("token")).want(410, lease.CodeEnded)
		if got.str("ended_reason") != "abandoned" {
			t.Errorf("nobody asked: %s", got.text)
		}
		l.release(seen).want(410, lease.CodeEnded)
		if got := l.do("GET", l.allocator+"/v1/leases?state=abandoned", "").want(200).names("leases", "id"); len(got) != 1 || got[0] != seen.str("id") {
			t.Errorf("abandoned: %v", got)
		}
	})
}

// TestWaitWithoutWord: word that a lease was granted may get lost.
func TestWaitWithoutWord(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, func(o *labOptions) { o.deaf, o.reread = true, 20*time.Millisecond })
		held := l.allocate(`{"name":"nuc-01"}`).want(201)
		later := l.later(func() *answer { return l.wait("10m", `{"name":"nuc-01"}`) })
		l.untilWaiting(1)
		l.release(held).want(204)
		(<-later).want(201)
	})
}

func TestClientThatStopsWaiting(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		held := l.allocate(`{"name":"nuc-01"}`).want(201)
		token := string(lease.NewToken())
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "POST", l.allocator+"/v1/leases?wait=10m", strings.NewReader(`{"name":"nuc-01"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Lease-Token", token)
		gone := make(chan error, 1)
		go func() {
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				err = resp.Body.Close()
			}
			gone <- err
		}()
		l.untilWaiting(1)
		cancel()
		if <-gone == nil {
			t.Error("the client got an answer")
		}
		l.untilWaiting(0)
		if strings.Contains(l.log.String(), "internal error") || strings.Contains(l.log.String(), "unavailable") {
			t.Errorf("log: %s", l.log)
		}
		l.release(held).want(204)
		l.wait("10m", `{"name":"nuc-01"}`, "Lease-Token: "+token).want(200) // the ticket went on
	})
}

func TestStoppingEndsWaits(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		l.allocate(`{"name":"nuc-01"}`).want(201)
		pending := l.wait("0s", `{"name":"nuc-01"}`).want(202)
		posted := l.later(func() *answer { return l.wait("10m", `{"name":"nuc-01"}`) })
		read := l.later(func() *answer { return l.poll(pending, "?wait=10m") })
		l.untilWaiting(2)
		l.health.SetStopping()
		if got := (<-posted).want(202); got.str("token") == "" || got.object("queue").num("place") != 2 || got.header.Get("Retry-After") != "15" {
			t.Errorf("posted: %s", got.text)
		}
		(<-read).want(202)
		l.wait("10m", "").want(503, lease.CodeUnavailable)
		l.health.SetReady()
		if l.health.Obstacle() != "stopping" {
			t.Error("ready after it stopped")
		}
	})
}

// TestServeAnswersWhoWaits: the context ends while a request waits; the drain does not wait as long.
func TestServeAnswersWhoWaits(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		l.allocate(`{"name":"nuc-01"}`).want(201)
		var stop func()
		l.allocator, stop = serve(t, l.handler, l.health)
		later := l.later(func() *answer { return l.wait("10m", `{"name":"nuc-01"}`) })
		l.untilWaiting(1)
		stop()
		(<-later).want(202)
	})
}

// TestWaitOutlastsTheServersTimeouts, which are shorter than the wait.
func TestWaitOutlastsTheServersTimeouts(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		l.allocate(`{"name":"nuc-01"}`).want(201)
		s := httptest.NewUnstartedServer(l.handler)
		s.Config.ReadTimeout, s.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
		s.Start()
		t.Cleanup(s.Close)
		l.allocator = s.URL
		const wait = 250 * time.Millisecond
		for range 2 { // the second on the same connection
			start := time.Now()
			pending := l.wait(wait.String(), `{"name":"nuc-01"}`).want(202)
			l.poll(pending, "?wait="+wait.String()).want(202)
			if took := time.Since(start); took < 2*wait {
				t.Errorf("two waits ended after %s, as if the client had gone", took)
			}
		}
	})
}
