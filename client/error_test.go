package client_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/automation-infra/automation-infra/api"
	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// brokenStore fails with an error of the test's.
type brokenStore struct {
	api.Allocator
	err error
}

func (s *brokenStore) Release(context.Context, lease.ID) error { return s.err }

// TestErrors shows each error of the service to be the same on both sides of the wire, but for what only its log has.
func TestErrors(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	s := &brokenStore{}
	health := api.NewHealth()
	health.SetReady()
	service := httptest.NewServer(api.NewAllocator(api.AllocatorOptions{
		Options: api.Options{Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Health: health},
		Store:   s, RetryAfter: 20 * time.Second,
	}))
	t.Cleanup(service.Close)
	c := connect(t, service.URL)
	token := lease.NewToken()
	for _, code := range lease.Codes() {
		told := &lease.Error{Code: code, Message: "because", Field: "count", Cause: errors.New("a secret")}
		retryAfter := time.Duration(0)
		switch code {
		case lease.CodeEnded:
			told = lease.EndedError(lease.ReasonRevoked, at)
		case lease.CodeNoneFree:
			told = lease.NoneFreeError(lease.Availability{Matching: 3, Leased: 2, Maintenance: 1, Free: 1, NextEnd: at, Now: at.Add(-14 * time.Second)})
			retryAfter = 20 * time.Second
		case lease.CodeQuota:
			told.Field, retryAfter = "", 20*time.Second
		case lease.CodeUnavailable, lease.CodeNotReplicated, lease.CodeOverloaded:
			retryAfter = time.Second
		}
		s.err = told
		err := c.Release(t.Context(), &client.Lease{ID: token.ID("default").String(), Token: token})
		var got *lease.Error
		if !errors.Is(err, &lease.Error{Code: code}) || !errors.As(err, &got) || strings.Contains(err.Error(), "a secret") || client.RetryAfter(err) != retryAfter {
			t.Errorf("%s: %v, again in %s", code, err, client.RetryAfter(err))
			continue
		}
		if code == lease.CodeInternal {
			if !strings.Contains(err.Error(), "the log has the cause") || !strings.Contains(err.Error(), "(request ") {
				t.Errorf("%v", err)
			}
			told.Message = got.Message
		}
		want := *told
		want.Cause = nil
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, want %+v", code, *got, want)
		}
	}
}

// connect is a client of a URL that asks once, and keeps no connection.
func connect(t *testing.T, url string) *client.Client {
	t.Helper()
	c, err := client.New(url, client.Options{RetryFor: -1, HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestNoAnswerOfTheService shows that what is no answer of a lease service is never taken for one.
func TestNoAnswerOfTheService(t *testing.T) {
	t.Parallel()
	const page = "<html>\n  <h1>A page</h1>\n</html>"
	for name, c := range map[string]struct {
		status int
		kind   string
		body   string
		want   string
		again  bool   // whether to ask again
		to     string // where a redirect leads
	}{
		"bad gateway":         {502, "text/html", page, `no answer of a lease service, but "502 Bad Gateway", "<html> <h1>A page</h1> </html>"`, true, ""},
		"gateway timeout":     {504, "", "", `"504 Gateway Timeout"`, true, ""},
		"too many requests":   {429, "text/plain", "slow down", `"slow down"`, true, ""},
		"timeout":             {408, "text/plain", "", `"408 Request Timeout"`, true, ""},
		"not found":           {404, "text/html", page, `"404 Not Found"`, false, ""},
		"forbidden":           {403, "text/html", page, `"403 Forbidden"`, false, ""},
		"gone":                {410, "application/json", `{"code":"lease_ended"}`, `"410 Gone"`, false, ""},
		"redirect":            {302, "text/html", "", `"302 Found" to https://elsewhere.example.com/`, false, "https://elsewhere.example.com/"},
		"welcome":             {200, "text/html", page, `"200 OK"`, false, ""},
		"other problem":       {404, "application/problem+json", `{"title":"Not Found"}`, `"404 Not Found"`, false, ""},
		"broken problem":      {410, "application/problem+json", `{"code":"lease_ended"`, `"410 Gone"`, false, ""},
		"another lease":       {200, "application/json", `{"id":"default-zb662lr6zy7dcew6hv44d3senz","state":"active"}`, "not to this request", false, ""},
		"not even a lease":    {200, "application/json", `{}`, "not to this request", false, ""},
		"another type":        {200, "application/json", `{"id":7}`, `"200 OK"`, false, ""},
		"a list":              {200, "application/json", `[]`, `"200 OK"`, false, ""},
		"endless":             {200, "application/json", strings.Repeat(" ", 33<<20), "longer than", false, ""},
		"a long error":        {500, "text/plain", strings.Repeat("é", 1<<20), "é…\"", true, ""},
		"an echo of the head": {500, "text/plain", "You sent Lease-Token: " + echoed, "You sent Lease-Token: [redacted]", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &wire{}
				w.fail(replying(c.status, c.body, "Content-Type: "+c.kind, "Location: "+c.to))
				lab, err := client.New("http://allocator.test", client.Options{RetryFor: -1, HTTP: &http.Client{Transport: w}})
				if err != nil {
					t.Fatal(err)
				}
				_, err = lab.Get(t.Context(), "default-xb662lr6zy7dcew6hv44d3senz", echoed)
				if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 500 || strings.Contains(err.Error(), echoed) {
					t.Errorf("%v", err)
				}
				if errors.Is(err, lease.ErrUnavailable) != c.again {
					t.Errorf("to be asked again: %t", !c.again)
				}
				for _, definite := range []error{lease.ErrEnded, lease.ErrNotFound, lease.ErrForbidden, lease.ErrNoneFree, lease.ErrInvalid} {
					if errors.Is(err, definite) {
						t.Errorf("taken for %v", definite)
					}
				}
				if _, err := lab.Acquire(t.Context(), client.Request{}, client.Waiting{}); err == nil || !strings.Contains(err.Error(), "allocate: ") {
					t.Errorf("allocate: %v", err)
				}
			})
		})
	}
}

const echoed = "NOT-A-REAL-TOKEN-0123456789"

// A reply that breaks off is none.
func TestReplyThatBreaksOff(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"id":`)
	}))
	t.Cleanup(service.Close)
	if _, err := connect(t, service.URL).Device(t.Context(), "nuc-01"); !errors.Is(err, lease.ErrUnavailable) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}

// Ids and names that nobody checked can't make another request of it.
func TestNamesAreEscaped(t *testing.T) {
	t.Parallel()
	var got string
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.RequestURI
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(service.Close)
	if _, err := connect(t, service.URL+"/base/").Get(t.Context(), "../x?wait=1s#y", ""); err == nil || got != "/base/v1/leases/..%2Fx%3Fwait=1s%23y" {
		t.Errorf("%v asked for %s", err, got)
	}
}
