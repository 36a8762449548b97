package api_test

import (
	"bytes"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/automation-infra/automation-infra/api"
	"github.com/automation-infra/automation-infra/lease"
	"github.com/automation-infra/automation-infra/store"
	"github.com/automation-infra/automation-infra/store/storetest"
)

func TestBadBodies(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		long := strings.Repeat("x", 3000)
		for _, c := range []struct {
			name, body string
			status     int
			field, say string
		}{
			{"malformed", `{"pool":`, 400, "body", "one JSON object"},
			{"no object", `[1]`, 422, "body", "object"},
			{"null", `null`, 422, "body", "object"},
			{"duplicate names", `{"pool":"default","pool":"phones"}`, 400, "body", "duplicate"},
			{"duplicate names but for case", `{"pool":"default","Pool":"phones"}`, 422, "body", "Pool"},
			{"something behind it", `{} {}`, 400, "body", "at byte 3"},
			{"invalid UTF-8", "{\"holder\":\"\xff\"}", 400, "body", "UTF-8"},
			{"unknown field", `{"modle":"rpi4"}`, 422, "modle", "devices, holder, link, max_hold_seconds, name, pool, priority, purpose, selector, ttl_seconds"},
			{"wrong case", `{"Pool":"phones"}`, 422, "body", "holder, link, max_hold_seconds"},
			{"a number for a string", `{"pool":1}`, 422, "pool", "string"},
			{"a string for a number", `{"ttl_seconds":"60"}`, 422, "ttl_seconds", "integer"},
			{"a fraction", `{"ttl_seconds":3.5}`, 422, "ttl_seconds", "integer"},
			{"negative", `{"ttl_seconds":-1}`, 422, "ttl_seconds", ">= 3"},
			{"zero", `{"ttl_seconds":0}`, 422, "ttl_seconds", ">= 3"},
			{"absurd", `{"ttl_seconds":9223372036854775807}`, 422, "ttl_seconds", "3 to 3600 seconds"},
			{"beyond an integer", `{"ttl_seconds":1e300}`, 422, "body", "ttl_seconds"},
			{"beyond a number", `{"ttl_seconds":1e999}`, 400, "body", ""},
			{"longer than the hold", `{"ttl_seconds":60,"max_hold_seconds":30}`, 422, "ttl_seconds", "3 to 30 seconds"},
			{"longer than the pool allows", `{"max_hold_seconds":3601}`, 422, "max_hold_seconds", "3 to 3600 seconds"},
			{"bad pool", `{"pool":"a b"}`, 422, "pool", "pattern"},
			{"pool of braces", `{"pool":"{x}"}`, 422, "pool", "pattern"},
			{"bad name", `{"name":"../etc"}`, 422, "name", "pattern"},
			{"bad selector", `{"selector":"=rpi4"}`, 422, "selector", ""},
			{"broken selector", `{"selector":"model in (rpi4"}`, 422, "selector", "model in (rpi4,rpi5)"},
			{"long selector", `{"selector":"` + long + `"}`, 422, "selector", "<= 1024"},
			{"long holder", `{"holder":"` + long + `"}`, 422, "holder", "<= 128"},
			{"control characters", `{"holder":"a\nb"}`, 422, "holder", "pattern"},
			{"script for a link", `{"link":"javascript:alert(1)"}`, 422, "link", "https?"},
			{"priority too low", `{"priority":-1}`, 422, "priority", ">= 0"},
			{"priority too high", `{"priority":10}`, 422, "priority", "<= 9"},
			{"no devices", `{"devices":[]}`, 422, "devices", ">= 1"},
			{"a device of null", `{"devices":[null]}`, 422, "devices[0]", "object"},
			{"too many demands", `{"devices":[` + strings.Repeat("{},", 32) + `{}]}`, 422, "devices", "<= 32"},
			{"too many devices", `{"devices":[{"count":20},{"count":20}]}`, 422, "devices[1].count", "1 to 32 devices"},
			{"devices and a selector", `{"devices":[{}],"selector":"gpu"}`, 422, "devices", "selector and name for one"},
			{"devices and a name", `{"devices":[{}],"name":"nuc-01"}`, 422, "devices", "selector and name for one"},
			{"no device", `{"devices":[{"count":0}]}`, 422, "devices[0].count", ">= 1"},
			{"far too many devices", `{"devices":[{},{"count":33}]}`, 422, "devices[1].count", "<= 32"},
			{"bad as", `{"devices":[{"as":"MY-PI"}]}`, 422, "devices[0].as", "pattern"},
			{"bad name in a list", `{"devices":[{},{"name":"../etc"}]}`, 422, "devices[1].name", "pattern"},
			{"unknown field in a list", `{"devices":[{"modle":"rpi4"}]}`, 422, "devices[0].modle", "allowed: as, count, name, selector"},
			{"broken selector in a list", `{"devices":[{"selector":"model in (rpi4"}]}`, 422, "devices[0].selector", "model in (rpi4,rpi5)"},
			{"broken selector in a longer list", `{"devices":[{},{"selector":"model in (rpi4"}]}`, 422, "devices[1].selector", "model in (rpi4,rpi5)"},
			{"two of one device", `{"devices":[{"name":"nuc-01","count":2}]}`, 422, "devices[0].name", "ask for it once"},
			{"one device twice", `{"devices":[{"name":"nuc-01"},{"name":"nuc-01"}]}`, 422, "devices[1].name", "ask for it once"},
			{"two mistakes", `{"ttl_seconds":1,"nmae":"x"}`, 422, "nmae", "ttl_seconds: expected number >= 3"},
			{"too large", `{"holder":"` + strings.Repeat("x", api.MaxBodyBytes) + `"}`, 413, "", "65536 bytes"},
		} {
			got := l.allocate(c.body)
			got.want(c.status, lease.CodeInvalid)
			if c.field != "" && (len(got.names("errors", "field")) == 0 || got.names("errors", "field")[0] != c.field) {
				t.Errorf("%s: does not name %s: %s", c.name, c.field, got.text)
			}
			if !strings.Contains(got.str("detail"), c.say) {
				t.Errorf("%s: detail %q does not say %q", c.name, got.str("detail"), c.say)
			}
		}
		if got := l.do("GET", l.allocator+"/v1/leases", "").want(200).names("leases", "id"); len(got) != 0 {
			t.Errorf("bad requests made leases: %v", got)
		}
	})
}

