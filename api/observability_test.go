package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/automation-infra/automation-infra/api"
	"github.com/automation-infra/automation-infra/lease"
)

func TestAccessLog(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		granted := l.allocate("", "X-Request-Id: job-17").want(201)
		l.keepAlive(granted).want(200)
		l.do("GET", l.allocator+"/livez", "").want(200)
		lines := map[string]map[string]any{}
		for line := range strings.Lines(l.log.String()) {
			var entry map[string]any
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatalf("log line %q: %v", line, err)
			}
			route, _ := entry["route"].(string)
			lines[route] = entry
		}
		if e := lines["/v1/leases"]; e["request_id"] != "job-17" || e["status"] != 201.0 || e["method"] != "POST" ||
			e["duration_ms"] == nil || e["lease_id"] != granted.str("id") {
			t.Errorf("access line: %v", e)
		}
		if e := lines["/v1/leases/:id/keepalive"]; e["lease_id"] != granted.str("id") || e["request_id"] == "" {
			t.Errorf("access line: %v", e)
		}
		if e := lines["/livez"]; e["level"] != "DEBUG" {
			t.Errorf("a probe is in the log: %v", e)
		}
	})
}

func TestRequestIDs(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		made := l.do("GET", l.allocator+"/livez", "", "X-Request-Id: a b\"c").header.Get("X-Request-Id")
		if len(made) < 20 || strings.ContainsAny(made, " \"") {
			t.Errorf("request id %q", made)
		}
	})
}

func TestMetrics(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		granted := l.allocate(`{"name":"nuc-01"}`).want(201)
		l.allocate(`{"name":"nuc-01"}`).want(429)
		l.allocate(`{"pool":"made-up"}`).want(422)
		l.do("PATCH", l.allocator+"/v1/devices/rpi4-02", `{"maintenance":true}`).want(200)
		l.keepAlive(granted).want(200)
		l.do("POST", granted.str("keepalive_url"), "", "Lease-Token: "+string(lease.NewToken())).want(403)
		l.do("GET", l.allocator+"/no/such/path", "").want(404)
		allocator, keepalive := l.do("GET", l.allocator+"/metrics", "").text, l.do("GET", l.keepalive+"/metrics", "").text
		for line, where := range map[string]string{
			`lease_devices{pool="default",state="free"} 1`:        allocator,
			`lease_devices{pool="default",state="leased"} 1`:      allocator,
			`lease_devices{pool="default",state="maintenance"} 1`: allocator,
			`lease_devices{pool="phones",state="free"} 1`:         allocator,
			`lease_store_up 1`:                                                                allocator,
			`lease_grants_total{pool="default"} 1`:                                            allocator,
			`lease_denied_total{code="none_free",pool="default"} 1`:                           allocator,
			`lease_denied_total{code="no_match",pool="unknown"} 1`:                            allocator,
			`lease_http_request_duration_seconds_count{method="GET",route="",status="404"} 1`: allocator,
			`lease_waiting_requests 0`:                                                        allocator,
			`lease_keepalives_total{result="ok"} 1`:                                           keepalive,
			`lease_keepalives_total{result="forbidden"} 1`:                                    keepalive,
		} {
			if !slices.Contains(strings.Split(where, "\n"), line) {
				t.Errorf("no metric %s in\n%s", line, leaseMetrics(where))
			}
		}
	})
}

// TestWaitingIsNotSlow: the duration of a request that may wait says nothing of the service.
func TestWaitingIsNotSlow(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		pending := l.wait("0s", "").want(201)
		l.poll(pending, "?wait=1s").want(200)
		l.wait("soon", "").want(422)
		metrics := l.do("GET", l.allocator+"/metrics", "").text
		for _, series := range []string{`method="POST",route="/v1/leases",status="201"`, `method="GET",route="/v1/leases/:id",status="200"`} {
			if strings.Contains(metrics, series) {
				t.Errorf("%s is measured:\n%s", series, leaseMetrics(metrics))
			}
		}
		if !strings.Contains(metrics, `method="POST",route="/v1/leases",status="422"`) || strings.Count(l.log.String(), `"route":"/v1/leases`) != 3 {
			t.Errorf("metrics:\n%s\nlog:\n%s", leaseMetrics(metrics), l.log)
		}
	})
}

func leaseMetrics(text string) string {
	var all []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "lease_") && !strings.Contains(line, "_bucket") {
			all = append(all, line)
		}
	}
	return strings.Join(all, "")
}

func TestDevices(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		granted := l.allocate(`{"name":"rpi4-01","holder":"alice"}`).want(201)
		for query, want := range map[string][]string{
			"":                              {"nuc-01", "rpi4-01", "rpi4-02", "pixel-01"},
			"?pool=phones":                  {"pixel-01"},
			"?state=leased":                 {"rpi4-01"},
			"?state=free&selector=arch":     {"nuc-01", "rpi4-02"},
			"?selector=model!=rpi4,arch":    {"nuc-01"},
			"?selector=model=none-of-these": {},
		} {
			if got := l.do("GET", l.allocator+"/v1/devices"+query, "").want(200).names("devices", "name"); !slices.Equal(got, want) {
				t.Errorf("%q: got %v, want %v", query, got, want)
			}
		}
		got := l.do("GET", l.allocator+"/v1/devices/rpi4-01", "").want(200)
		if got.str("state") != "leased" || got.str("lease_id") != granted.str("id") || got.str("holder") != "alice" ||
			got.str("since_time") != granted.str("create_time") || got.num("grants") != 1 {
			t.Errorf("device: %s", got.text)
		}
	})
}

