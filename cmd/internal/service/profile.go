package service

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path"
	"runtime"
	"runtime/pprof"
	"strconv"
	"time"
)

// serveProfiles serves profiles of the process at an address until the context ends, as `go tool pprof` asks for them:
// /debug/pprof/profile?seconds=30 is what the CPU does in that time, 30 s unless given; /debug/pprof/<name> one of
// [pprof.Lookup]. The handlers of net/http/pprof would be 400 kB more than the images have to spare.
func serveProfiles(ctx context.Context, addr string, log *slog.Logger) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(profile), ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	log.Info("profiles are served", "addr", l.Addr().String())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func profile(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	if name == "profile" {
		profileCPU(w, r)
		return
	}
	p := pprof.Lookup(name)
	if p == nil {
		http.Error(w, "there are profile, heap, allocs, goroutine, threadcreate, block and mutex", http.StatusNotFound)
		return
	}
	if name == "heap" {
		runtime.GC() // so that it is of what is in use now
	}
	_ = p.WriteTo(w, 0) // whoever asked has gone
}

func profileCPU(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.Atoi(r.URL.Query().Get("seconds"))
	if err != nil || seconds <= 0 {
		seconds = 30
	}
	if err := pprof.StartCPUProfile(w); err != nil { // another is made
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	defer pprof.StopCPUProfile()
	select {
	case <-time.After(time.Duration(seconds) * time.Second):
	case <-r.Context().Done():
	}
}
