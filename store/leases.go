package store

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/lease"
)

// Lease reads one lease. The error is lease.CodeNotFound when it has no record.
func (s *Store) Lease(ctx context.Context, id lease.ID) (*lease.Lease, error) {
	reply, err := s.run(ctx, s.scripts.leases, id.Pool(), id.String())
	if err != nil {
		return nil, err
	}
	return reply.lease(0, id)
}

// Leases lists leases of a pool in one state: active ones by when they end, others by when they ended in the last hour.
// It looks at up to limit (at most 16) of them after a position, "" for the first, and returns those it found and the
// position to go on from, "" at the end. A lease that is kept alive meanwhile may come twice; none is left out.
func (s *Store) Leases(ctx context.Context, pool string, state lease.State, after string, limit int) ([]*lease.Lease, string, error) {
	from, err := parsePosition(after)
	if err != nil {
		return nil, "", err
	}
	entries, err := s.entries(ctx, indexKey(pool, state), from, min(limit, batch/2))
	if err != nil || len(entries) == 0 {
		return nil, "", err
	}
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.id
	}
	reply, err := s.run(ctx, s.scripts.leases, pool, anys(ids)...)
	if err != nil {
		return nil, "", err
	}
	var found []*lease.Lease
	for i, text := range ids {
		id, err := lease.ParseID(text)
		if err != nil {
			return nil, "", reply.malformed(text)
		}
		l, err := reply.lease(i, id)
		if errors.Is(err, lease.ErrNotFound) {
			continue // its record went while we looked
		}
		if err != nil {
			return nil, "", err
		}
		if l.State == state {
			found = append(found, l)
		}
	}
	return found, entries[len(entries)-1].String(), nil
}

// position is a place in an index: after the lease with this id among those of this score.
type position struct {
	score int64
	id    string
}

func (p position) String() string { return strconv.FormatInt(p.score, 10) + "/" + p.id }

func parsePosition(s string) (position, error) {
	if s == "" {
		return position{}, nil
	}
	score, id, _ := strings.Cut(s, "/")
	n, err := strconv.ParseInt(score, 10, 64)
	if err != nil {
		return position{}, lease.Invalid("page_token", "use the next_page_token of the page before, unchanged")
	}
	return position{n, id}, nil
}

// entries reads up to n entries of an index after a position.
func (s *Store) entries(ctx context.Context, key string, after position, n int) ([]position, error) {
	var found []position
	for offset := int64(0); len(found) == 0; offset += int64(n) {
		var page []redis.Z
		err := s.call(ctx, "zrange", func(ctx context.Context) (err error) {
			page, err = s.rdb.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
				Key: key, ByScore: true, Start: after.score, Stop: "+inf", Offset: offset, Count: int64(n),
			}).Result()
			return err
		})
		if err != nil || len(page) == 0 {
			return nil, err
		}
		for _, z := range page {
			p := position{int64(z.Score), z.Member.(string)}
			if p.score > after.score || p.id > after.id {
				found = append(found, p)
			}
		}
	}
	return found, nil
}
