package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

// watch prints a list, and then what changes of it, until a signal ends it.
func watch[T any](ctx context.Context, o *observer, every time.Duration, l listing[T], p *printer[T]) error {
	signals := listen()
	defer signals.stop()
	ctx, stop := signals.ending(ctx)
	defer stop()
	w := &watcher[T]{listing: l, o: o}
	for {
		changed, err := w.look(ctx)
		switch {
		case ctx.Err() != nil:
			return interrupted(ctx)
		case err == nil:
			o.contact.recovered()
		case w.seen == nil || !errors.Is(err, lease.ErrUnavailable):
			return o.unread(err)
		default:
			o.contact.retry(err, every)
		}
		if err := p.print(changed...); err != nil {
			return err
		}
		if !pause(ctx, every) {
			return interrupted(ctx)
		}
	}
}

// interrupted is how a program ends that goes on until a signal ends it.
func interrupted(ctx context.Context) error {
	var s *signalled
	if errors.As(context.Cause(ctx), &s) {
		return &failure{code: exitSignal + int(s.signal)}
	}
	return &failure{exitSoftware, context.Cause(ctx).Error()}
}

// watcher knows a list as it was last seen.
type watcher[T any] struct {
	listing[T]
	o    *observer
	seen []sight // nil before the list was seen
}

// sight is what was seen of a thing.
type sight struct {
	name  string
	still string // what of it does not pass with time
}

// look returns what has changed in the list since it was last seen, and then what has left it. With an error, that is not all: what is
// missing comes the next time.
func (w *watcher[T]) look(ctx context.Context) ([]T, error) {
	all, err := w.read(ctx)
	if err != nil {
		return nil, err
	}
	if w.seen == nil && len(all) == 0 {
		w.o.say("%s", w.none)
	}
	known := map[string]string{}
	for _, s := range w.seen {
		known[s.name] = s.still
	}
	var changed []T
	seen := make([]sight, len(all))
	for i, one := range all {
		if seen[i], err = w.sight(one); err != nil {
			return nil, err
		}
		if before, is := known[seen[i].name]; !is || before != seen[i].still {
			changed = append(changed, one)
		}
		delete(known, seen[i].name)
	}
	left, kept, err := w.left(ctx, known)
	w.seen = slices.Concat(seen, kept)
	return append(changed, left...), err
}

func (w *watcher[T]) sight(one T) (sight, error) {
	still, err := oneLine(w.still(one))
	return sight{w.name(one), still}, err
}

// left reads what is in the list no longer. It returns what has changed, and what is to be looked for again: what has not changed, so that
// the list must have missed it, and what can't be read now.
func (w *watcher[T]) left(ctx context.Context, missing map[string]string) (changed []T, kept []sight, err error) {
	for _, before := range w.seen {
		if _, is := missing[before.name]; !is {
			continue
		}
		if err != nil {
			kept = append(kept, before)
			continue
		}
		var one T
		var now sight
		if one, err = w.again(ctx, before.name); err == nil {
			now, err = w.sight(one)
		}
		switch {
		case errors.Is(err, lease.ErrNotFound):
			err = nil
			w.o.say("%s is gone: the service knows it no longer", printable(before.name))
		case err != nil || now == before:
			kept = append(kept, before)
		default:
			changed = append(changed, one)
		}
	}
	return changed, kept, err
}

// pause waits; false when the context was over before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