func TestBadRequests(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		id := lease.NewToken().ID("default").String()
		short := "Lease-Token: short"
		for _, c := range []struct {
			method, path, body, header string
			status                     int
			say                        string
		}{
			{"POST", "/v1/leases", "", short, 422, "22 to 128"},
			{"POST", "/v1/leases", "", "Lease-Token: " + strings.Repeat("ü", 30), 422, "22 to 128"},
			{"POST", "/v1/leases", "{}", "Content-Type: text/plain", 415, "text/plain"},
			{"POST", "/v1/leases?wiat=30s", "", "", 422, "wiat: unknown query parameter; allowed: wait"},
			{"POST", "/v1/leases?wait=30", "", "", 422, "wait: a wait is a duration of 0s to 10m"},
			{"POST", "/v1/leases?wait=-1s", "", "", 422, "0s to 10m"},
			{"POST", "/v1/leases?wait=601s", "", "", 422, "0s to 10m"},
			{"POST", "/v1/leases?wait=", "", "", 422, "0s to 10m"},
			{"POST", "/v1/leases?wait=soon", `{"priority":10}`, "", 422, "priority: expected number <= 9; wait: a wait"},
			{"GET", "/v1/leases/" + id + "?wait=soon", "", "", 422, "wait: a wait is a duration of 0s to 10m"},
			{"GET", "/v1/leases/" + id + "?wait=0s", "", "", 403, "send the lease's token"},
			{"GET", "/v1/leases?wait=1s", "", "", 422, "unknown query parameter"},
			{"GET", "/v1/queues/attic", "", "", 404, "default, phones"},
			{"GET", "/v1/queues/default?page_token=x", "", "", 422, "next_page_token"},
			{"GET", "/v1/queues/default?page_size=0", "", "", 422, ">= 1"},
			{"GET", "/v1/leases?state=lost", "", "", 422, "pending, active, released, expired, revoked, abandoned"},
			{"GET", "/v1/leases?pool=attic", "", "", 422, "default, phones"},
			{"GET", "/v1/leases?selector=%3D", "", "", 422, "selector"},
			{"GET", "/v1/leases?page_size=0", "", "", 422, ">= 1"},
			{"GET", "/v1/leases?page_size=many", "", "", 422, "integer"},
			{"GET", "/v1/leases?page_token=%00", "", "", 422, "next_page_token"},
			{"GET", "/v1/leases?page_token=ZGVmYXVsdAp4", "", "", 422, "next_page_token"},
			{"GET", "/v1/devices?stat=free", "", "", 422, "allowed: page_size, page_token, pool, selector, state"},
			{"GET", "/v1/leases/nonsense", "", "", 422, "<pool>-<26 characters"},
			{"GET", "/v1/leases/" + id, "", "", 404, "no such lease"},
			{"GET", "/v1/leases/" + id, "", short, 422, "22 to 128"},
			{"DELETE", "/v1/leases/" + id, "", short, 422, "22 to 128"},
			{"GET", "/v1/devices/nothing", "", "", 404, "/v1/devices"},
			{"PATCH", "/v1/devices/nuc-01", "", "", 400, "body is required"},
			{"PATCH", "/v1/devices/nuc-01", "{}", "", 422, "maintenance, note or both"},
			{"PATCH", "/v1/devices/nuc-01", `{"maintenance":"yes"}`, "", 422, "boolean"},
			{"PUT", "/v1/leases", "", "", 405, "POST"},
			{"BREW", "/v1/leases", "", "", 405, "POST"},
			{"GET", "/v2/leases", "", "", 404, "/docs"},
			{"GET", "/v1/leases/" + id + "/keepalive", "", "", 404, ""},
		} {
			headers := []string{}
			if c.header != "" {
				headers = append(headers, c.header)
			}
			got := l.do(c.method, l.allocator+c.path, c.body, headers...).want(c.status)
			if !strings.Contains(got.str("detail"), c.say) {
				t.Errorf("%s %s: detail %q does not say %q", c.method, c.path, got.str("detail"), c.say)
			}
		}
	})
}

