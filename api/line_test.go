package api_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store/storetest"
)

func TestPriorityGoesFirst(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		held := l.allocate(`{"name":"nuc-01"}`).want(201)
		if held.num("priority") != lease.DefaultPriority {
			t.Errorf("priority: %s", held.text)
		}
		var line []string
		for _, priority := range []string{`"priority":0`, `"purpose":"of default priority"`, `"priority":9`} {
			line = append(line, l.wait("0s", `{"name":"nuc-01",`+priority+`}`).want(202).str("id"))
		}
		slices.Reverse(line)
		if got := l.queue("default"); !slices.Equal(got, line) {
			t.Errorf("line %v, want %v", got, line)
		}
		l.release(held).want(204)
		if got := l.queue("default"); !slices.Equal(got, line[1:]) {
			t.Errorf("line %v after one was served, want %v", got, line[1:])
		}
		if got := l.do("GET", l.allocator+"/v1/leases/"+line[0], "").want(200); got.str("state") != "active" || got.num("priority") != 9 {
			t.Errorf("the first: %s", got.text)
		}
	})
}

func TestNobodyIsOvertaken(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		l.allocate(`{"name":"rpi4-01"}`).want(201)
		both := l.wait("0s", `{"devices":[{"selector":"model=rpi4","count":2}]}`).want(202)
		if got := both.object("queue"); got.num("free_devices") != 1 || got.num("leased_devices") != 1 {
			t.Errorf("queue: %s", both.text)
		}
		got := l.allocate(`{"selector":"model=rpi4"}`).want(429, lease.CodeNoneFree)
		if a := got.object("availability"); a.num("free_devices") != 1 || a.num("leased_devices") != 1 || a.num("matching_devices") != 2 {
			t.Errorf("availability: %s", got.text)
		}
		l.allocate(`{"selector":"model=rpi4","priority":9}`).want(201) // its place is before
		l.allocate("").want(201)                                       // a device that nobody waits for
	})
}

func TestSeveralDevices(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		body := `{"devices":[{"name":"nuc-01","as":"server"},{"selector":"model == rpi4","count":2,"as":"client"}]}`
		token := "Lease-Token: " + string(lease.NewToken())
		got := l.allocate(body, token).want(201)
		names, as := got.names("devices", "name"), got.names("devices", "as")
		slices.Sort(names[1:])
		if !slices.Equal(names, []string{"nuc-01", "rpi4-01", "rpi4-02"}) || !slices.Equal(as, []string{"server", "client", "client"}) ||
			strings.Count(got.text, secret) != 3 {
			t.Errorf("devices: %s", got.text)
		}
		if want := `"demands":[{"name":"nuc-01","count":1,"as":"server"},{"selector":"model=rpi4","count":2,"as":"client"}]`; !strings.Contains(got.text, want) {
			t.Errorf("want %s: %s", want, got.text)
		}
		l.allocate(body, token).want(200)
		l.allocate("").want(429)
		l.release(got).want(204)
		plain := l.allocate(`{"selector":"model=rpi4"}`).want(201)
		if strings.Contains(plain.text, `"as"`) {
			t.Errorf("nobody named it: %s", plain.text)
		}
		token = "Lease-Token: " + plain.str("token")
		l.allocate(`{"devices":[{"selector":"model=rpi4"}],"priority":5}`, token).want(200) // the same request in other words
	})
}

func TestNoMatchNamesTheDemand(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		for body, want := range map[string]string{
			`{"devices":[{"name":"rpi9-01"}]}`:                                "devices[0].name",
			`{"devices":[{"selector":"model=rpi9"}]}`:                         "devices[0].selector",
			`{"devices":[{"count":4}]}`:                                       "devices[0].count",
			`{"devices":[{},{"name":"rpi9-01"}]}`:                             "devices[1].name",
			`{"devices":[{"name":"nuc-01"},{"selector":"model=nuc"}]}`:        "devices",
			`{"devices":[{"selector":"model=rpi4","count":3},{"count":1}]}`:   "devices[0].count",
			`{"name":"rpi9-01"}`:                                              "name",
			`{"devices":[{"selector":"arch=arm64","name":"nuc-01"}, {}, {}]}`: "devices[0].selector",
		} {
			got := l.wait("10m", body).want(422, lease.CodeNoMatch)
			if fields := got.names("errors", "field"); !slices.Equal(fields, []string{want}) {
				t.Errorf("%s: fields %v, want %s", body, fields, want)
			}
		}
	})
}

