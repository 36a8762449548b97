package api

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/automation-infra/automation-infra/lease"
)

// Allocator is what the allocator service asks of the store. Its errors are *lease.Error.
type Allocator interface {
	Pinger
	Allocate(ctx context.Context, g lease.Grant) (l *lease.Lease, granted bool, err error)
	Poll(ctx context.Context, id lease.ID) (*lease.Lease, error)
	Watch(id lease.ID) (changed <-chan struct{}, stop func())
	Release(ctx context.Context, id lease.ID) error
	Retract(ctx context.Context, id lease.ID) error
	Lease(ctx context.Context, id lease.ID) (*lease.Lease, error)
	Leases(ctx context.Context, pool string, state lease.State, after string, limit int) (found []*lease.Lease, next string, err error)
	Devices(ctx context.Context, pool string, names []string) ([]lease.DeviceStatus, error)
	SetDevice(ctx context.Context, pool, name string, change lease.DeviceChange) (lease.DeviceStatus, error)
}

// AllocatorOptions are what the allocator service needs.
type AllocatorOptions struct {
	Options
	Store        Allocator
	Inventory    func() *lease.Inventory // the one in force
	KeepaliveURL string                  // base URL of the keepalive service, as holders reach it
	RetryAfter   time.Duration           // when a client that got none_free should ask again
	Reread       time.Duration           // how often at the least a waiting request asks the store, which may fail to tell it; 0 for 5 s
	MaxWaiting   int                     // how many requests wait in line at once; others are answered without waiting. 0 for 5000
}

type allocator struct {
	store        Allocator
	inventory    func() *lease.Inventory
	keepaliveURL string
	line         *line
	denied       *prometheus.CounterVec
}

// NewAllocator returns the allocator service: leases and devices under /v1. Until its Health is ready it answers 503.
func NewAllocator(o AllocatorOptions) http.Handler {
	s := newService("Lease allocator", allocatorDescription, o.Store, o.Options)
	s.errors.retryAfter = o.RetryAfter
	f := promauto.With(o.Registry)
	a := &allocator{
		store: o.Store, inventory: o.Inventory, keepaliveURL: o.KeepaliveURL,
		line: &line{
			store: o.Store, stopping: o.Health.Stopping(), reread: cmp.Or(o.Reread, defaultReread),
			waiting: s.limits.limit("waiting", cmp.Or(o.MaxWaiting, defaultMaxWaiting), "lease_waiting_requests", "Requests that wait in line in this process now."),
		},
		denied: f.NewCounterVec(prometheus.CounterOpts{Name: "lease_denied_total", Help: "Requests for a lease that got none."}, []string{"pool", "code"}),
	}
	s.router.gin.Use(whenReady(o.Health, s.errors))
	a.leaseOperations(s)
	a.deviceOperations(s)
	return s.engine
}

const allocatorDescription = `Leases test hardware. Ask for a device, if need be in line, keep the lease alive at its keepalive_url
every keepalive_interval_seconds, and release it when done; a lease that is not kept alive ends by itself.`

// whenReady answers 503 until the service is ready.
func whenReady(h *Health, ew *errorWriter) gin.HandlerFunc {
	return func(c *gin.Context) {
		if why := h.Obstacle(); why != "" {
			ew.write(c, ew.problem(c.Request.Context(), &lease.Error{Code: lease.CodeUnavailable, Message: "not ready: " + why}))
		}
	}
}

