package store

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// mostTogether is how many commands go in one exchange with Redis, so that nobody waits long meanwhile.
const mostTogether = 64

// pipeline sends what several callers ask of Redis together, which costs both sides much less than one by one. Who comes while
// no exchange is under way has its command sent at once; the others' gather meanwhile, and go together in the next.
// go-redis has the like (Client.AutoPipeline, experimental) and is as fast, but its exchanges have no deadline besides the
// connection's, so that whatever comes waits behind one that hangs, and what a caller gave up is sent all the same.
type pipeline struct {
	rdb     redis.UniversalClient
	timeout time.Duration // of the exchanges of several callers

	mu      sync.Mutex
	busy    bool // whether an exchange is under way
	waiting []*request
}

// request is a command that waits to be sent.
type request struct {
	redis.Cmder
	done chan struct{} // closed when the command has its answer
}

// do has a command carried out within the timeout, and returns its error. After an error the command may be carried out all the same,
// if it was sent, and is not to be looked at.
func (p *pipeline) do(ctx context.Context, cmd redis.Cmder) error {
	p.mu.Lock()
	if !p.busy {
		p.busy = true
		p.mu.Unlock()
		return p.alone(ctx, cmd)
	}
	r := &request{cmd, make(chan struct{})}
	p.waiting = append(p.waiting, r)
	p.mu.Unlock()
	// A timer, and not the context: to derive one from that of an HTTP request takes longer than all else here, and an answer that nobody
	// waits for any longer is no harm.
	late := time.NewTimer(p.timeout)
	defer late.Stop()
	select {
	case <-r.done:
		return cmd.Err()
	case <-late.C:
		p.leave(r)
		return context.DeadlineExceeded
	}
}

// alone sends a command at once, and then has those sent that came meanwhile.
func (p *pipeline) alone(ctx context.Context, cmd redis.Cmder) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	err := p.rdb.Process(ctx, cmd)
	if some := p.next(); some != nil {
		go p.send(some)
	}
	return err
}

// next takes what is to be sent next; nil when nobody waits, and then no exchange is under way.
func (p *pipeline) next() []*request {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := min(len(p.waiting), mostTogether)
	if n == 0 {
		p.busy = false
		return nil
	}
	some := slices.Clone(p.waiting[:n])
	p.waiting = slices.Delete(p.waiting, 0, n)
	return some
}

// send carries out some requests, and goes on with those that came meanwhile.
func (p *pipeline) send(some []*request) {
	for ; some != nil; some = p.next() {
		p.exchange(some)
		for _, r := range some {
			close(r.done)
		}
	}
}

func (p *pipeline) exchange(some []*request) {
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	defer cancel()
	together := p.rdb.Pipeline()
	for _, r := range some {
		_ = together.Process(ctx, r.Cmder) // it is only noted
	}
	_, _ = together.Exec(ctx) // each command has its error
}

// leave has a request not sent, unless it was already.
func (p *pipeline) leave(r *request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, r); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
}

// eval runs a script.
func (s *Store) eval(ctx context.Context, sc script, keys []string, args []any) ([]any, error) {
	raw, err := s.evalSha(ctx, sc, keys, args)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		if err := s.load(ctx, sc); err != nil {
			return nil, err
		}
		return s.evalSha(ctx, sc, keys, args)
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

func (s *Store) evalSha(ctx context.Context, sc script, keys []string, args []any) ([]any, error) {
	words := make([]any, 0, 3+len(keys)+len(args))
	words = append(words, "evalsha", sc.Hash(), len(keys))
	for _, key := range keys {
		words = append(words, key)
	}
	answer := redis.NewCmd(ctx, append(words, args...)...)
	if err := s.pipeline.do(ctx, answer); err != nil {
		return nil, err
	}
	return answer.Slice()
}
