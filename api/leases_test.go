package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/api"
	"github.com/automation-infra/automation-infra/lease"
)

func TestAllocateWithoutBody(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		got := l.allocate("").want(201)
		if !strings.HasPrefix(got.str("id"), "default-") || len(got.str("token")) < 22 {
			t.Errorf("id and token: %s", got.text)
		}
		if got.header.Get("Location") != "/v1/leases/"+got.str("id") || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("headers: %v", got.header)
		}
		if got.str("state") != "active" || got.num("ttl_seconds") != 60 || got.num("remaining_seconds") != 60 ||
			got.num("keepalive_interval_seconds") != 20 || got.num("fence") <= 0 {
			t.Errorf("lease: %s", got.text)
		}
		if want := l.keepalive + "/v1/leases/" + got.str("id") + "/keepalive"; got.str("keepalive_url") != want {
			t.Errorf("keepalive_url %s, want %s", got.str("keepalive_url"), want)
		}
		if !strings.Contains(got.text, `"password":"`+secret+`"`) || !strings.Contains(got.text, `"port":22`) {
			t.Errorf("no connection: %s", got.text)
		}
		expire, deadline := parseTime(t, got.str("expire_time")), parseTime(t, got.str("deadline_time"))
		if created := parseTime(t, got.str("create_time")); expire.Sub(created) != ttl || deadline.Sub(created) != maxHold {
			t.Errorf("times: %s", got.text)
		}
	})
}

func parseTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil || at.Location() != time.UTC {
		t.Fatalf("time %q is not RFC 3339 in UTC: %v", s, err)
	}
	return at
}

func TestAllocateWhatIsAskedFor(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		for body, want := range map[string]string{
			`{"selector":"arch=amd64"}`:                  "nuc-01",
			`{"name":"rpi4-02"}`:                         "rpi4-02",
			`{"pool":"phones"}`:                          "pixel-01",
			`{"selector":"model in (rpi4),arch!=amd64"}`: "rpi4-01",
		} {
			got := l.allocate(body).want(201)
			if got.device() != want {
				t.Errorf("%s: got %s, want %s", body, got.device(), want)
			}
			l.release(got).want(204)
		}
		got := l.allocate(`{"ttl_seconds":9,"max_hold_seconds":600,"holder":"alice","purpose":"a test","link":"https://ci.example/1"}`).want(201)
		if got.num("ttl_seconds") != 9 || got.num("keepalive_interval_seconds") != 3 || got.str("holder") != "alice" ||
			got.str("purpose") != "a test" || got.str("link") != "https://ci.example/1" {
			t.Errorf("lease: %s", got.text)
		}
	})
}

func TestLeastRecentlyUsedFirst(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		var order []string
		for range 6 {
			got := l.allocate("").want(201)
			order = append(order, got.device())
			l.redis.Advance(time.Second)
			l.release(got).want(204)
			l.redis.Advance(time.Second)
		}
		if !slices.Equal(order[:3], order[3:]) || len(slices.Compact(slices.Sorted(slices.Values(order)))) != 3 {
			t.Errorf("devices in turn: %v", order)
		}
	})
}

func TestNoneFree(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		l.allocate(`{"name":"rpi4-01"}`).want(201)
		l.do("PATCH", l.allocator+"/v1/devices/rpi4-02", `{"maintenance":true}`).want(200)
		l.redis.Advance(10 * time.Second)
		got := l.allocate(`{"selector":"model=rpi4"}`).want(429, lease.CodeNoneFree)
		if got.header.Get("Retry-After") != "20" || got.num("retry_after_seconds") != 20 {
			t.Errorf("Retry-After %q: %s", got.header.Get("Retry-After"), got.text)
		}
		a, _ := got.body["availability"].(map[string]any)
		if a["matching_devices"] != 2.0 || a["leased_devices"] != 1.0 || a["maintenance_devices"] != 1.0 {
			t.Errorf("availability: %v", a)
		}
		if end, _ := a["next_end_seconds"].(float64); end != 51 && end != 52 {
			t.Errorf("the lease ends in %v s, want TTL + grace - 10 s", end)
		}
		l.allocate(`{"selector":"model=nuc"}`).want(201)
	})
}

func TestNoMatchNamesThePart(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		for body, want := range map[string]string{
			`{"pool":"attic"}`:                             "default, phones",
			`{"name":"rpi9-01"}`:                           "rpi9-01",
			`{"name":"pixel-01"}`:                          "pixel-01",
			`{"selector":"model=rpi9"}`:                    `model is one of nuc, rpi4`,
			`{"selector":"gpu"}`:                           `the labels are arch, model`,
			`{"selector":"model=nuc,arch=arm64"}`:          "at once",
			`{"name":"nuc-01","selector":"arch=arm64"}`:    "arch is one of amd64",
			`{"selector":"arch=arm64,model notin (rpi4)"}`: "at once",
		} {
			got := l.allocate(body).want(422, lease.CodeNoMatch)
			if !strings.Contains(got.str("detail"), want) {
				t.Errorf("%s: detail %q does not say %q", body, got.str("detail"), want)
			}
		}
	})
}

