package api

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
)

// explain returns what turns huma's own errors, which are about the request, into problems that say what is allowed.
func explain(schemas huma.Registry) huma.Transformer {
	return func(ctx huma.Context, _ string, v any) (any, error) {
		m, ok := v.(*huma.ErrorModel)
		if !ok {
			return v, nil
		}
		p := newProblem(m.Status, codeOf(m.Status), m.Detail)
		for _, d := range m.Errors {
			message := d.Message
			if allowed := allowedInstead(schemas, ctx.Operation(), d); allowed != "" {
				message += "; allowed: " + allowed
			}
			p.Errors = append(p.Errors, FieldError{fieldOf(d.Location), message})
		}
		slices.SortFunc(p.Errors, func(a, b FieldError) int { return strings.Compare(a.Field, b.Field) })
		if len(p.Errors) > 0 {
			p.Detail = strings.Join(sentences(p.Errors), "; ")
		}
		return p, nil
	}
}

// fieldOf is what a client calls a place that huma names: "ttl_seconds" for "body.ttl_seconds".
func fieldOf(location string) string {
	_, field, nested := strings.Cut(location, ".")
	if !nested {
		return location
	}
	return field
}

func sentences(errs []FieldError) []string {
	all := make([]string, len(errs))
	for i, e := range errs {
		all[i] = e.Field + ": " + e.Message
	}
	return all
}

// allowedInstead lists the names that a request might have meant by one that it must not use.
func allowedInstead(schemas huma.Registry, op *huma.Operation, d *huma.ErrorDetail) string {
	if !strings.HasPrefix(d.Message, "unknown") && d.Message != validation.MsgUnexpectedProperty {
		return ""
	}
	var names []string
	switch place, _, _ := strings.Cut(d.Location, "."); place {
	case "query":
		for _, p := range op.Parameters {
			if p.In == "query" {
				names = append(names, p.Name)
			}
		}
	case "body":
		names = slices.Collect(maps.Keys(schemaAround(schemas, op, d.Location).Properties))
	}
	slices.Sort(names)
	return cmp.Or(strings.Join(names, ", "), "none")
}

// schemaAround is the schema of the object that a place of the body is in.
func schemaAround(schemas huma.Registry, op *huma.Operation, location string) *huma.Schema {
	resolve := func(s *huma.Schema) *huma.Schema {
		if s.Ref != "" {
			return schemas.SchemaFromRef(s.Ref)
		}
		return s
	}
	schema := resolve(op.RequestBody.Content["application/json"].Schema)
	steps := strings.Split(location, ".")
	for _, step := range steps[1:max(1, len(steps)-1)] {
		name, _, list := strings.Cut(step, "[")
		inner := schema.Properties[name]
		if list && inner != nil {
			inner = inner.Items
		}
		if inner == nil {
			return schema // a name with dots in it, of the client's making
		}
		schema = resolve(inner)
	}
	return schema
}
