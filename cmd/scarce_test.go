package cmd_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/automation-infra/automation-infra/store/storetest"
)

const (
	fewDescriptors = 256
	flood          = 2 * fewDescriptors // connections that nobody uses
)

// startScarce starts a program that may open few files and connections.
func startScarce(t *testing.T, name string, env ...string) *program {
	t.Helper()
	return startAs(t, exec.Command("sh", "-c", fmt.Sprintf("ulimit -n %d; exec %s", fewDescriptors, path(t, name))), env...)
}

// held is a lease that a test keeps.
type held struct {
	ID, Token    string
	KeepaliveURL string `json:"keepalive_url"`
}

func acquire(t *testing.T, allocator string) held {
	t.Helper()
	status, body := post(t, allocator+"/v1/leases", "")
	var h held
	if err := json.Unmarshal([]byte(body), &h); err != nil || status != http.StatusCreated {
		t.Fatalf("allocate: %d %s %v", status, body, err)
	}
	return h
}

// holder is somebody who keeps a lease alive over one connection.
type holder struct {
	t    *testing.T
	conn net.Conn
	held
}

func (h held) connect(t *testing.T, base string) *holder {
	t.Helper()
	return &holder{t: t, conn: dial(t, base), held: h}
}

func dial(t *testing.T, base string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// keep keeps the lease alive, and returns the answer; the status is 0 when there is none.
func (h *holder) keep() (status int, retryAfter string) {
	h.t.Helper()
	r, err := http.NewRequest(http.MethodPost, h.KeepaliveURL, http.NoBody)
	if err != nil {
		panic(err) // the service said so
	}
	r.Header.Set("Lease-Token", h.Token)
	_ = h.conn.SetDeadline(time.Now().Add(patience)) // if it is closed, writing says so too
	if err := r.Write(h.conn); err != nil {
		h.t.Error(err)
		return 0, ""
	}
	answer, err := http.ReadResponse(bufio.NewReader(h.conn), r)
	if err != nil {
		h.t.Error(err)
		return 0, ""
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, answer.Body) // it is short
	return answer.StatusCode, answer.Header.Get("Retry-After")
}

// want keeps the lease alive.
func (h *holder) want(status int) {
	h.t.Helper()
	if got, _ := h.keep(); got != status {
		h.t.Errorf("keepalive: %d, want %d", got, status)
	}
}

// TestFewDescriptors: services that may open 256 files and connections bear twice as many connections; whoever came before is served
// meanwhile, even if Redis has to be connected to anew, and all others when those have gone.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	r := realRedis(t)
	allocatorAddr, keepaliveAddr := storetest.FreeAddr(t), storetest.FreeAddr(t)
	keepaliveService := startScarce(t, "keepalive", "KEEPALIVE_ADDR="+keepaliveAddr, "REDIS_ADDRS="+r.Addr)
	allocatorService := startScarce(t, "allocator", "ALLOCATOR_ADDR="+allocatorAddr, "INVENTORY=../config/inventory.example.yaml",
		"KEEPALIVE_URL=http://"+keepaliveAddr, "REDIS_ADDRS="+r.Addr)
	allocator, keepalive := "http://"+allocatorAddr, "http://"+keepaliveAddr
	get(t, allocator+"/readyz", http.StatusOK)
	get(t, keepalive+"/readyz", http.StatusOK)
	h := acquire(t, allocator).connect(t, keepalive)
	h.want(http.StatusOK)

	var crowd []net.Conn
	for range flood {
		crowd = append(crowd, dial(t, allocator), dial(t, keepalive))
	}
	before := processorTime(t, keepaliveService)
	full(t, r, 1)
	h.want(http.StatusServiceUnavailable)
	wait(t, 1500*time.Millisecond) // net/http tries to accept once a second at the least, and takes what descriptors there are
	full(t, r, 1000)
	h.want(http.StatusOK)
	if took := processorTime(t, keepaliveService) - before; took > time.Second {
		t.Errorf("the flooded service used the processor for %s of 1.5 s", took)
	}
	for _, c := range crowd {
		_ = c.Close()
	}
	get(t, allocator+"/readyz", http.StatusOK)
	get(t, keepalive+"/readyz", http.StatusOK)
	acquire(t, allocator)
	h.want(http.StatusOK)
	for _, p := range []*program{keepaliveService, allocatorService} {
		p.signal(syscall.SIGTERM)
		if code := p.wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

// full has Redis take so many connections and no more, and closes all but the test's own.
func full(t *testing.T, r *storetest.Redis, most int) {
	t.Helper()
	_, err := r.Client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		p.ConfigSet(t.Context(), "maxclients", fmt.Sprint(most))
		p.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		p.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wait lets time pass in which nothing is to happen.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// processorTime is how long a program has used the processor; 0 where /proc does not say.
func processorTime(t *testing.T, p *program) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const user, system, tick = 11, 12, 10 * time.Millisecond // proc_pid_stat(5), counted from the state; USER_HZ is 100 everywhere
	var ticks [2]int64
	for i, field := range []int{user, system} {
		if _, err := fmt.Sscan(fields[field], &ticks[i]); err != nil {
			t.Fatal(err)
		}
	}
	return time.Duration(ticks[0]+ticks[1]) * tick
}

// TestRedisWithoutRoom: 20 connections to Redis are enough for many holders. When others have taken them, that is an outage, which is
// over as soon as they have gone.
func TestRedisWithoutRoom(t *testing.T) {
	t.Parallel()
	const maxClients, holders = 20, 50
	r := realRedis(t, "--maxclients", fmt.Sprint(maxClients))
	_, allocator, keepalive := services(t, r.Addr)
	get(t, allocator+"/readyz", http.StatusOK)
	get(t, keepalive+"/readyz", http.StatusOK)
	lease := acquire(t, allocator)
	var all sync.WaitGroup
	for range holders {
		h := lease.connect(t, keepalive)
		all.Go(func() {
			for range 20 {
				if status, _ := h.keep(); status != http.StatusOK {
					t.Errorf("one of %d holders: %d", holders, status)
				}
			}
		})
	}
	all.Wait()

	others := crowdOut(t, r, maxClients)
	h := lease.connect(t, keepalive)
	if status, retryAfter := h.keep(); status != http.StatusServiceUnavailable || retryAfter != "1" {
		t.Errorf("keepalive: %d, Retry-After %q", status, retryAfter)
	}
	if status, body := post(t, allocator+"/v1/leases", ""); status != http.StatusServiceUnavailable || !strings.Contains(body, "store_unavailable") {
		t.Errorf("allocate: %d %s", status, body)
	}
	get(t, keepalive+"/readyz", http.StatusServiceUnavailable)
	get(t, keepalive+"/livez", http.StatusOK)
	for _, c := range others {
		_ = c.Close()
	}
	get(t, allocator+"/readyz", http.StatusOK)
	get(t, keepalive+"/readyz", http.StatusOK)
	h.want(http.StatusOK)
	acquire(t, allocator)
}

// crowdOut takes all connections that a Redis takes, but for the test's own, from those who have them.
func crowdOut(t *testing.T, r *storetest.Redis, maxClients int) (taken []net.Conn) {
	t.Helper()
	for ours := ""; len(taken) < maxClients-1; {
		list, err := r.Client.ClientList(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(list) {
			id, addr := clientField(line, "id"), clientField(line, "addr")
			if !strings.Contains(line, " cmd=client") && !strings.Contains(ours, addr+" ") {
				_ = r.Client.Do(t.Context(), "CLIENT", "KILL", "ID", id).Err() // it may have gone
			}
		}
		c := dial(t, "http://"+r.Addr)
		if _, err := io.WriteString(c, "PING\r\n"); err != nil {
			continue // somebody was quicker
		}
		if answer, _ := bufio.NewReader(c).ReadString('\n'); answer == "+PONG\r\n" {
			taken, ours = append(taken, c), ours+c.LocalAddr().String()+" "
		}
	}
	return taken
}

// clientField is a field of a line of CLIENT LIST.
func clientField(line, name string) string {
	_, rest, _ := strings.Cut(" "+line, " "+name+"=")
	value, _, _ := strings.Cut(rest, " ")
	return value
}
