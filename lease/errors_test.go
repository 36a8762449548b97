package lease_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

func TestErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("broken pipe")
	err := fmt.Errorf("renew x: %w", &lease.Error{Code: lease.CodeUnavailable, Message: "try again", Cause: cause})
	if !errors.Is(err, lease.ErrUnavailable) || errors.Is(err, lease.ErrNotFound) || !errors.Is(err, cause) {
		t.Errorf("error is not what it is: %v", err)
	}
	if err.Error() != "renew x: store_unavailable: try again: broken pipe" {
		t.Errorf("text %q", err)
	}
}

func TestEveryCodeHasAnErrorToCompareWith(t *testing.T) {
	t.Parallel()
	all := []error{
		lease.ErrInvalid, lease.ErrForbidden, lease.ErrNotFound, lease.ErrNoMatch, lease.ErrNoneFree, lease.ErrQuota, lease.ErrConflict,
		lease.ErrEnded, lease.ErrUnavailable, lease.ErrNotReplicated, lease.ErrOverloaded, lease.ErrInternal,
	}
	for _, code := range lease.Codes() {
		same := func(err error) bool { return errors.Is(&lease.Error{Code: code, Message: "x"}, err) }
		if at := slices.IndexFunc(all, same); at < 0 {
			t.Errorf("code %s has no error", code)
		} else if all = slices.Delete(all, at, at+1); slices.ContainsFunc(all, same) {
			t.Errorf("code %s has two errors", code)
		}
	}
}

func TestListsAreComplete(t *testing.T) {
	t.Parallel()
	for typ, listed := range map[string][]string{
		"Code": texts(lease.Codes()), "State": texts(lease.States()), "Reason": texts(lease.Reasons()), "DeviceState": texts(lease.DeviceStates()),
	} {
		if want := constants(t, typ); len(want) == 0 || !slices.Equal(listed, want) {
			t.Errorf("%s: listed are %q, declared %q", typ, listed, want)
		}
	}
}

func texts[T ~string](list []T) []string {
	texts := make([]string, len(list))
	for i, value := range list {
		texts[i] = string(value)
	}
	return texts
}

// constants returns the values of all constants of a type, as the source of the package declares them.
func constants(t *testing.T, typ string) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			values = append(values, constant(n, typ)...)
			return true
		})
	}
	return values
}

// constant returns the value that a node gives to a constant of a type, none when it is another node.
func constant(n ast.Node, typ string) []string {
	spec, ok := n.(*ast.ValueSpec)
	if !ok || len(spec.Values) != 1 {
		return nil
	}
	name, _ := spec.Type.(*ast.Ident)
	literal, _ := spec.Values[0].(*ast.BasicLit)
	if name == nil || name.Name != typ || literal == nil {
		return nil
	}
	value, err := strconv.Unquote(literal.Value)
	if err != nil {
		return nil
	}
	return []string{value}
}

func TestAvailabilityInWords(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for want, a := range map[string]lease.Availability{
		"0 matching devices leased": {},
		"1 matching device leased":  {Leased: 1},
		"2 matching devices leased, 1 in maintenance; next may end in 14 s":         {Leased: 2, Maintenance: 1, NextEnd: now.Add(13100 * time.Millisecond)},
		"1 matching device leased; next may end in 0 s":                             {Leased: 1, NextEnd: now.Add(-time.Second)},
		"0 matching devices leased, 3 free but kept for others in line, or too few": {Free: 3},
		"1 matching device leased, 2 in maintenance, 3 free but kept for others in line, or too few; next may end in 1 s": {
			Leased: 1, Maintenance: 2, Free: 3, NextEnd: now.Add(time.Second),
		},
	} {
		a.Now = now
		if got := a.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		err := lease.NoneFreeError(a)
		if !errors.Is(err, lease.ErrNoneFree) || err.Error() != "none_free: no device is to be had now: "+want || *err.Availability != a {
			t.Errorf("the error is %v", err)
		}
	}
}
