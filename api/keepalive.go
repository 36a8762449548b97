package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
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
	ok      prometheus.Counter // of results, by far the most frequent
}

// keepalivePath and keepaliveRoute are where leases are kept alive, for OpenAPI and for Gin.
const keepalivePath, keepaliveRoute = "/v1/leases/{id}/keepalive", "/v1/leases/:id/keepalive"

// NewKeepalive returns the keepalive service.
func NewKeepalive(o KeepaliveOptions) http.Handler {
	s := newService("Lease keepalive", "Extends leases: call a lease's keepalive_url every keepalive_interval_seconds.", o.Store, o.Options)
	k := &keepalive{store: o.Store, results: promauto.With(o.Registry).NewCounterVec(prometheus.CounterOpts{
		Name: "lease_keepalives_total", Help: "Keepalives, by how they ended: ok, or the code of the error; not_replicated for one that extended the lease, but promised no more.",
	}, []string{"result"})}
	k.ok = k.results.WithLabelValues(result(nil))
	leaseOperation[keepaliveOutput](s, huma.Operation{
		OperationID: "keepalive", Method: http.MethodPost, Path: keepalivePath, Tags: []string{"leases"},
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
	Replicated               *bool     `json:"replicated,omitempty" doc:"Where replicas of the lease store confirm leases: whether they have this extension. When false, expire_time is only until when they are known to have the lease; repeat the call soon"`
}

// appendJSON appends what encoding/json makes of it, in a fifth of the time.
func (b *renewalBody) appendJSON(to []byte) []byte {
	to = append(append(to, `{"id":"`...), b.ID...) // a valid id has nothing to escape
	to = b.ExpireTime.AppendFormat(append(to, `","expire_time":"`...), time.RFC3339Nano)
	to = strconv.AppendInt(append(to, `","remaining_seconds":`...), b.RemainingSeconds, 10)
	to = b.DeadlineTime.AppendFormat(append(to, `,"deadline_time":"`...), time.RFC3339Nano)
	to = strconv.AppendInt(append(to, `","keepalive_interval_seconds":`...), b.KeepaliveIntervalSeconds, 10)
	if b.Replicated != nil {
		to = strconv.AppendBool(append(to, `,"replicated":`...), *b.Replicated)
	}
	return append(to, "}\n"...)
}

func (k *keepalive) keepalive(ctx context.Context, in LeaseIDInput) (any, error) {
	r, err := k.renew(ctx, in)
	switch {
	case err != nil:
		k.results.WithLabelValues(result(err)).Inc()
		return nil, err
	case r.Replicated != nil && !*r.Replicated:
		k.results.WithLabelValues(string(lease.CodeNotReplicated)).Inc()
	default:
		k.ok.Inc()
	}
	return &renewalBody{
		ID: in.ID, ExpireTime: r.Expire, RemainingSeconds: seconds(max(0, r.Expire.Sub(r.Now))), DeadlineTime: r.Deadline,
		KeepaliveIntervalSeconds: seconds(lease.KeepaliveInterval(r.TTL)), Replicated: r.Replicated,
	}, nil
}

func (k *keepalive) renew(ctx context.Context, in LeaseIDInput) (lease.Renewal, error) {
	id, err := heldLease(in)
	if err != nil {
		return lease.Renewal{}, err
	}
	return k.store.Keepalive(ctx, id)
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
