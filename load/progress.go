package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// showProgress writes how it goes until stop: on a terminal one line that changes each second, else a line now and then.
func (d *driver) showProgress(out io.Writer) (stop func()) {
	every, before, after := 5*time.Second, "", "\n"
	if f, is := out.(*os.File); is && term.IsTerminal(int(f.Fd())) {
		every, before, after = time.Second, "\r\x1b[K", ""
	}
	done := make(chan struct{})
	var showing sync.WaitGroup
	showing.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-done:
				_, _ = io.WriteString(out, before)
				return
			case now := <-tick.C:
				_, _ = io.WriteString(out, before+d.progress(now)+after)
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		showing.Wait()
	})
}

// progress is how it goes, in a line.
func (d *driver) progress(now time.Time) string {
	g := d.recorder.look(now)
	if g.elapsed == 0 {
		return fmt.Sprintf("getting the leases to begin with: %d", d.held.count())
	}
	line := fmt.Sprintf("%3.0f s", g.elapsed.Seconds())
	if d.scenario.keepalives != nil || g.keepalives > 0 {
		line += fmt.Sprintf("  keepalives %d/s", g.keepalives)
	}
	if d.scenario.cycles != nil {
		line += fmt.Sprintf("  releases %d/s", g.releases)
	}
	line += fmt.Sprintf("  p99 %s  errors %d  held %d", g.p99, g.errors, d.held.count())
	if n := d.waiting.Load(); n > 0 {
		line += fmt.Sprintf("  in line %d", n)
	}
	if broken := d.ledger.sum().broken(); broken > 0 {
		line += fmt.Sprintf("  PROMISES BROKEN %d", broken)
	}
	return line
}