func TestMaintenance(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		granted := l.allocate(`{"name":"nuc-01"}`).want(201)
		url := l.allocator + "/v1/devices/nuc-01"
		got := l.do("PATCH", url, `{"maintenance":true,"note":"fan broken"}`).want(200)
		if got.str("state") != "leased" || got.body["maintenance"] != true || got.str("note") != "fan broken" {
			t.Errorf("while leased: %s", got.text)
		}
		l.keepAlive(granted).want(200)
		l.release(granted).want(204)
		if got := l.do("GET", url, "").want(200); got.str("state") != "maintenance" || got.str("since_time") == "" {
			t.Errorf("after the lease: %s", got.text)
		}
		l.allocate(`{"name":"nuc-01"}`).want(429, lease.CodeNoneFree)
		got = l.do("PATCH", url, `{"maintenance":false,"note":""}`).want(200)
		if got.str("state") != "free" || got.body["note"] != nil {
			t.Errorf("back: %s", got.text)
		}
		l.allocate(`{"name":"nuc-01"}`).want(201)
	})
}

// TestDocumentationNamesWhatThereIs: what struct tags repeat of the domain is what the domain says.
func TestDocumentationNamesWhatThereIs(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		spec := l.do("GET", l.allocator+"/openapi.json", "").want(200).body
		for path, want := range map[string]any{
			"Problem/code/enum":                     named(lease.Codes()),
			"Problem/ended_reason/enum":             named(lease.Reasons()),
			"LeaseBody/state/enum":                  named(lease.States()),
			"LeaseBody/ended_reason/enum":           named(lease.Reasons()),
			"DeviceBody/state/enum":                 named(lease.DeviceStates()),
			"LeaseRequest/pool/pattern":             lease.NamePattern,
			"LeaseRequest/name/pattern":             lease.NamePattern,
			"LeaseRequest/selector/maxLength":       float64(lease.MaxSelectorLength),
			"LeaseRequest/ttl_seconds/minimum":      lease.MinTTL.Seconds(),
			"LeaseRequest/max_hold_seconds/minimum": lease.MinTTL.Seconds(),
			"LeaseRequest/priority/maximum":         float64(lease.MaxPriority),
			"LeaseRequest/devices/maxItems":         float64(lease.MaxDevices),
			"DemandBody/count/maximum":              float64(lease.MaxDevices),
			"DemandBody/selector/maxLength":         float64(lease.MaxSelectorLength),
			"DemandBody/name/pattern":               lease.NamePattern,
			"DemandBody/as/pattern":                 lease.AsPattern,
		} {
			schema, field, _ := strings.Cut(path, "/")
			if got := at(spec, "components/schemas/"+schema+"/properties/"+field); !reflect.DeepEqual(got, want) {
				t.Errorf("%s is %v, want %v", path, got, want)
			}
		}
	})
}

// at finds a value in nested objects.
func at(v any, path string) any {
	for name := range strings.SplitSeq(path, "/") {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

// named are values as JSON has them.
func named[T ~string](values []T) []any {
	all := make([]any, len(values))
	for i, v := range values {
		all[i] = string(v)
	}
	return all
}

// TestDocumentationForMany at once, with the race detector looking on.
func TestDocumentationForMany(t *testing.T) {
	eachLab(t, func(_ *testing.T, l *lab) {
		var readers sync.WaitGroup
		for range 8 {
			readers.Go(func() { l.do("GET", l.allocator+"/openapi.json", "") })
		}
		readers.Wait()
	})
}

func TestDocumentation(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		for base, paths := range map[string][]string{
			l.allocator: {"/v1/leases", "/v1/leases/{id}", "/v1/queues/{pool}", "/v1/devices", "/v1/devices/{name}"},
			l.keepalive: {"/v1/leases/{id}/keepalive"},
		} {
			spec := l.do("GET", base+"/openapi.json", "").want(200)
			documented, _ := spec.body["paths"].(map[string]any)
			for _, path := range paths {
				if documented[path] == nil {
					t.Errorf("%s is not in the OpenAPI document", path)
				}
			}
			if len(documented) != len(paths) || strings.Contains(spec.text, "ErrorModel") || !strings.Contains(spec.text, "problem+json") {
				t.Errorf("OpenAPI document: %s", spec.text)
			}
			page := l.do("GET", base+"/docs", "").want(200)
			if !strings.Contains(page.text, "/openapi.json") || strings.Contains(page.text, `="http`) {
				t.Errorf("documentation page: %s", page.text)
			}
			l.do("GET", base+"/docs/swagger-ui-bundle.js", "").want(200)
		}
	})
}

// TestDocumentationOfAnswers: each status with which a lease may be answered.
func TestDocumentationOfAnswers(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		spec := l.do("GET", l.allocator+"/openapi.json", "").want(200).body
		for path, want := range map[string]string{
			"/v1/leases post 200": "holds already", "/v1/leases post 201": "Created", "/v1/leases post 202": "pending",
			"/v1/leases/{id} get 200": "OK", "/v1/leases/{id} get 202": "pending",
		} {
			words := strings.Fields(path)
			paths, _ := spec["paths"].(map[string]any)
			response := at(paths[words[0]], words[1]+"/responses/"+words[2])
			description, _ := at(response, "description").(string)
			content, _ := at(response, "content").(map[string]any)
			if !strings.Contains(description, want) || at(content["application/json"], "schema/$ref") != "#/components/schemas/LeaseBody" {
				t.Errorf("%s: %v", path, response)
			}
		}
	})
}

func TestServerRefusesHugeHeaders(t *testing.T) {
	t.Parallel()
	base, stop := serve(t, http.NotFoundHandler(), api.NewHealth())
	defer stop()
	req, err := http.NewRequestWithContext(t.Context(), "GET", base, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Large", strings.Repeat("x", 32<<10))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d, %v", resp.StatusCode, err)
	}
}
