package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/lease"
)

// outages are the first words of replies by which Redis says that it can't serve now, or not us; all others are defects
// of ours. See https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors.
var outages = []string{
	"LOADING", "READONLY", "OOM", "MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "BUSY",
	"NOAUTH", "WRONGPASS", "NOPERM", "UNBLOCKED",
}

// classify turns what go-redis returned into an error of ours.
func classify(operation string, err error) error {
	if err == nil {
		return nil
	}
	cause := fmt.Errorf("%s: %w", operation, err)
	if isDefect(err) {
		return &lease.Error{Code: lease.CodeInternal, Cause: cause}
	}
	return &lease.Error{
		Code: lease.CodeUnavailable, Cause: cause,
		Message: "the lease store does not answer; try again, an allocation with the same token since it may have been made",
	}
}

// isDefect reports whether Redis answered that it can't do what we asked, ever.
func isDefect(err error) bool {
	var answered redis.Error
	return errors.As(err, &answered) && !isOutage(answered.Error())
}

func isOutage(reply string) bool {
	first, _, _ := strings.Cut(reply, " ")
	return slices.Contains(outages, first) || strings.HasPrefix(reply, "ERR max number of clients") ||
		strings.HasPrefix(reply, "ERR WAIT cannot be used with replica instances") || // a master that was replaced
		strings.HasPrefix(reply, "ERR Protocol error: unauthenticated") // NOAUTH, to a command of many words
}