func TestQuota(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l := newLab(t, r, func(o *labOptions) {
			pool := *exampleInventory().Pool("default")
			pool.Limits = lease.Limits{DevicesPerLease: 2, LeasesPerHolder: 2, DevicesPerHolder: 2}
			o.inventory = lease.NewInventory([]lease.Pool{pool})
		})
		tooMany := l.allocate(`{"holder":"alice","devices":[{"count":3}]}`).want(429, lease.CodeQuota)
		if tooMany.header.Get("Retry-After") != "" || !slices.Equal(tooMany.names("errors", "field"), []string{"devices"}) {
			t.Errorf("it never fits: %v %s", tooMany.header, tooMany.text)
		}
		l.allocate("").want(422, lease.CodeInvalid) // of whom?
		held := l.allocate(`{"holder":"alice","name":"nuc-01"}`).want(201)
		l.wait("0s", `{"holder":"alice","name":"nuc-01"}`).want(202)
		got := l.wait("10m", `{"holder":"alice"}`).want(429, lease.CodeQuota)
		if got.header.Get("Retry-After") != "20" || got.num("retry_after_seconds") != 20 {
			t.Errorf("it may fit later: %v %s", got.header, got.text)
		}
		l.allocate(`{"holder":"bob","selector":"model=rpi4"}`).want(201)
		l.release(held).want(204)
		l.allocate(`{"holder":"alice"}`).want(201)
		if metrics := l.do("GET", l.allocator+"/metrics", "").text; !strings.Contains(metrics, `lease_denied_total{code="quota_exceeded",pool="default"} 2`) {
			t.Errorf("metrics:\n%s", leaseMetrics(metrics))
		}
	})
}

func TestKeepaliveOfAPendingLease(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		l.allocate(`{"name":"nuc-01"}`).want(201)
		pending := l.wait("0s", `{"name":"nuc-01"}`).want(202)
		url := l.keepalive + "/v1/leases/" + pending.str("id") + "/keepalive"
		got := l.do("POST", url, "", "Lease-Token: "+pending.str("token")).want(409, lease.CodeConflict)
		if got.str("detail") == "" {
			t.Errorf("problem: %s", got.text)
		}
	})
}

func TestQueueInPages(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		l.allocate(`{"name":"nuc-01"}`).want(201)
		l.allocate(`{"pool":"phones"}`).want(201)
		var line []string
		for i := range 5 {
			line = append(line, l.wait("0s", fmt.Sprintf(`{"name":"nuc-01","purpose":"%d"}`, i)).want(202).str("id"))
		}
		phone := l.wait("0s", `{"pool":"phones"}`).want(202)
		var paged []string
		for token, pages := "", 0; pages == 0 || token != ""; pages++ {
			page := l.do("GET", l.allocator+"/v1/queues/default?page_size=2&page_token="+token, "").want(200)
			paged = append(paged, page.names("queue", "id")...)
			token = page.str("next_page_token")
			l.wantNoSecret("queue", page.text, phone.str("token"))
			first, _ := page.body["queue"].([]any)
			if len(first) > 0 && at(first[0], "queue/place") != float64(2*pages+1) {
				t.Errorf("page %d: %s", pages, page.text)
			}
		}
		if !slices.Equal(paged, line) || !slices.Equal(l.queue("phones"), []string{phone.str("id")}) {
			t.Errorf("line in pages %v, want %v", paged, line)
		}
		for query, want := range map[string][]string{
			"?state=pending": append(line, phone.str("id")), "?state=pending&pool=phones": {phone.str("id")}, "?state=pending&selector=model": {},
		} {
			if got := l.do("GET", l.allocator+"/v1/leases"+query, "").want(200).names("leases", "id"); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", query, got, want)
			}
		}
	})
}

