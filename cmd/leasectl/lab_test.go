package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// patience is how long anything may take that happens by itself; a machine under load is slow.
const patience = 40 * time.Second

// inventory is that of a lab that says no other: its leases are short.
const inventory = `pools:
  default:
    ttl: 3s
    ask_within: 5s
    devices:
      - name: d1
        labels: {model: a}
        connection: {host: 192.0.2.1, port: 22, user: pi, password: "it's $HOME"}
`

// lab is a service of its own, and the network in front of it.
type lab struct {
	dir              string
	service          *exec.Cmd // nil while there is none
	log              bytes.Buffer
	url, redis       string
	allocator, alive *wire
}

func openLab(dir string) (*lab, error) {
	l := &lab{dir: dir}
	host := "127.0.0.1"
	if runtime.GOOS == "linux" { // an address of its own, so that nobody takes its ports between now and its start
		host = fmt.Sprintf("127.%d.%d.%d", 1+rand.N(250), rand.N(250), 1+rand.N(250))
	}
	addrs := make([]string, 3)
	for i := range addrs {
		listener, err := net.Listen("tcp", host+":0")
		if err != nil {
			return nil, err
		}
		addrs[i] = listener.Addr().String()
		defer listener.Close() //nolint:errcheck // it was only for its port
	}
	l.url, l.redis = "http://"+addrs[0], addrs[2]
	var err error
	if l.allocator, err = openWire(addrs[0]); err == nil {
		l.alive, err = openWire(addrs[1])
	}
	path := filepath.Join(dir, "inventory.yaml")
	if _, missing := os.Stat(path); missing != nil {
		err = errors.Join(err, os.WriteFile(path, []byte(inventory), 0o600))
	}
	return l, err
}

func (l *lab) close() {
	_ = l.kill() // it may have ended
	l.allocator.close()
	l.alive.close()
}

// start starts the service, on the same ports each time, and waits until it is ready.
func (l *lab) start() error {
	path, err := buildService()
	if err != nil {
		return err
	}
	l.service = exec.Command(path)
	l.service.Env = []string{
		"ALLOCATOR_ADDR=" + l.allocator.to, "KEEPALIVE_ADDR=" + l.alive.to, "EMBEDDED_REDIS_ADDR=" + l.redis, "KEEPALIVE_URL=http://" + l.alive.addr(),
		"INVENTORY=" + filepath.Join(l.dir, "inventory.yaml"), "RETRY_AFTER=1s", "LOG_LEVEL=warn",
	}
	l.service.Stdout, l.service.Stderr = &l.log, &l.log
	if err := l.service.Start(); err != nil {
		return err
	}
	return eventually("the service is not ready", func() bool {
		for _, addr := range []string{l.allocator.to, l.alive.to} {
			reply, err := http.Get("http://" + addr + "/readyz")
			if err != nil {
				return false
			}
			_ = reply.Body.Close()
			if reply.StatusCode != http.StatusOK {
				return false
			}
		}
		return true
	})
}

// kill ends the service as a crash does.
func (l *lab) kill() error {
	if l.service == nil {
		return nil
	}
	defer func() { l.service = nil }()
	err := l.service.Process.Kill()
	_ = l.service.Wait() // it was killed
	return err
}

// device is what the service says of a device.
type device struct {
	State string    `json:"state"`
	Since time.Time `json:"since_time"`
}

func (l *lab) get(path string, into any) error {
	reply, err := http.Get(l.url + path)
	if err != nil {
		return err
	}
	defer reply.Body.Close() //nolint:errcheck // it was read
	if reply.StatusCode != http.StatusOK {
		return errors.New(reply.Status)
	}
	return json.NewDecoder(reply.Body).Decode(into)
}

// becomes waits until a device is in a state, and the service knows since when: of a lock that expired, it finds that out a little later.
func (l *lab) becomes(name, state string) (d device, err error) {
	err = eventually(fmt.Sprintf("%s is not %s", name, state), func() bool {
		d = device{}
		return l.get("/v1/devices/"+name, &d) == nil && d.State == state && !d.Since.IsZero()
	})
	return d, err
}

// queue is how many wait in line.
func (l *lab) queue() (int, error) {
	var q struct {
		Queue []json.RawMessage `json:"queue"`
	}
	err := l.get("/v1/queues/default", &q)
	return len(q.Queue), err
}

// revoke takes a device away from its holder, as people with redis-cli do.
func (l *lab) revoke(name string) error {
	conn, err := net.Dial("tcp", l.redis)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // all is read
	key := "lock:{default}:" + name
	if _, err := fmt.Fprintf(conn, "*2\r\n$3\r\nDEL\r\n$%d\r\n%s\r\n", len(key), key); err != nil {
		return err
	}
	reply := make([]byte, 4)
	if _, err := io.ReadFull(conn, reply); err != nil || string(reply) != ":1\r\n" {
		return fmt.Errorf("DEL %s: %q %w", key, reply, err)
	}
	return nil
}

// eventually waits until something is so.
func eventually(otherwise string, so func() bool) error {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for begun := time.Now(); !so(); <-poll.C {
		if time.Since(begun) > patience {
			return errors.New(otherwise)
		}
	}
	return nil
}

// wire is a TCP proxy that can be cut.
type wire struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

func openWire(to string) (*wire, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{listener: listener, to: to, conns: map[net.Conn]bool{}}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go w.carry(conn)
		}
	}()
	return w, nil
}

func (w *wire) addr() string { return w.listener.Addr().String() }

// carry joins a connection with the service, unless the wire is cut.
func (w *wire) carry(conn net.Conn) {
	there, err := net.Dial("tcp", w.to)
	if err != nil || !w.keep(conn, there) {
		_ = conn.Close()
		if err == nil {
			_ = there.Close()
		}
		return
	}
	go func() {
		_, _ = io.Copy(there, conn)
		_ = there.Close()
	}()
	_, _ = io.Copy(conn, there)
	_ = conn.Close()
}

func (w *wire) keep(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		w.conns[c] = true
	}
	return !w.cut
}

// set cuts the wire, with all that is on it, or mends it.
func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	for c := range w.conns {
		if cut {
			_ = c.Close()
		}
	}
}

func (w *wire) close() {
	_ = w.listener.Close()
	w.set(true)
}
