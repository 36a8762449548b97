package stack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// imageLimit is how large an image may be, and realAlpine how large alpine:3.22 is: stand-ins for it may be smaller.
const (
	imageLimit = 25_000_000
	realAlpine = 8_400_000
)

func testFiles(t *testing.T) {
	const base, tls, ha = "docker-compose.yml", "docker/docker-compose.tls.yml", "docker/docker-compose.ha.yml"
	for _, files := range [][]string{{base}, {base, tls}, {base, ha}, {base, tls, ha}} {
		for _, profile := range []string{"", "grafana"} {
			s := &stack{files: files, env: []string{"COMPOSE_PROFILES=" + profile}}
			s.compose(t, "config", "-q")
		}
	}
	mounted := func(folder, image, entrypoint string, args ...string) {
		mount := filepath.Join(os.Getenv("TEST_STACK"), "docker", folder) + ":/mounted:ro"
		docker(t, append([]string{"run", "--rm", "-v", mount, "-w", "/mounted", "--entrypoint", entrypoint, image}, args...)...)
	}
	const prometheus = "prom/prometheus:v2.53.3"
	mounted("prometheus", prometheus, "/bin/promtool", "check", "config", "prometheus.yml")
	mounted("prometheus", prometheus, "/bin/promtool", "test", "rules", "alerts_test.yml")
	mounted("haproxy", "haproxy:3.0-alpine", "haproxy", "-c", "-f", "haproxy.cfg")
	testJSONLog(t)
	testRunbooks(t)
	testDashboardShape(t)
}

// testJSONLog has a program say what JSON has to escape.
func testJSONLog(t *testing.T) {
	mount := filepath.Join(os.Getenv("TEST_STACK"), "docker") + ":/mounted:ro"
	const said = `[ALERT] "C:\temp" is {no JSON}`
	out := docker(t, "run", "--rm", "--init", "--tmpfs", "/tmp", "-v", mount, "alpine:3.22", "/bin/sh", "/mounted/jsonlog.sh", "test", "sh", "-c",
		`printf '%s\n{"msg": "as it is"}\n' "$0"; sleep 1`, said)
	var first, second struct{ Service, Msg string }
	lines := json.NewDecoder(strings.NewReader(out))
	if err := errors.Join(lines.Decode(&first), lines.Decode(&second)); err != nil || first.Service != "test" || first.Msg != said || second.Msg != "as it is" {
		t.Errorf("%q: %v", out, err)
	}
}

// testRunbooks checks that each alert has a test and a place in the runbook.
func testRunbooks(t *testing.T) {
	rules, tests, runbook := read(t, "docker/prometheus/alerts.yml"), read(t, "docker/prometheus/alerts_test.yml"), read(t, "docs/operations.md")
	alerts := 0
	for line := range strings.Lines(rules) {
		name, is := strings.CutPrefix(strings.TrimSpace(line), "- alert: ")
		if !is {
			continue
		}
		alerts++
		if !strings.Contains(rules, "docs/operations.md#"+strings.ToLower(name)+"\n") || !strings.Contains(runbook, "\n### "+name+"\n") {
			t.Errorf("%s is not in docs/operations.md", name)
		}
		if !strings.Contains(tests, "alertname: "+name+"\n") || !strings.Contains(tests, "alertname: "+name+", exp_alerts: []") {
			t.Errorf("%s is not tested both ways", name)
		}
	}
	if alerts == 0 {
		t.Error("no alerts")
	}
}

// panel is a panel of the dashboard, as far as we look at it.
type panel struct {
	ID         int    `json:"id"`
	Title      string `json:"title"`
	Type       string `json:"type"`
	Datasource struct {
		UID string `json:"uid"`
	} `json:"datasource"`
	GridPos struct{ H, W, X, Y int } `json:"gridPos"`
	Targets []struct {
		Expr  string `json:"expr"`
		RefID string `json:"refId"`
	} `json:"targets"`
}

func panels(t *testing.T) []panel {
	t.Helper()
	var dashboard struct {
		UID    string  `json:"uid"`
		Title  string  `json:"title"`
		Panels []panel `json:"panels"`
	}
	if err := json.Unmarshal([]byte(read(t, "docker/grafana/dashboards/lab.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	if dashboard.UID == "" || dashboard.Title == "" || len(dashboard.Panels) == 0 {
		t.Fatalf("no dashboard: %+v", dashboard)
	}
	return dashboard.Panels
}

// testDashboardShape checks what Grafana would stumble over: panels that overlap, ids twice, a data source that there is not.
func testDashboardShape(t *testing.T) {
	source := read(t, "docker/grafana/provisioning/datasources/prometheus.yml")
	ids, taken := map[int]bool{}, map[string]string{}
	for _, p := range panels(t) {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s: id %d is no id, or another panel's", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				cell := fmt.Sprint(x, " ", y)
				if x >= 24 || taken[cell] != "" {
					t.Errorf("%s is outside, or over %q", p.Title, taken[cell])
				}
				taken[cell] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource.UID == "" || !strings.Contains(source, "uid: "+p.Datasource.UID+"\n") {
			t.Errorf("%s: data source %q is not provisioned", p.Title, p.Datasource.UID)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if target.Expr == "" || refs[target.RefID] {
				t.Errorf("%s: query %q is empty, or its refId another's", p.Title, target.RefID)
			}
			refs[target.RefID] = true
		}
		if len(refs) == 0 {
			t.Errorf("%s has no query", p.Title)
		}
	}
}

func testImages(t *testing.T) {
	for _, service := range []string{"allocator", "keepalive"} {
		image := "automation-infra/" + service + ":test"
		size, _, _ := strings.Cut(docker(t, "run", "--rm", "--entrypoint", "wc", image, "-c", "/usr/local/bin/"+service), " ")
		binary, err := strconv.Atoi(strings.TrimSpace(size))
		if err != nil {
			t.Fatal(err)
		}
		var of []struct{ Size int }
		inspect(t, &of, image)
		t.Logf("%s: %.1f MB here, %.1f MB over the real alpine", service, float64(of[0].Size)/1e6, float64(binary+realAlpine)/1e6)
		if max(of[0].Size, binary+realAlpine) >= imageLimit {
			t.Errorf("%s has 25 MB or more", image)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(os.Getenv("TEST_STACK"), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
