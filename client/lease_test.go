package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// Nothing shows a token or a connection but Reveal.
func TestSecretsAreNotPrinted(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		got := l.acquire(client.Request{Holder: "alice"})
		var log bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
			slog.New(h).Info("it", "lease", got, "value", *got, "all", []*client.Lease{got}, "device", got.Devices[0])
		}
		printed := fmt.Sprintf("%v %+v %#v %s", got.Devices, got.Devices, got.Devices, got.Devices) + log.String() + text(got) + text(*got) + text(got.Devices) + text([]any{got, got.Devices[0]})
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			printed += fmt.Sprintf(format, got) + fmt.Sprintf(format, *got) + fmt.Sprintf(format, []*client.Lease{got})
		}
		if !strings.Contains(printed, got.ID) || !strings.Contains(printed, "alice") || !strings.Contains(printed, "rack") {
			t.Errorf("printed nothing: %s", printed)
		}
		for _, hidden := range []string{string(got.Token), secret, fmt.Sprintf("%x", string(got.Token)), fmt.Sprintf("%x", secret)} {
			if strings.Contains(printed, hidden) {
				t.Errorf("printed %s", hidden)
			}
		}
		revealed, err := got.Reveal()
		if err != nil || !strings.Contains(string(revealed), `"token":"`+string(got.Token)) || !strings.Contains(string(revealed), secret) {
			t.Errorf("revealed %s, %v", revealed, err)
		}
	})
}

// What the API writes is read and written again as it was.
func TestLeaseJSON(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"active": `{"id":"default-a","token":"T","state":"active","pool":"default","demands":[{"selector":"model=rpi4","count":1,"as":"board"}],
			"devices":[{"name":"rpi4-01","as":"board","labels":{"model":"rpi4"},"attributes":{},"connection":{"host":"192.0.2.1","port":22,"delay":0.5,"tls":true}}],
			"holder":"alice","purpose":"p","link":"http://l","priority":0,"fence":1795408362777104,"ttl_seconds":60,"create_time":"2026-11-23T04:32:42.777Z",
			"grant_time":"2026-11-23T04:32:42.777Z","waited_seconds":3,"expire_time":"2026-11-23T04:33:42.777Z","remaining_seconds":59,
			"deadline_time":"2026-11-23T16:32:42.777Z","keepalive_url":"http://k","keepalive_interval_seconds":20}`,
		"pending": `{"id":"default-a","state":"pending","pool":"default","demands":[{"count":1}],"devices":[],"priority":5,"ttl_seconds":60,
			"create_time":"2026-11-23T04:32:42.777Z","waited_seconds":3,"remaining_seconds":0,"queue":{"place":1,"length":2,"reason":"because",
			"matching_devices":7,"leased_devices":4,"maintenance_devices":2,"free_devices":1,"next_end_time":"2026-11-23T07:29:10.534Z","next_end_seconds":6}}`,
		"ended": `{"id":"default-a","state":"expired","pool":"default","demands":[{"count":1}],"devices":[{"name":"d","labels":{},"attributes":{}}],"priority":5,
			"fence":7,"ttl_seconds":60,"create_time":"2026-11-23T04:32:42.777Z","grant_time":"2026-11-23T04:32:42.777Z","waited_seconds":0,"remaining_seconds":0,
			"deadline_time":"2026-11-23T16:32:42.777Z","ended_time":"2026-11-23T16:32:42.777Z","ended_reason":"deadline"}`,
	} {
		var l client.Lease
		if err := json.Unmarshal([]byte(body), &l); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		written, err := l.Reveal()
		if err != nil {
			t.Fatal(err)
		}
		var want, got any
		if err := errors.Join(json.Unmarshal([]byte(body), &want), json.Unmarshal(written, &got)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s", name, written)
		}
	}
}

func TestDurationsAreBounded(t *testing.T) {
	t.Parallel()
	var l client.Lease
	if err := json.Unmarshal([]byte(`{"ttl_seconds":9223372036854775807}`), &l); err != nil || l.TTL < 290*365*24*time.Hour {
		t.Errorf("%s, %v", l.TTL, err)
	}
}

func TestKeepalive(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		got := l.acquire(client.Request{TTL: 50 * time.Second, MaxHold: 70 * time.Second})
		granted := got.Grant
		pass(10 * time.Second)
		if err := l.Keepalive(t.Context(), got); err != nil || got.Remaining != 50*time.Second || got.Expire.Sub(granted) != time.Minute || got.KeepaliveInterval != 16*time.Second {
			t.Errorf("%s, %v", text(got), err)
		}
		pass(30 * time.Second)
		if err := l.Keepalive(t.Context(), got); err != nil || got.Remaining != 30*time.Second || !got.Expire.Equal(got.Deadline) {
			t.Errorf("near its deadline: %s, %v", text(got), err)
		}
		pass(30 * time.Second)
		var e *lease.Error
		if err := l.Keepalive(t.Context(), got); !errors.Is(err, lease.ErrEnded) || !errors.As(err, &e) || e.Ended.Reason != lease.ReasonDeadline {
			t.Errorf("after it: %v", err)
		}
		if err := l.Release(t.Context(), got); !errors.Is(err, lease.ErrEnded) {
			t.Errorf("release: %v", err)
		}
		if err := l.Keepalive(t.Context(), &client.Lease{ID: got.ID, Token: got.Token}); !errors.Is(err, lease.ErrInvalid) {
			t.Errorf("without a URL: %v", err)
		}
		other := l.acquire(client.Request{})
		other.Token = lease.NewToken()
		for name, err := range map[string]error{"keepalive": l.Keepalive(t.Context(), other), "release": l.Release(t.Context(), other)} {
			if !errors.Is(err, lease.ErrForbidden) {
				t.Errorf("%s with another token: %v", name, err)
			}
		}
	})
}
