package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/automation-infra/automation-infra/lease"
)

type leaseOutput struct {
	Status       int
	CacheControl string `header:"Cache-Control"`
	Location     string `header:"Location"`
	RetryAfter   string `header:"Retry-After" doc:"With status 202: in how many seconds to ask again"`
	Body         leaseBody
}

func (a *allocator) allocate(ctx context.Context, in *allocateInput) (*leaseOutput, error) {
	token, err := in.token()
	if err != nil {
		return nil, err
	}
	request, err := in.request()
	if err != nil {
		return nil, err
	}
	l, status, err := a.grant(ctx, token, request, in)
	if err != nil {
		a.countDenied(request.Pool, err)
		return nil, err
	}
	out := a.answer(status, l, true)
	out.Location, out.Body.Token = "/v1/leases/"+out.Body.ID, string(token)
	return out, nil
}

// answer shows a lease in answer to a request about it; a pending one is 202, whatever the status else.
func (a *allocator) answer(status int, l *lease.Lease, toHolder bool) *leaseOutput {
	out := &leaseOutput{Status: status, CacheControl: "no-store", Body: a.present(a.inventory(), l, toHolder)}
	if l.State == lease.StatePending {
		out.Status, out.Body.RetryAfterSeconds = http.StatusAccepted, retryAfter(l)
		out.RetryAfter = strconv.FormatInt(out.Body.RetryAfterSeconds, 10)
	}
	return out
}

// grant gets a lease that is active, or pending if the client stands in line: 201 when it became active in this call, else 200. The
// error is lease.CodeEnded when it is over.
func (a *allocator) grant(ctx context.Context, t lease.Token, r lease.Request, in *allocateInput) (*lease.Lease, int, error) {
	g, err := a.inventory().Resolve(t.ID(r.Pool), r)
	if err != nil {
		return nil, 0, in.naming(err)
	}
	g.Wait = in.given
	var granted bool
	l, waited, err := a.line.await(ctx, g.ID, in.wait, func(again bool) (l *lease.Lease, err error) {
		if again {
			if l, err = a.store.Poll(ctx, g.ID); !errors.Is(err, lease.ErrNotFound) {
				return l, err
			} // a Redis that lost its data: join the line anew
		}
		l, granted, err = a.store.Allocate(ctx, g)
		return l, err
	})
	switch {
	case err != nil:
		return nil, 0, err
	case l.Ended != nil:
		return nil, 0, lease.EndedError(l.Ended.Reason, l.Ended.Time)
	case granted && !a.reachable(l):
		return nil, 0, a.giveBack(ctx, l.ID)
	case !a.reachable(l):
		return nil, 0, inventoryChanging("try again with the same token")
	case granted || waited:
		return l, http.StatusCreated, nil
	}
	return l, http.StatusOK, nil
}

// reachable reports whether the inventory here knows how to reach each device of a lease. It does not when another replica granted
// one that only its newer inventory has.
func (a *allocator) reachable(l *lease.Lease) bool {
	inv := a.inventory()
	return !slices.ContainsFunc(l.Devices, func(name string) bool { return inv.Device(name) == nil })
}

// giveBack takes back a grant that nobody could use.
func (a *allocator) giveBack(ctx context.Context, id lease.ID) error {
	if err := a.store.Retract(ctx, id); err != nil {
		return err
	}
	return inventoryChanging("try again")
}

func inventoryChanging(advice string) error {
	return &lease.Error{Code: lease.CodeUnavailable, Message: "the inventory is changing; " + advice}
}

func (a *allocator) countDenied(pool string, err error) {
	if a.inventory().Pool(pool) == nil {
		pool = "unknown" // clients must not make up label values
	}
	a.denied.WithLabelValues(pool, result(err)).Inc()
}

type getLeaseInput struct {
	LeaseIDInput
	WaitInput
}