func (a *allocator) leaseOperations(s *service) {
	operation(s, huma.Operation{
		OperationID: "allocate", Method: http.MethodPost, Path: "/v1/leases", Tags: []string{"leases"},
		DefaultStatus: http.StatusCreated, Summary: "Lease a device, or several", Description: allocateDescription,
	}, a.allocate, http.StatusBadRequest, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests)
	paths := s.huma.OpenAPI().Paths
	alsoAnswers(paths["/v1/leases"].Post, http.StatusCreated, map[int]string{
		http.StatusOK:       "The lease that this token holds already",
		http.StatusAccepted: "The lease is pending: it has a place in line, and no device yet. Ask again after Retry-After",
	})
	operation(s, huma.Operation{
		OperationID: "list-leases", Method: http.MethodGet, Path: "/v1/leases", Tags: []string{"leases"},
		Summary:     "List leases",
		Description: "Active leases by when they end; pending ones in line order, pool by pool; or those of the last hour that ended some way, by when they did. Without connection details.",
	}, a.listLeases)
	operation(s, huma.Operation{
		OperationID: "get-lease", Method: http.MethodGet, Path: "/v1/leases/{id}", Tags: []string{"leases"},
		Summary: "Read a lease", Description: getLeaseDescription,
	}, a.getLease, http.StatusForbidden, http.StatusNotFound)
	alsoAnswers(paths["/v1/leases/{id}"].Get, http.StatusOK, map[int]string{http.StatusAccepted: "The lease is pending. Ask again after Retry-After"})
	leaseOperation[struct{}](s, huma.Operation{
		OperationID: "release", Method: http.MethodDelete, Path: "/v1/leases/{id}", Tags: []string{"leases"},
		DefaultStatus: http.StatusNoContent,
		Summary:       "Release a lease", Description: "Its devices are free at once; a pending lease leaves the line. Releasing again is no error; releasing a lease that ended otherwise is lease_ended.",
	}, a.release, http.StatusForbidden, http.StatusNotFound, http.StatusGone)
	operation(s, huma.Operation{
		OperationID: "get-queue", Method: http.MethodGet, Path: "/v1/queues/{pool}", Tags: []string{"leases"},
		Summary: "List who waits", Description: "The pending leases of a pool, the first in line first.",
	}, a.queue, http.StatusNotFound)
}

const allocateDescription = `Without a body, any device of pool ` + "`default`" + `. The same request with the same Lease-Token returns the same lease (200),
whatever happened to the first reply; so a client that makes its own token may repeat a request safely.

A request that can't be granted now is none_free (429). With ` + "`wait`" + ` it stands in line instead: the reply comes when the lease is granted
(201), or with a pending lease when the wait is over (202). The place in line is kept as long as someone asks for the lease: repeat
the request, or read the lease, with the same Lease-Token, after Retry-After at the latest, again with ` + "`wait`" + ` or without. Nobody is
overtaken by a request that is behind in line, waiting or not.

` + "`devices`" + ` asks for several devices: all are granted at once, in the order of the demands, or none.`

const getLeaseDescription = `Connection details are shown to the holder, while the lease is active. When the holder reads a pending lease, it keeps its place in
line; with ` + "`wait`" + `, for which the token is needed, the reply comes when the lease is pending no longer, or when the wait is over (202).`

// alsoAnswers documents statuses with which an operation answers like with its first.
func alsoAnswers(op *huma.Operation, first int, descriptions map[int]string) {
	for status, description := range descriptions {
		response := *op.Responses[strconv.Itoa(first)]
		response.Description = description
		op.Responses[strconv.Itoa(status)] = &response
	}
}

func (a *allocator) deviceOperations(s *service) {
	operation(s, huma.Operation{
		OperationID: "list-devices", Method: http.MethodGet, Path: "/v1/devices", Tags: []string{"devices"},
		Summary: "List devices", Description: "The devices of the inventory by pool and name, without connection details.",
	}, a.listDevices)
	operation(s, huma.Operation{
		OperationID: "get-device", Method: http.MethodGet, Path: "/v1/devices/{name}", Tags: []string{"devices"},
		Summary: "Read a device",
	}, a.getDevice, http.StatusNotFound)
	operation(s, huma.Operation{
		OperationID: "patch-device", Method: http.MethodPatch, Path: "/v1/devices/{name}", Tags: []string{"devices"},
		Summary:     "Take a device out of service, put it back, or note something about it",
		Description: "A leased device that is taken out of service stays leased until its lease ends.",
	}, a.patchDevice, http.StatusBadRequest, http.StatusNotFound, http.StatusRequestEntityTooLarge)
}
