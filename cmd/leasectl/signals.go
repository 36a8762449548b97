package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// signals are those that are for the command. While there is none yet, they end the waiting.
type signals chan os.Signal

// listen begins to take signals. Those that this process was started to ignore, as nohup does, stay ignored.
func listen() signals {
	c := make(signals, 16)
	wanted := slices.DeleteFunc(forwarded(), signal.Ignored)
	if len(wanted) > 0 { // none would mean all
		signal.Notify(c, wanted...)
	}
	return c
}

func (c signals) stop() { signal.Stop(c) }

// ending is a context that a signal ends, with a signalled as its cause. stop ends that; the signals after it are still to come.
func (c signals) ending(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case s := <-c:
				if deadly(s) {
					cancel(&signalled{s.(syscall.Signal)})
					return
				}
			case <-quit:
				return
			}
		}
	}()
	return ctx, func() {
		close(quit)
		<-done
	}
}

// deadly reports whether a signal ends who waits, unlike that the window has changed.
func deadly(s os.Signal) bool {
	return slices.Contains([]os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}, s)
}
