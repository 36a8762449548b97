package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// mostTogether is how many calls go in one exchange with Redis, and mostExchanges how many of these are under way at the same time: so the
// callers of one go on while Redis is busy with the other. See docs/performance.md.
const (
	mostTogether  = 16
	mostExchanges = 2
)

// pipeline sends what several callers ask of Redis together, which costs both sides much less than one by one. Who comes while
// another exchange can begin has its call sent at once; the others' gather meanwhile, and go together in the next.
// go-redis has the like (Client.AutoPipeline, experimental) and is as fast, but its exchanges have no deadline besides the
// connection's, so that whatever comes waits behind one that hangs, and what a caller gave up is sent all the same.
type pipeline struct {
	rdb     redis.UniversalClient
	timeout time.Duration // of an exchange

	mu      sync.Mutex
	busy    int // how many exchanges are under way
	waiting []*call
}

// call is a script that a caller wants run.
type call struct {
	script
	keys []string
	args []any

	done   chan struct{} // closed when it has its answer
	answer []any
	err    error
}

// errApart is that of a call that is to be made again, on its own: with others it was not what its script can do for several.
var errApart = errors.New("not to be had together with others")

// do has a script run within the timeout, and returns its reply. After another error than Redis's it may run all the same.
func (p *pipeline) do(ctx context.Context, sc script, keys []string, args []any) ([]any, error) {
	c := &call{script: sc, keys: keys, args: args}
	p.mu.Lock()
	if p.busy < mostExchanges {
		p.busy++
		p.mu.Unlock()
		p.exchange(ctx, []*call{c})
		if some := p.next(); some != nil {
			go p.send(some) //nolint:gosec // calls of others, which do not end with this request
		}
		return c.answer, c.err
	}
	c.done = make(chan struct{})
	p.waiting = append(p.waiting, c)
	p.mu.Unlock()
	// A timer, and not the context: to derive one from that of an HTTP request takes longer than all else here, and an answer that nobody
	// waits for any longer is no harm.
	late := time.NewTimer(p.timeout)
	defer late.Stop()
	select {
	case <-c.done:
		return c.answer, c.err
	case <-late.C:
		p.leave(c)
		return nil, context.DeadlineExceeded
	}
}

// next takes what is to be sent when an exchange is over; nil when nobody waits, and then another can begin.
func (p *pipeline) next() []*call {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := min(len(p.waiting), mostTogether)
	if n == 0 {
		p.busy--
		return nil
	}
	some := slices.Clone(p.waiting[:n])
	p.waiting = slices.Delete(p.waiting, 0, n)
	return some
}

// send makes some calls, and goes on with those that came meanwhile.
func (p *pipeline) send(some []*call) {
	for ; some != nil; some = p.next() {
		p.exchange(context.Background(), some)
		for _, c := range some {
			close(c.done)
		}
	}
}

func (p *pipeline) exchange(ctx context.Context, calls []*call) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	commands := commandsOf(ctx, calls)
	if len(commands) == 1 {
		_ = p.rdb.Process(ctx, commands[0]) // it has its error
	} else {
		together := p.rdb.Pipeline()
		for _, c := range commands {
			_ = together.Process(ctx, c) // it is only noted
		}
		_, _ = together.Exec(ctx) // each command has its error
	}
	for _, c := range commands {
		c.answer()
	}
}

// leave has a call not made, unless it was already.
func (p *pipeline) leave(c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, c); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
}

// command is what Redis is sent for a call, or for several of a script that takes them together.
type command struct {
	*redis.Cmd
	calls []*call
}

func commandsOf(ctx context.Context, calls []*call) []*command {
	var commands []*command
	for _, c := range calls {
		i := slices.IndexFunc(commands, func(of *command) bool { return of.takes(c) })
		if i < 0 {
			i, commands = len(commands), append(commands, &command{})
		}
		commands[i].calls = append(commands[i].calls, c)
	}
	for _, c := range commands {
		first := c.calls[0]
		words := append(make([]any, 0, 3+len(first.keys)+len(c.calls)*len(first.args)), "evalsha", first.Hash(), len(first.keys))
		for _, key := range first.keys {
			words = append(words, key)
		}
		for _, each := range c.calls {
			words = append(words, each.args...)
		}
		c.Cmd = redis.NewCmd(ctx, words...)
	}
	return commands
}

// takes reports whether a call can be made by the command too.
func (c *command) takes(another *call) bool {
	first := c.calls[0]
	return another.joint && first.joint && first.name == another.name && slices.Equal(first.keys, another.keys)
}

// answer gives the calls what Redis answered. A reply to several begins as one to a single call does, and then has what is of each.
func (c *command) answer() {
	raw, err := c.Slice()
	if len(c.calls) == 1 {
		c.calls[0].answer, c.calls[0].err = raw, err
		return
	}
	if isDefect(err) && !redis.HasErrorPrefix(err, "NOSCRIPT") { // of one of them
		err = errApart
	}
	for i, each := range c.calls {
		if each.err = err; err == nil {
			each.answer, each.err = share(raw, i, len(c.calls))
		}
	}
}

// share is the reply to one call of several.
func share(raw []any, i, calls int) ([]any, error) {
	head, rest := raw[:min(replyHead, len(raw))], raw[min(replyHead, len(raw)):]
	n := len(rest) / calls
	mine := rest[i*n : (i+1)*n]
	if n == 0 || mine[0] == nil {
		return nil, errApart
	}
	return slices.Concat(head, mine), nil
}

// eval runs a script.
func (s *Store) eval(ctx context.Context, sc script, keys []string, args []any) ([]any, error) {
	raw, err := s.pipeline.do(ctx, sc, keys, args)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		if err := s.load(ctx, sc); err != nil {
			return nil, err
		}
		raw, err = s.pipeline.do(ctx, sc, keys, args)
	}
	if errors.Is(err, errApart) {
		sc.joint = false
		return s.eval(ctx, sc, keys, args)
	}
	return raw, err
}

// load gives Redis a script, once for all who miss it at the same time: each would take a connection.
func (s *Store) load(ctx context.Context, sc script) error {
	_, err, _ := s.loading.Do(sc.name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
		defer cancel()
		return nil, sc.Load(ctx, s.rdb).Err()
	})
	return err
}
