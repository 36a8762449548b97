package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"github.com/automation-infra/automation-infra/lease"
)

// router takes operations from huma to Gin.
type router struct {
	http.Handler
	gin    *gin.RouterGroup
	direct map[string]gin.HandlerFunc // by the id of the operation, what Gin serves instead of huma, which only documents it
}

// Handle implements huma.Adapter.
func (r *router) Handle(op *huma.Operation, serve func(huma.Context)) {
	handler, is := r.direct[op.OperationID]
	if !is {
		handler = func(c *gin.Context) { serve(humagin.NewContext(op, c)) }
	}
	r.gin.Handle(op.Method, strings.NewReplacer("{", ":", "}", "").Replace(op.Path), handler)
}

// leaseOperation registers what the holder of a lease does with it that needs nothing but its id and token; O documents the answer.
// These are the most frequent requests by far, so Gin serves them directly, without huma's reflection: see docs/performance.md.
func leaseOperation[O any](s *service, op huma.Operation, handle func(context.Context, LeaseIDInput) (body any, err error), statuses ...int) {
	s.router.direct[op.OperationID] = func(c *gin.Context) {
		var body any
		err := takesNoQuery(c)
		if err == nil {
			body, err = handle(c.Request.Context(), LeaseIDInput{ID: c.Param("id"), Token: c.GetHeader(TokenHeader)})
		}
		switch {
		case err != nil:
			s.errors.write(c, s.errors.problem(c.Request.Context(), err))
		case body == nil:
			c.Status(http.StatusNoContent)
		default:
			s.errors.send(c, http.StatusOK, "application/json", body)
		}
	}
	operation[LeaseIDInput, O](s, op, nil, statuses...)
}

func takesNoQuery(c *gin.Context) error {
	if c.Request.URL.RawQuery == "" {
		return nil
	}
	for name := range c.Request.URL.Query() {
		return lease.Invalid(name, "unknown query parameter; allowed: none")
	}
	return nil
}
