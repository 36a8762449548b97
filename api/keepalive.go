package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/automation-infra/automation-infra/lease"
)

// Renewer is what the keepalive service asks of the store. Its errors are *lease.Error.
type Renewer interface {
	Pinger
	Keepalive(ctx context.Context, id lease.ID) (lease.Renewal, error)
}

// KeepaliveOptions are what the keepalive service needs.
type KeepaliveOptions struct {
	Options
	Store Renewer
}

type keepalive struct {
	store   Renewer
	results *prometheus.CounterVec
}

// NewKeepalive returns the keepalive service.
func NewKeepalive(o KeepaliveOptions) http.Handler {
	s := newService("Lease keepalive", "Extends leases: call a lease's keepalive_url every keepalive_interval_seconds.", o.Store, o.Options)
	k := &keepalive{store: o.Store, results: promauto.With(o.Registry).NewCounterVec(prometheus.CounterOpts{
		Name: "lease_keepalives_total", Help: "Keepalives, by how they ended: ok, or the code of the error.",
	}, []string{"result"})}
	operation(s, huma.Operation{
		OperationID: "keepalive", Method: http.MethodPost, Path: "/v1/leases/{id}/keepalive", Tags: []string{"leases"},
		Summary:     "Keep a lease alive",
		Description: "Extends it to now + its TTL, never past its deadline. On lease_ended stop using the device at once. A lease that is pending has nothing to keep alive: conflict.",
	}, k.keepalive, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusGone)
	return s.engine
}

type keepaliveOutput struct{ Body renewalBody }

type renewalBody struct {
	ID                       string    `json:"id" doc:"The lease's id"`
	ExpireTime               time.Time `json:"expire_time" doc:"When the lease now ends unless it is kept alive again"`
	RemainingSeconds         int64     `json:"remaining_seconds" doc:"How long until then, rounded down"`
	DeadlineTime             time.Time `json:"deadline_time" doc:"The moment past which no keepalive extends the lease"`
	KeepaliveIntervalSeconds int64     `json:"keepalive_interval_seconds" doc:"How often to keep alive"`
}

func (k *keepalive) keepalive(ctx context.Context, in *LeaseIDInput) (*keepaliveOutput, error) {
	out, err := k.renew(ctx, in)
	k.results.WithLabelValues(result(err)).Inc()
	return out, err
}

func (k *keepalive) renew(ctx context.Context, in *LeaseIDInput) (*keepaliveOutput, error) {
	id, err := heldLease(*in)
	if err != nil {
		return nil, err
	}
	r, err := k.store.Keepalive(ctx, id)
	if err != nil {
		return nil, err
	}
	return &keepaliveOutput{renewalBody{
		ID: id.String(), ExpireTime: r.Expire, RemainingSeconds: seconds(r.Expire.Sub(r.Now)), DeadlineTime: r.Deadline,
		KeepaliveIntervalSeconds: seconds(lease.KeepaliveInterval(r.TTL)),
	}}, nil
}

// result is the code of an error, "ok" for none.
func result(err error) string {
	var e *lease.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
		return string(e.Code)
	}
	return string(lease.CodeInternal)
}
