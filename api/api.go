// Package api is the HTTP side of the lease service: the allocator and the keepalive service, each as an http.Handler.
// Bodies are snake_case JSON, times RFC 3339 in UTC, durations whole seconds, errors RFC 9457 problem+json with a stable
// code. It decides nothing about leases; that is the store's, behind the small interfaces declared here.
package api

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// TokenHeader carries the lease token of a request. It is never in a URL, and never logged.
const TokenHeader = "Lease-Token"

// Pinger says whether the store answers, and in which pools nothing is granted for now, until when.
type Pinger interface {
	Ping(ctx context.Context) error
	Pauses() map[string]time.Time
}

// Options are what both services need.
type Options struct {
	Version  string               // of this build
	Log      *slog.Logger         // for access lines and the causes of errors
	Registry *prometheus.Registry // served at /metrics; both the service's and the store's metrics go there
	Health   *Health              // served at /readyz

	MaxRequests int // how many requests to the store are served at once; others are refused. 0 for 1000
}

// service is a Gin engine with what both services have: health, metrics, documentation and problem errors.
type service struct {
	engine *gin.Engine
	router *router
	huma   huma.API
	errors *errorWriter
	limits *limits
}

func newService(title, description string, store Pinger, o Options) *service {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	if err := engine.SetTrustedProxies(nil); err != nil {
		panic(err) // only a bad list of proxies is refused
	}
	ew := &errorWriter{log: o.Log}
	engine.Use(observe(&accessLog{log: o.Log}, newHTTPMetrics(o.Registry)), recoverPanic(ew))
	engine.NoRoute(func(c *gin.Context) { ew.respond(c, http.StatusNotFound, "there is nothing at this path; see /docs") })
	engine.NoMethod(func(c *gin.Context) {
		ew.respond(c, http.StatusMethodNotAllowed, "this path does not take "+c.Request.Method+", but "+c.Writer.Header().Get("Allow"))
	})
	engine.GET("/livez", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"alive": true}) })
	engine.GET("/readyz", o.Health.handler(store))
	engine.GET("/metrics", gin.WrapH(promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{})))
	s := &service{engine: engine, errors: ew, limits: newLimits(o.Registry)}
	requests := s.limits.limit("requests", cmp.Or(o.MaxRequests, defaultMaxRequests), "lease_requests_in_flight", "Requests that are served now, those that wait in line aside.")
	// A request takes its place when it is there as a whole: one that dribbles in keeps nobody out.
	s.router = &router{Handler: engine, gin: engine.Group("", readBody(ew), requests.admit(ew)), direct: map[string]gin.HandlerFunc{}}
	s.huma = huma.NewAPI(humaConfig(title, description, o.Version), s.router)
	documentation(engine, s.huma.OpenAPI())
	return s
}

func humaConfig(title, description, version string) huma.Config {
	c := huma.DefaultConfig(title, version)
	c.Info.Description = description
	c.OpenAPIPath, c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", "", nil
	c.RejectUnknownQueryParameters = true
	c.Formats = map[string]huma.Format{
		"application/json":                  strictJSON,
		"json":                              strictJSON, // application/…+json
		"application/x-www-form-urlencoded": strictJSON, // what `curl -d '{…}'` says it sends
	}
	c.Transformers = []huma.Transformer{explain(c.Components.Schemas)}
	return c
}

// operation registers a handler whose errors, of whatever kind, leave as problems; statuses are those of its own, beside
// those that every operation has.
func operation[I, O any](s *service, op huma.Operation, handle func(context.Context, *I) (*O, error), statuses ...int) {
	op.Responses = problemResponses(s.huma.OpenAPI().Components.Schemas, statuses)
	huma.Register(s.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.errors.problem(ctx, err)
		}
		return out, nil
	})
}
