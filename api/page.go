package api

import (
	"encoding/base64"
	"strings"

	"github.com/automation-infra/automation-infra/lease"
)

// PageInput is what every list takes. Lists are paged as in https://google.aip.dev/158. It is exported for huma, which
// sees no fields of unexported embedded structs.
type PageInput struct {
	PageSize  int    `query:"page_size" minimum:"1" maximum:"500" default:"100" doc:"The most to return; a page may hold fewer though more follow"`
	PageToken string `query:"page_token" doc:"next_page_token of the page before"`
}

// NextPage is what every list ends with.
type NextPage struct {
	NextPageToken string `json:"next_page_token,omitempty" doc:"Send as page_token for the next page; absent on the last"`
}

// maxScans bounds the work of one request whose filter lets little through.
const maxScans = 64

// fillPage collects a page from the pools in order, or from one. scan looks at up to limit things of a pool after a
// position, and returns those wanted and the position to go on from, "" when the pool has no more.
func fillPage[T any](inv *lease.Inventory, only string, in PageInput, scan func(pool, after string, limit int) ([]T, string, error)) (page []T, next string, err error) {
	from, after, err := parsePageToken(in.PageToken)
	if err != nil {
		return nil, "", err
	}
	pools := inv.Pools()
	if only != "" {
		if inv.Pool(only) == nil {
			return nil, "", lease.Invalid("pool", "no pool is named so; the pools are %s", strings.Join(pools, ", "))
		}
		pools = []string{only}
	}
	page = []T{}
	scans := 0
	for _, pool := range pools {
		if pool < from {
			continue
		}
		if pool > from {
			after = ""
		}
		for more := true; more; scans++ {
			if len(page) == in.PageSize || scans == maxScans {
				return page, pageToken(pool, after), nil
			}
			var found []T
			if found, after, err = scan(pool, after, in.PageSize-len(page)); err != nil {
				return nil, "", err
			}
			page, more = append(page, found...), after != ""
		}
	}
	return page, "", nil
}

func pageToken(pool, after string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(pool + "\n" + after))
}

// parsePageToken reads a token that pageToken made; the error is lease.CodeInvalid.
func parsePageToken(token string) (pool, after string, err error) {
	if token == "" {
		return "", "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	pool, after, whole := strings.Cut(string(text), "\n")
	if err != nil || !whole || lease.ValidateName(pool) != nil {
		return "", "", lease.Invalid("page_token", "use the next_page_token of the page before, unchanged")
	}
	return pool, after, nil
}