// TestGrantFromTheLineOfADeviceYetUnknown: another replica has a newer inventory.
func TestGrantFromTheLineOfADeviceYetUnknown(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		old := newLab(t, r)
		old.allocate(`{"pool":"phones"}`).want(201)
		token := "Lease-Token: " + string(lease.NewToken())
		posted := old.later(func() *answer { return old.wait("10m", `{"pool":"phones"}`, token) })
		old.untilWaiting(1)
		newer := newLab(t, r, func(o *labOptions) {
			phone := *o.inventory.Device("pixel-01")
			phone.Name = "pixel-02"
			o.inventory = lease.NewInventory([]lease.Pool{*o.inventory.Pool("default"), {Name: "phones", TTL: ttl, MaxHold: maxHold, Devices: []lease.Device{*o.inventory.Device("pixel-01"), phone}}})
		})
		got := (<-posted).want(503, lease.CodeUnavailable)
		if !strings.Contains(got.str("detail"), "same token") || got.header.Get("Retry-After") != "1" {
			t.Errorf("problem: %s", got.text)
		}
		old.wait("10m", `{"pool":"phones"}`, token).want(503, lease.CodeUnavailable)
		got = newer.wait("10m", `{"pool":"phones"}`, token).want(200)
		if got.device() != "pixel-02" || !strings.Contains(got.text, secret) {
			t.Errorf("at the newer: %s", got.text)
		}
		old.poll(got, "?wait=10m").want(503, lease.CodeUnavailable)
		old.setInventory(newer.current())
		old.wait("10m", `{"pool":"phones"}`, token).want(200)
	})
}

// outage makes calls to Redis fail while it lasts.
type outage struct {
	lasts  atomic.Bool
	failed atomic.Int64
}

var errOutage = &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}

func (*outage) DialHook(next redis.DialHook) redis.DialHook { return next }

func (o *outage) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !o.lasts.Load() {
			return next(ctx, cmd)
		}
		o.failed.Add(1)
		cmd.SetErr(errOutage)
		return errOutage
	}
}

func (*outage) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// impatient is a lab that asks often, over a Redis that may be out.
func impatient(t *testing.T, r *storetest.Redis) (*lab, *outage) {
	o, client := &outage{}, storetest.Client(t, r.Addr)
	client.AddHook(o)
	return newLab(t, r, func(options *labOptions) {
		options.client, options.deaf, options.reread = client, true, 10*time.Millisecond
	}), o
}

func TestOutageCostsNoPlaceInLine(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l, out := impatient(t, r)
		elsewhere := newLab(t, r)
		held := elsewhere.allocate(`{"name":"nuc-01"}`).want(201)
		later := l.later(func() *answer { return l.wait("10m", `{"name":"nuc-01"}`) })
		l.until("one waits", func() bool { return len(elsewhere.queue("default")) == 1 })
		out.lasts.Store(true)
		l.until("it was asked in vain", func() bool { return out.failed.Load() > 2 })
		elsewhere.release(held).want(204)
		out.lasts.Store(false)
		(<-later).want(201)
	})
}

func TestOutageToTheEndOfAWait(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l, out := impatient(t, r)
		elsewhere := newLab(t, r)
		elsewhere.allocate(`{"name":"nuc-01"}`).want(201)
		token := "Lease-Token: " + string(lease.NewToken())
		later := l.later(func() *answer { return l.wait("2s", `{"name":"nuc-01"}`, token) })
		l.until("one waits", func() bool { return len(elsewhere.queue("default")) == 1 })
		out.lasts.Store(true)
		(<-later).want(503, lease.CodeUnavailable)
		l.wait("0s", `{"name":"nuc-01"}`, token).want(503, lease.CodeUnavailable)
		out.lasts.Store(false)
		l.wait("0s", `{"name":"nuc-01"}`, token).want(202)
	})
}

// TestLineThatRedisForgot: who waits joins it anew, and is served when grants go on.
func TestLineThatRedisForgot(t *testing.T) {
	storetest.Each(t, func(t *testing.T, r *storetest.Redis) {
		l, _ := impatient(t, r)
		l.allocate(`{"name":"nuc-01"}`).want(201)
		later := l.later(func() *answer { return l.wait("10m", `{"name":"nuc-01"}`) })
		l.until("one waits", func() bool { return len(l.queue("default")) == 1 })
		r.Advance(time.Second)
		if err := r.Client.FlushDB(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		r.Advance(time.Second)
		l.reconcile()
		l.until("one waits again", func() bool { return len(l.queue("default")) == 1 })
		if n, err := r.Client.Del(t.Context(), "paused:{default}").Result(); n != 1 || err != nil {
			t.Fatalf("lift the pause: %d, %v", n, err)
		}
		if _, err := l.store.Reap(t.Context(), "default"); err != nil {
			t.Fatal(err)
		}
		(<-later).want(201)
	})
}