func TestRepeatedRequestIsTheSameLease(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		token := "Lease-Token: " + strings.Repeat("a1B2", 8)
		first := l.allocate(`{"selector":"model=rpi4"}`, token).want(201)
		again := l.allocate(`{"selector":" model == rpi4 "}`, token).want(200)
		if again.str("id") != first.str("id") || again.device() != first.device() || again.num("fence") != first.num("fence") ||
			!strings.Contains(again.text, secret) {
			t.Errorf("first %s\nagain %s", first.text, again.text)
		}
		l.allocate(`{"selector":"model=rpi4","ttl_seconds":30}`, token).want(422, lease.CodeInvalid)
		l.allocate("", token).want(422, lease.CodeInvalid)
		l.release(first).want(204)
		got := l.allocate(`{"selector":"model=rpi4"}`, token).want(410, lease.CodeEnded)
		if got.str("ended_reason") != "released" {
			t.Errorf("reason: %s", got.text)
		}
	})
}

func TestKeepalive(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		granted := l.allocate(`{"max_hold_seconds":90}`).want(201)
		l.redis.Advance(50 * time.Second)
		kept := l.keepAlive(granted).want(200)
		if left := kept.num("remaining_seconds"); left < 38 || left > 40 { // not 60: the deadline is nearer
			t.Errorf("remaining %v s: %s", left, kept.text)
		}
		if kept.str("expire_time") != kept.str("deadline_time") {
			t.Errorf("past the deadline: %s", kept.text)
		}
		l.redis.Advance(41 * time.Second)
		got := l.keepAlive(granted).want(410, lease.CodeEnded)
		if got.str("ended_reason") != "deadline" {
			t.Errorf("reason: %s", got.text)
		}
		other := lease.NewToken()
		l.do("POST", granted.str("keepalive_url"), "", "Lease-Token: "+string(other)).want(403, lease.CodeForbidden)
		l.do("POST", granted.str("keepalive_url"), "").want(403, lease.CodeForbidden)
		unknown := other.ID("default").String()
		l.do("POST", l.keepalive+"/v1/leases/"+unknown+"/keepalive", "", "Lease-Token: "+string(other)).want(404, lease.CodeNotFound)
	})
}

func TestWrongTokenDoesNotAskRedis(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		granted := l.allocate("").want(201)
		if err := l.redis.Client.Close(); err != nil {
			t.Fatal(err)
		}
		wrong := "Lease-Token: " + string(lease.NewToken())
		l.do("POST", granted.str("keepalive_url"), "", wrong).want(403)
		l.do("DELETE", l.allocator+"/v1/leases/"+granted.str("id"), "", wrong).want(403)
		l.do("GET", l.allocator+"/v1/leases/"+granted.str("id"), "", wrong).want(403)
	})
}

func TestSilentHolderLosesTheDevice(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		granted := l.allocate(`{"name":"nuc-01"}`).want(201)
		l.redis.Advance(ttl + grace - 500*time.Millisecond)
		l.allocate(`{"name":"nuc-01"}`).want(429)
		l.redis.Advance(501 * time.Millisecond)
		if got := l.do("GET", l.allocator+"/v1/leases/"+granted.str("id"), "").want(200); got.str("state") != "expired" {
			t.Errorf("state: %s", got.text)
		}
		next := l.allocate(`{"name":"nuc-01"}`).want(201)
		if next.num("fence") <= granted.num("fence") {
			t.Errorf("fence %v after %v", next.num("fence"), granted.num("fence"))
		}
		got := l.keepAlive(granted).want(410, lease.CodeEnded)
		if got.str("ended_reason") != "expired" || got.str("ended_time") == "" {
			t.Errorf("problem: %s", got.text)
		}
		l.release(granted).want(410, lease.CodeEnded)
		l.keepAlive(next).want(200)
	})
}

func TestRelease(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		granted := l.allocate(`{"name":"nuc-01"}`).want(201)
		l.do("DELETE", l.allocator+"/v1/leases/"+granted.str("id"), "").want(403, lease.CodeForbidden)
		l.release(granted).want(204)
		l.release(granted).want(204)
		l.allocate(`{"name":"nuc-01"}`).want(201)
		if got := l.keepAlive(granted).want(410); got.str("ended_reason") != "released" {
			t.Errorf("reason: %s", got.text)
		}
		l.redis.Advance(time.Hour + time.Minute)
		l.release(granted).want(404, lease.CodeNotFound)
	})
}

func TestOnlyTheHolderSeesTheConnection(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		granted := l.allocate(`{"holder":"alice"}`).want(201)
		one := l.allocator + "/v1/leases/" + granted.str("id")
		token := granted.str("token")
		if got := l.do("GET", one, "", "Lease-Token: "+token).want(200); !strings.Contains(got.text, secret) || strings.Contains(got.text, token) {
			t.Errorf("to the holder: %s", got.text)
		}
		for _, url := range []string{
			one, l.allocator + "/v1/leases", l.allocator + "/v1/devices", l.allocator + "/v1/devices/" + granted.device(),
			l.allocator + "/metrics", l.keepalive + "/metrics", l.allocator + "/openapi.json", l.allocator + "/readyz",
		} {
			l.wantNoSecret(url, l.do("GET", url, "").want(200).text, token)
		}
		l.keepAlive(granted).want(200)
		l.do("GET", one, "", "Lease-Token: "+token[1:]).want(403)
		l.do("POST", l.allocator+"/v1/leases", `{"x`+token+`":1}`, "Lease-Token: "+token).want(422)
		l.wantNoSecret("log", l.log.String(), token)
		keys, err := l.redis.Client.Keys(t.Context(), "*").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			l.wantNoSecret(key, key+l.dump(key), token)
		}
	})
}

