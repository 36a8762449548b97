package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// bench is what all sets share: the tools, the Gin to compare with, and the labs, each started when it is first asked for.
type bench struct {
	options
	tools    tools
	ctx      context.Context // all children run under it
	cancel   context.CancelFunc
	dir      string // of its own, removed at the end
	client   *http.Client
	gin      *server
	servers  []*server
	labs     map[int]*lab // by how many devices they have
	report   *report
	progress io.Writer
}

// newBench starts what every set needs. Close it after.
func newBench(ctx context.Context, o options, progress io.Writer) (*bench, error) {
	t, err := findTools()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "ratio-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, tools: t, dir: dir, labs: map[int]*lab{}, progress: progress}
	b.ctx, b.cancel = context.WithCancel(ctx)
	b.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}, Timeout: 10 * time.Second}
	if err := b.prepare(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) prepare() error {
	if err := writeScripts(b.dir); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if b.gin, err = b.startService(b.ctx, "gin", nil, self, ginCommand); err != nil {
		return err
	}
	b.report, err = newReport(b.ctx, b.options, b.tools)
	return err
}

// close ends all children, waits until they have, and removes their files.
func (b *bench) close() {
	b.cancel()
	for _, s := range b.servers {
		<-s.ended
	}
	b.client.CloseIdleConnections()
	_ = os.RemoveAll(b.dir) //nolint:gosec // newBench made it
}

// alive is an error when a child has ended.
func (b *bench) alive() error {
	for _, s := range b.servers {
		if err := s.alive(); err != nil {
			return err
		}
	}
	return nil
}

// say tells how far it is.
func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.progress, format+"\n", args...)
}
