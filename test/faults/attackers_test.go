package faults_test

import (
	"bufio"
	"bytes"
	"context"
	secrets "crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// attackersEnv tells the process of the attackers whom to attack: the URLs of an allocator and a keepalive service, and blanks between.
const (
	attackersEnv   = "TEST_ATTACKERS"
	attackersReady = "ready\n"
)

const (
	slowHeaders = 2000                   // connections that send a header and do not get to its end
	slowPause   = 2 * time.Second        // between two lines of it
	workers     = 4                      // that send each other kind of bad input
	largePause  = 200 * time.Millisecond // of each, between large ones
	smallPause  = 50 * time.Millisecond  // and small ones: with the large ones, as many a second as there are keepalives
)

// badInput are the kinds of bad input, and how each may be answered.
var badInput = []struct {
	name    string
	pause   time.Duration
	send    func(w io.Writer, path string) error
	answers []string
}{
	{"endless bodies", largePause, endlessBody, []string{"413"}},
	{"bodies of 10 MiB", largePause, largeBody, []string{"413"}},
	{"headers of 1 MiB", largePause, largeHeader, []string{"431"}},
	{"broken JSON", smallPause, brokenJSON, []string{"400", "413", "422"}},
	{"made-up names and tokens", smallPause, madeUp, []string{"301", "307", "400", "403", "404", "405", "422", "431"}},
}

// TestAttackers is the process of the attackers, which TestStorm starts: they attack until it closes their standard input.
func TestAttackers(t *testing.T) {
	allocator, keepalive, given := strings.Cut(strings.ReplaceAll(os.Getenv(attackersEnv), "http://", ""), " ")
	if !given {
		t.Skip("run by TestStorm")
	}
	targets := []target{{allocator, "/v1/leases"}, {keepalive, "/v1/leases/x/keepalive"}}
	ctx, stop := context.WithCancel(t.Context())
	a := &attackers{ctx: ctx, got: tally{}}
	var opened sync.WaitGroup
	opened.Add(slowHeaders)
	for range slowHeaders {
		a.busy.Go(func() { a.slowHeader(keepalive, sync.OnceFunc(opened.Done)) })
	}
	opened.Wait()
	for _, b := range badInput {
		for n := range workers {
			a.busy.Go(func() { a.send(b.name, targets[n%len(targets)], b.pause, b.send) })
		}
	}
	fmt.Print(attackersReady)
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
	a.busy.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(a.got); err != nil {
		t.Fatal(err)
	}
}

// target is a service, and a path there that takes POST.
type target struct{ addr, path string }

// attackers send bad input until the context is over.
type attackers struct {
	ctx  context.Context
	busy sync.WaitGroup

	mu  sync.Mutex
	got tally
}

func (a *attackers) count(kind, answer string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got.count(kind, answer, 1)
}

// pause lets time pass; false when the attack is over.
func (a *attackers) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-a.ctx.Done():
		return false
	}
}

// dial connects to an address; nil when that takes too long. The connection ends with the attack.
func (a *attackers) dial(addr string) (c net.Conn, end func()) {
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(a.ctx, "tcp", addr)
	if err != nil {
		return nil, func() {}
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second)) // if it is closed, writing says so
	stop := context.AfterFunc(a.ctx, func() { _ = c.Close() })
	return c, func() {
		stop()
		_ = c.Close()
	}
}

// slowHeader sends headers that have no end, one after the other.
func (a *attackers) slowHeader(addr string, opened func()) {
	for a.ctx.Err() == nil {
		c, end := a.dial(addr)
		opened()
		if c == nil {
			continue
		}
		_, err := io.WriteString(c, "POST /v1/leases/x/keepalive HTTP/1.1\r\nHost: x\r\n")
		for err == nil && a.pause(slowPause/2+rand.N(slowPause)) {
			_, err = io.WriteString(c, "X-Slow: x\r\n")
		}
		end()
	}
}

// send sends one kind of bad input again and again, each on a connection of its own.
func (a *attackers) send(kind string, to target, pause time.Duration, send func(io.Writer, string) error) {
	for a.pause(pause/2 + rand.N(pause)) {
		c, end := a.dial(to.addr)
		if c == nil {
			continue
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_ = send(c, to.path) // the service closes the connection before the end
		}()
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			_ = answer.Body.Close()
			a.count(kind, strconv.Itoa(answer.StatusCode))
		} else if a.ctx.Err() == nil {
			a.count(kind, "closed")
		}
		end()
		<-sent
	}
}

func endlessBody(w io.Writer, path string) error {
	_, err := io.WriteString(w, "POST "+path+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	for err == nil {
		_, err = io.WriteString(w, "1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n")
	}
	return err
}

func largeBody(w io.Writer, path string) error {
	const size = 10 << 20
	_, err := fmt.Fprintf(w, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", path, size)
	for n := 0; n < size && err == nil; n += 1 << 16 {
		_, err = w.Write(bytes.Repeat([]byte("{"), 1<<16))
	}
	return err
}

func largeHeader(w io.Writer, path string) error {
	_, err := io.WriteString(w, "POST "+path+" HTTP/1.1\r\nHost: x\r\n")
	for n := 0; n < 1<<20 && err == nil; n += 1 << 10 {
		_, err = fmt.Fprintf(w, "X-%d: %s\r\n", n, strings.Repeat("x", 1<<10))
	}
	_, _ = io.WriteString(w, "\r\n")
	return err
}

func brokenJSON(w io.Writer, path string) error {
	body := pick(`{"pool":`, `{"pool":"default",}`, `[1,2`, "{\"holder\":\"\xff\xfe\"}", `{"a":1}{"b":2}`, strings.Repeat("[", 10_000), string(noise(200)))
	_, err := fmt.Fprintf(w, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	return err
}

// madeUp asks about what there is not, with names and tokens of any bytes.
func madeUp(w io.Writer, _ string) error {
	name := pick(url.PathEscape(string(noise(1+rand.IntN(100)))), "default-"+strings.ToLower(secrets.Text()))
	path := pick("/v1/leases/"+name, "/v1/leases/"+name+"/keepalive", "/v1/devices/"+name, "/v1/queues/"+name, "/v1/leases?page_token="+name, "/"+name)
	token := pick(secrets.Text(), string(noise(rand.IntN(200))), url.QueryEscape(string(noise(rand.IntN(60)))))
	_, err := fmt.Fprintf(w, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nLease-Token: %s\r\n\r\n", pick("GET", "POST", "DELETE", "BREW"), path, token)
	return err
}

func noise(n int) []byte {
	some := make([]byte, n)
	for i := range some {
		some[i] = byte(rand.Uint32())
	}
	return some
}

func pick(of ...string) string { return of[rand.IntN(len(of))] }