func (l *lab) wantNoSecret(where, text, token string) {
	l.t.Helper()
	for _, s := range []string{secret, token, "192.0.2.1"} {
		if strings.Contains(text, s) {
			l.t.Errorf("%s shows %s: %s", where, s, text)
		}
	}
}

// dump is everything under a key.
func (l *lab) dump(key string) string {
	ctx, c := l.t.Context(), l.redis.Client
	kind := c.Type(ctx, key).Val()
	switch kind {
	case "hash":
		return fmt.Sprint(c.HGetAll(ctx, key).Val())
	case "zset":
		return fmt.Sprint(c.ZRangeWithScores(ctx, key, 0, -1).Val())
	case "set":
		return fmt.Sprint(c.SMembers(ctx, key).Val())
	case "stream":
		return fmt.Sprint(c.XRange(ctx, key, "-", "+").Val())
	}
	return c.Get(ctx, key).Val()
}

func TestListLeases(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		pi := l.allocate(`{"name":"rpi4-01","ttl_seconds":30}`).want(201)
		nuc := l.allocate(`{"name":"nuc-01"}`).want(201)
		phone := l.allocate(`{"pool":"phones"}`).want(201)
		gone := l.allocate(`{"name":"rpi4-02"}`).want(201)
		l.release(gone).want(204)
		for query, want := range map[string][]*answer{
			"":                                     {pi, nuc, phone},
			"?pool=phones":                         {phone},
			"?selector=arch=arm64":                 {pi},
			"?state=released":                      {gone},
			"?state=expired":                       {},
			"?state=released&selector=model%3Dnuc": {},
		} {
			got := l.do("GET", l.allocator+"/v1/leases"+query, "").want(200).names("leases", "id")
			if want := ids(want); !slices.Equal(got, want) {
				t.Errorf("%q: got %v, want %v", query, got, want)
			}
		}
		l.redis.Advance(40 * time.Second)
		if got := l.do("GET", l.allocator+"/v1/leases", "").want(200).names("leases", "id"); !slices.Equal(got, ids([]*answer{nuc, phone})) {
			t.Errorf("one has expired: %v", got)
		}
	})
}

func ids(answers []*answer) []string {
	all := []string{}
	for _, a := range answers {
		all = append(all, a.str("id"))
	}
	return all
}

func TestPages(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		for _, name := range []string{"rpi4-01", "rpi4-02", "nuc-01"} {
			l.allocate(`{"name":"` + name + `"}`).want(201)
		}
		l.allocate(`{"pool":"phones"}`).want(201)
		for list, field := range map[string]string{"leases": "id", "devices": "name"} {
			whole := l.do("GET", l.allocator+"/v1/"+list, "").want(200)
			if whole.body["next_page_token"] != nil {
				t.Errorf("a last page with a token: %s", whole.text)
			}
			var paged []string
			token := ""
			for range 10 {
				page := l.do("GET", l.allocator+"/v1/"+list+"?page_size=1&page_token="+token, "").want(200)
				paged = append(paged, page.names(list, field)...)
				if token = page.str("next_page_token"); token == "" {
					break
				}
			}
			if want := whole.names(list, field); !slices.Equal(paged, want) || len(want) != 4 {
				t.Errorf("%s in pages: %v, want %v", list, paged, want)
			}
		}
	})
}

func TestInventoryOfAnotherReplicaIsNewer(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		old := l.current()
		l.redis.Advance(time.Second)
		l.setInventory(lease.NewInventory([]lease.Pool{{Name: "phones", TTL: ttl, MaxHold: maxHold, Devices: []lease.Device{
			{Name: "pixel-00", Labels: map[string]string{"model": "pixel"}}, *old.Device("pixel-01"),
		}}}))
		l.reconcile()
		l.setInventory(old)
		l.redis.Advance(time.Second)
		token := "Lease-Token: " + string(lease.NewToken())
		l.allocate(`{"pool":"phones"}`, token).want(201)
		got := l.allocate(`{"pool":"phones"}`).want(503, lease.CodeUnavailable)
		if got.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
		}
		devices, err := l.store.Devices(t.Context(), "phones", []string{"pixel-00"})
		if err != nil || devices[0].State != lease.DeviceFree {
			t.Errorf("the device was not given back: %+v, %v", devices, err)
		}
	})
}

func TestStatusOfEveryCode(t *testing.T) {
	t.Parallel()
	for _, code := range lease.Codes() {
		if http.StatusText(api.Status(code)) == "" {
			t.Errorf("code %s has no HTTP status", code)
		}
	}
}
