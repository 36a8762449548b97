package api

import "github.com/automation-infra/automation-infra/lease"

// holder checks that the request carries the token of the lease.
func holder(id lease.ID, token string) error {
	if token == "" {
		return &lease.Error{Code: lease.CodeForbidden, Field: TokenHeader, Message: "send the lease's token in the " + TokenHeader + " header"}
	}
	t, err := lease.ParseToken(token)
	if err != nil {
		return err
	}
	if !id.HeldBy(t) {
		return &lease.Error{Code: lease.CodeForbidden, Field: TokenHeader, Message: "this token does not hold this lease"}
	}
	return nil
}

// heldLease reads the id and checks the token of a request that only the holder may make.
func heldLease(in LeaseIDInput) (lease.ID, error) {
	id, err := lease.ParseID(in.ID)
	if err != nil {
		return id, err
	}
	return id, holder(id, in.Token)
}

// LeaseIDInput names a lease, and proves who holds it. It is exported for huma, as PageInput.
type LeaseIDInput struct {
	ID    string `path:"id" doc:"The lease's id" example:"default-6gyyhjnm4ttukjhvlww7zn5zxc"`
	Token string `header:"Lease-Token" doc:"The lease's token, of its holder"`
}