func TestWhatClientsSendIsTaken(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		for _, headers := range [][]string{
			{"Content-Type: application/x-www-form-urlencoded"}, // curl -d
			{"Content-Type: application/json; charset=utf-8"},
			{"Accept: a;q,"}, {"Accept: text/html"}, {"Accept: application/x-www-form-urlencoded"},
		} {
			got := l.allocate(`{"name":"nuc-01"}`, headers...).want(201)
			if got.header.Get("Content-Type") != "application/json" {
				t.Errorf("%v: content type %s", headers, got.header.Get("Content-Type"))
			}
			l.release(got).want(204)
		}
		exact := `{"name":"nuc-01"}`
		exact += strings.Repeat(" ", api.MaxBodyBytes-len(exact))
		l.allocate(exact).want(201)
	})
}

// TestBodyThatBreaksOff is no server error, and makes no lease.
func TestBodyThatBreaksOff(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		for _, request := range []string{
			"POST /v1/leases HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
			"POST /v1/leases HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{}",
		} {
			c, err := net.Dial("tcp", strings.TrimPrefix(l.allocator, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write([]byte(request)); err != nil {
				t.Fatal(err)
			}
			if err := c.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			var answer bytes.Buffer
			if _, err := answer.ReadFrom(c); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(answer.String(), "HTTP/1.1 400 ") || !strings.Contains(answer.String(), `"code":"invalid"`) {
				t.Errorf("answer: %s", &answer)
			}
			_ = c.Close()
		}
	})
}