// getLease shows a lease. Its holder thereby asks for it, so that it keeps its place in line; others only look.
func (a *allocator) getLease(ctx context.Context, in *getLeaseInput) (*leaseOutput, error) {
	id, err := lease.ParseID(in.ID)
	if err != nil {
		return nil, err
	}
	held := in.Token != "" || in.given
	if held {
		if err := holder(id, in.Token); err != nil {
			return nil, err
		}
	}
	read := a.store.Lease
	if held {
		read = a.store.Poll
	}
	l, _, err := a.line.await(ctx, id, in.wait, func(bool) (*lease.Lease, error) { return read(ctx, id) })
	if err != nil {
		return nil, err
	}
	if in.given && l.State == lease.StateActive && !a.reachable(l) { // who waits for a lease wants to use it
		return nil, inventoryChanging("try again with the same token")
	}
	return a.answer(http.StatusOK, l, held), nil
}

func (a *allocator) release(ctx context.Context, in LeaseIDInput) (any, error) {
	id, err := heldLease(in)
	if err != nil {
		return nil, err
	}
	return nil, a.store.Release(ctx, id)
}

type listLeasesInput struct {
	PageInput
	Pool     string `query:"pool" doc:"Only of this pool"`
	State    string `query:"state" enum:"pending,active,released,expired,revoked,abandoned" default:"active" doc:"Only in this state"`
	Selector string `query:"selector" doc:"Only those that hold a device with such labels, hence no pending ones"`
}

type listLeasesOutput struct {
	Body struct {
		Leases []leaseBody `json:"leases" nullable:"false"`
		NextPage
	}
}

func (a *allocator) listLeases(ctx context.Context, in *listLeasesInput) (*listLeasesOutput, error) {
	selector, err := lease.ParseSelector(in.Selector)
	if err != nil {
		return nil, err
	}
	inv := a.inventory()
	matches := func(name string) bool {
		d := inv.Device(name)
		return d != nil && selector.Matches(d.Labels)
	}
	wanted := func(l *lease.Lease) bool { return in.Selector == "" || slices.ContainsFunc(l.Devices, matches) }
	out := &listLeasesOutput{}
	out.Body.Leases, out.Body.NextPageToken, err = a.pageOfLeases(ctx, inv, in.Pool, lease.State(in.State), in.PageInput, wanted)
	return out, err
}

type queueInput struct {
	PageInput
	Pool string `path:"pool" doc:"The pool's name" example:"default"`
}

type queueOutput struct {
	Body struct {
		Queue []leaseBody `json:"queue" nullable:"false" doc:"The pending leases of the pool, the first in line first"`
		NextPage
	}
}

func (a *allocator) queue(ctx context.Context, in *queueInput) (*queueOutput, error) {
	inv := a.inventory()
	if inv.Pool(in.Pool) == nil {
		return nil, &lease.Error{Code: lease.CodeNotFound, Field: "pool", Message: "no pool is named so; the pools are " + strings.Join(inv.Pools(), ", ")}
	}
	out := &queueOutput{}
	var err error
	all := func(*lease.Lease) bool { return true }
	out.Body.Queue, out.Body.NextPageToken, err = a.pageOfLeases(ctx, inv, in.Pool, lease.StatePending, in.PageInput, all)
	return out, err
}

// pageOfLeases lists those wanted of the leases in one state, of one pool or of all, without connections.
func (a *allocator) pageOfLeases(ctx context.Context, inv *lease.Inventory, pool string, state lease.State, in PageInput, wanted func(*lease.Lease) bool) ([]leaseBody, string, error) {
	return fillPage(inv, pool, in, func(pool, after string, limit int) ([]leaseBody, string, error) {
		found, next, err := a.store.Leases(ctx, pool, state, after, limit)
		var page []leaseBody
		for _, l := range found {
			if wanted(l) {
				page = append(page, a.present(inv, l, false))
			}
		}
		return page, next, err
	})
}
