package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/automation-infra/automation-infra/lease"
)

// ask is a request to a service, and the statuses that its answer may have.
type ask struct {
	method, path string
	token        lease.Token // "" for none
	body         string
	want         []int
}

// statusError is an answer with another status.
type statusError struct {
	ask
	status int
	text   []byte
}

// Error implements error.
func (e *statusError) Error() string {
	return fmt.Sprintf("%s %s: %d, not %d: %s", e.method, e.path, e.status, e.want[0], e.text)
}

// send sends a request, and decodes the answer into reply unless that is nil.
func (b *bench) send(ctx context.Context, s *server, a ask, reply any) error {
	request, err := http.NewRequestWithContext(ctx, a.method, s.url(a.path), strings.NewReader(a.body)) //nolint:gosec // to a child of ours
	if err != nil {
		return err
	}
	if a.token != "" {
		request.Header.Set("Lease-Token", string(a.token))
	}
	answer, err := b.client.Do(request) //nolint:gosec // to a child of ours
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", a.method, a.path, err)
	}
	if !slices.Contains(a.want, answer.StatusCode) {
		return &statusError{a, answer.StatusCode, text}
	}
	if reply == nil {
		return nil
	}
	return json.Unmarshal(text, reply)
}

// patience is how long a service may be unable to do what is asked.
const patience = 30 * time.Second

// sendPatiently sends a request that may be repeated, and repeats it while the service says that it can't do it now: a busy
// machine is no reason to give up before anything is measured.
func (b *bench) sendPatiently(ctx context.Context, s *server, a ask, reply any) error {
	attempt := func() (struct{}, error) {
		err := b.send(ctx, s, a, reply)
		var other *statusError
		if errors.As(err, &other) && other.status == http.StatusServiceUnavailable {
			return struct{}{}, err
		}
		return struct{}{}, backoff.Permanent(err)
	}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval = 100 * time.Millisecond
	_, err := backoff.Retry(ctx, attempt, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(patience))
	return err
}