func TestOutageIsNeverAnAbsence(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		granted := l.allocate("").want(201)
		if err := l.redis.Client.Close(); err != nil {
			t.Fatal(err)
		}
		one := l.allocator + "/v1/leases/" + granted.str("id")
		for _, got := range []*answer{
			l.allocate(""), l.keepAlive(granted), l.release(granted), l.do("GET", one, ""),
			l.do("GET", l.allocator+"/v1/leases", ""), l.do("GET", l.allocator+"/v1/devices", ""),
			l.wait("10m", ""), l.poll(granted), l.poll(granted, "?wait=10m"), l.do("GET", l.allocator+"/v1/queues/default", ""),
			l.do("GET", l.allocator+"/v1/devices/nuc-01", ""), l.do("PATCH", l.allocator+"/v1/devices/nuc-01", `{"note":"x"}`),
		} {
			got.want(503, lease.CodeUnavailable)
			if got.header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
			}
		}
		l.allocate(`{"pool":"attic"}`).want(422, lease.CodeNoMatch)
		if got := l.do("GET", l.allocator+"/readyz", ""); got.status != 503 || !strings.Contains(got.text, "does not answer") {
			t.Errorf("readyz: %d %s", got.status, got.text)
		}
		if got := l.do("GET", l.allocator+"/livez", ""); got.status != 200 {
			t.Errorf("livez: %d", got.status)
		}
		if got := l.do("GET", l.allocator+"/metrics", ""); got.status != 200 || !strings.Contains(got.text, "lease_store_up 0") {
			t.Errorf("metrics: %d", got.status)
		}
	})
}

func TestNotReady(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		granted := l.allocate("").want(201)
		l.health.SetNotReady("the moon is full")
		for _, base := range []string{l.allocator, l.keepalive} {
			if got := l.do("GET", base+"/readyz", ""); got.status != 503 || got.str("reason") != "the moon is full" {
				t.Errorf("readyz: %d %s", got.status, got.text)
			}
		}
		l.allocate("").want(503, lease.CodeUnavailable)
		l.keepAlive(granted).want(200) // refusing it would only lose the lease
	})
}

func TestPanicIsAnInternalError(t *testing.T) {
	t.Parallel()
	log := &syncBuffer{}
	s := httptest.NewServer(api.NewKeepalive(api.KeepaliveOptions{
		Options: api.Options{Log: slog.New(api.LogHandler(slog.NewJSONHandler(log, nil))), Registry: prometheus.NewRegistry(), Health: api.NewHealth()},
		Store:   nil, // so that it panics
	}))
	t.Cleanup(s.Close)
	l := &lab{t: t}
	token := lease.NewToken()
	got := l.do("POST", s.URL+"/v1/leases/"+token.ID("default").String()+"/keepalive", "", "Lease-Token: "+string(token), "X-Request-Id: abc-123")
	got.want(500, lease.CodeInternal)
	if strings.Contains(got.text, "nil pointer") || !strings.Contains(log.String(), "nil pointer") ||
		!strings.Contains(log.String(), `"request_id":"abc-123"`) || got.header.Get("X-Request-Id") != "abc-123" {
		t.Errorf("answer %s\nlog %s", got.text, log)
	}
}

// TestClientThatHasGoneIsNoDefect: the answer can't be written.
func TestClientThatHasGoneIsNoDefect(t *testing.T) {
	t.Parallel()
	log := &syncBuffer{}
	h := api.NewAllocator(api.AllocatorOptions{
		Options: api.Options{Log: slog.New(slog.NewJSONHandler(log, nil)), Registry: prometheus.NewRegistry(), Health: ready()},
		Store:   store.New(storetest.Embedded(t).Client, store.Options{}), Inventory: exampleInventory,
	})
	h.ServeHTTP(goneClient{httptest.NewRecorder()}, httptest.NewRequest("GET", "/v1/devices", nil))
	if strings.Contains(log.String(), "internal error") || !strings.Contains(log.String(), `"route":"/v1/devices"`) {
		t.Errorf("log: %s", log)
	}
}

type goneClient struct{ *httptest.ResponseRecorder }

func (goneClient) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func ready() *api.Health {
	h := api.NewHealth()
	h.SetReady()
	return h
}
