package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/api"
	"github.com/automation-infra/automation-infra/lease"
)

// renewing answers every keepalive with the same renewal.
type renewing struct {
	api.Renewer
	lease.Renewal
}

func (r renewing) Keepalive(context.Context, lease.ID) (lease.Renewal, error) { return r.Renewal, nil }

// The body of a keepalive is put together by hand: it is to be, to the byte, what encoding/json makes of it.
func TestKeepaliveBodyIsWhatEncodingJSONMakesOfIt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	yes, no := true, false
	for _, r := range []lease.Renewal{
		{Now: now, Expire: now.Add(time.Minute), Deadline: now.Add(time.Hour), TTL: time.Minute},
		{Now: now, Expire: now.Add(59_999 * time.Millisecond), Deadline: now.Add(1_500 * time.Millisecond), TTL: 3 * time.Second, Replicated: &yes},
		{Now: now, Expire: now.Add(-time.Millisecond), Deadline: now, TTL: 6 * time.Hour, Replicated: &no},
	} {
		token := lease.NewToken()
		id := token.ID("a-pool")
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/leases/"+id.String()+"/keepalive", http.NoBody)
		request.Header.Set(api.TokenHeader, string(token))
		answer := httptest.NewRecorder()
		api.NewKeepalive(api.KeepaliveOptions{Options: benchOptions(), Store: renewing{Renewal: r}}).ServeHTTP(answer, request)
		want, err := json.Marshal(struct {
			ID         string    `json:"id"`
			Expire     time.Time `json:"expire_time"`
			Remaining  int64     `json:"remaining_seconds"`
			Deadline   time.Time `json:"deadline_time"`
			Interval   int64     `json:"keepalive_interval_seconds"`
			Replicated *bool     `json:"replicated,omitempty"`
		}{id.String(), r.Expire, int64(max(0, r.Expire.Sub(now)).Seconds()), r.Deadline, int64(r.TTL.Seconds() / 3), r.Replicated})
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.Body.String(); got != string(want)+"\n" {
			t.Errorf("got  %swant %s", got, want)
		}
	}
}
