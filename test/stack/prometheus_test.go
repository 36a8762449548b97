package stack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// query asks Prometheus's API.
func (s *stack) query(t *testing.T, path string, into any) error {
	t.Helper()
	a := ask(t, http.MethodGet, s.prometheus+"/api/v1/"+path)
	if a.status != http.StatusOK {
		return fmt.Errorf("%d %s", a.status, a.body)
	}
	return json.Unmarshal([]byte(a.body), into)
}

func (l *lab) testTargets(t *testing.T) {
	want := []string{"allocator", "gateway", "keepalive", "keepalive", "node", "prometheus"}
	eventually(t, "all targets are up", func() error {
		var found struct {
			Data struct {
				ActiveTargets []struct {
					Labels            map[string]string
					Health, LastError string
				}
			}
		}
		if err := l.query(t, "targets?state=active", &found); err != nil {
			return err
		}
		var jobs []string
		for _, target := range found.Data.ActiveTargets {
			if target.Health != "up" {
				return fmt.Errorf("%v is %s: %s", target.Labels, target.Health, target.LastError)
			}
			jobs = append(jobs, target.Labels["job"])
		}
		if slices.Sort(jobs); !slices.Equal(jobs, want) {
			return fmt.Errorf("%v, want %v", jobs, want)
		}
		return nil
	})
	l.testRules(t)
}

// testRules checks that Prometheus evaluates every rule.
func (l *lab) testRules(t *testing.T) {
	eventually(t, "all rules are evaluated", func() error {
		var found struct {
			Data struct {
				Groups []struct {
					Rules []struct{ Name, Health, LastError string }
				}
			}
		}
		if err := l.query(t, "rules", &found); err != nil {
			return err
		}
		alerts := strings.Count(read(t, "docker/prometheus/alerts.yml"), "- alert: ")
		for _, group := range found.Data.Groups {
			for _, rule := range group.Rules {
				if rule.Health != "ok" {
					return fmt.Errorf("%s is %s: %s", rule.Name, rule.Health, rule.LastError)
				}
				alerts--
			}
		}
		if alerts != 0 {
			return fmt.Errorf("%d rules are missing", alerts)
		}
		return nil
	})
}

// testDashboard runs every query of the dashboard on what Prometheus has scraped of the tests before.
func (l *lab) testDashboard(t *testing.T) {
	grafana := strings.NewReplacer("$__rate_interval", "5m", "$pool", ".*")
	queries := 0
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			queries++
			path := "query?query=" + url.QueryEscape(grafana.Replace(target.Expr))
			eventually(t, p.Title+": "+target.Expr, func() error {
				var found struct {
					Data struct {
						Result []struct{ Value [2]any }
					}
				}
				if err := l.query(t, path, &found); err != nil {
					return err
				}
				for _, sample := range found.Data.Result {
					if value := sample.Value[1]; value != "NaN" {
						return nil
					}
				}
				return errors.New("no data")
			})
		}
	}
	t.Logf("%d queries have data", queries)
}
