package stack_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/client"
	"github.com/automation-infra/automation-infra/lease"
)

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask makes one request, and fails the test only if there is no answer.
func ask(t *testing.T, method, url string, header ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// post makes a POST, whose error is that it was answered with another status, or not at all.
func post(t *testing.T, url string, status int) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != status {
		return fmt.Errorf("%s, want %d", response.Status, status)
	}
	return nil
}

func (l *lab) testGateway(t *testing.T) {
	for _, path := range []string{"/metrics", "//metrics", "/metrics/", "/%6detrics", "/livez", "/readyz/", "/nothing"} {
		a := ask(t, http.MethodGet, l.url+path)
		a.isProblem(t, path, http.StatusNotFound, lease.CodeNotFound)
	}
	for path, kind := range map[string]string{
		"/readyz": "application/json", "/docs": "text/html; charset=utf-8", "/openapi.json": "application/openapi+json", "/v1/devices": "application/json",
	} {
		if a := ask(t, http.MethodGet, l.url+path); a.status != http.StatusOK || a.header.Get("Content-Type") != kind {
			t.Errorf("%s: %d %s", path, a.status, a.header.Get("Content-Type"))
		}
	}
	if a := ask(t, http.MethodGet, l.url+"/v1/devices", "X-Request-Id", "mine.1"); a.header.Get("X-Request-Id") != "mine.1" {
		t.Errorf("the request's id became %q", a.header.Get("X-Request-Id"))
	}
	if a := ask(t, http.MethodGet, l.url+"/v1/devices", "X-Request-Id", "not one"); len(a.header.Get("X-Request-Id")) != 36 {
		t.Errorf("no id was made: %q", a.header.Get("X-Request-Id"))
	}
}

// isProblem checks that an answer is a problem as the services write it.
func (a answer) isProblem(t *testing.T, what string, status int, code lease.Code) {
	t.Helper()
	var p struct {
		Title, Detail string
		Status        int
		Code          lease.Code
	}
	err := json.Unmarshal([]byte(a.body), &p)
	if err != nil || a.status != status || p.Status != status || p.Code != code || p.Title == "" || p.Detail == "" ||
		a.header.Get("Content-Type") != "application/problem+json" || a.header.Get("X-Request-Id") == "" {
		t.Errorf("%s: %d %v %.300s, %v", what, a.status, a.header, a.body, err)
	}
	if (status == http.StatusServiceUnavailable) != (a.header.Get("Retry-After") == "1") {
		t.Errorf("%s: %d with Retry-After %q", what, status, a.header.Get("Retry-After"))
	}
}

// waitTime is longer than any timeout of the gateway but the one for those that wait.
const waitTime = 40 * time.Second

// waitInLine has somebody wait for a device that somebody else has.
func (l *lab) waitInLine(t *testing.T) <-chan error {
	t.Helper()
	spare := client.Request{Demands: []lease.Demand{{Name: "spare"}}, TTL: 10 * time.Minute}
	if _, err := l.client.Acquire(t.Context(), spare, client.Waiting{}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	start := time.Now()
	go func() {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, l.url+"/v1/leases?wait="+waitTime.String(), strings.NewReader(`{"name":"spare"}`))
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode != http.StatusAccepted || time.Since(start) < waitTime {
				err = fmt.Errorf("%s after %s", response.Status, time.Since(start))
			}
		}
		done <- err
	}()
	return done
}

func testLongWait(t *testing.T, waited <-chan error) {
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

// noticeLimit is how late an allocator may hear that a client has gone: well before the gateway's own timeouts.
const noticeLimit = 5 * time.Second

// testAbandonedWait has a client go away that waits in line: the allocator is to hear of it at once.
func (l *lab) testAbandonedWait(t *testing.T) {
	allocator := l.only(t, "allocator")
	waiting := func(want float64) func() error {
		return func() error {
			if n := scraped(t, allocator, "8080", "lease_waiting_requests"); n != want {
				return fmt.Errorf("%.0f", n)
			}
			return nil
		}
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	left := make(chan struct{})
	go func() {
		defer close(left)
		request, _ := http.NewRequestWithContext(ctx, http.MethodPost, l.url+"/v1/leases?wait=5m", strings.NewReader(`{"name":"spare"}`))
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close()
		}
	}()
	eventually(t, "one waits", waiting(1))
	start := time.Now()
	leave()
	<-left
	eventually(t, "none waits", waiting(0))
	took := time.Since(start)
	t.Logf("noticed in at most %.1f s", took.Seconds())
	if took > noticeLimit {
		t.Errorf("noticed after %s, want %s", took, noticeLimit)
	}
}

// testOutages has clients see what is wrong: by a service that has no Redis, and by the gateway that has no service.
func (l *lab) testOutages(t *testing.T) {
	readiness := func(status int, what string) {
		t.Helper()
		eventually(t, "/readyz says "+what, func() error {
			if a := ask(t, http.MethodGet, l.url+"/readyz"); a.status != status || !strings.Contains(a.body, what) {
				return fmt.Errorf("%d %s", a.status, a.body)
			}
			return nil
		})
	}
	keepalive, token := l.held[0].KeepaliveURL, string(l.held[0].Token)
	redis := l.only(t, "redis")
	docker(t, "stop", redis)
	readiness(http.StatusServiceUnavailable, "no allocator is ready")
	for url, words := range map[string]string{l.url + "/v1/leases": "lease store", keepalive: "lease store"} {
		a := ask(t, http.MethodPost, url, "Lease-Token", token)
		a.isProblem(t, "without Redis", http.StatusServiceUnavailable, lease.CodeUnavailable)
		if !strings.Contains(a.body, words) {
			t.Errorf("%s: not the service's own words, but %s", url, a.body)
		}
	}
	docker(t, "start", redis)
	readiness(http.StatusOK, "true")
	for _, container := range l.containers(t, "keepalive") {
		docker(t, "stop", container)
	}
	readiness(http.StatusServiceUnavailable, "no keepalive service is ready")
	ask(t, http.MethodPost, keepalive, "Lease-Token", token).isProblem(t, "without keepalive services", http.StatusServiceUnavailable, lease.CodeUnavailable)
	l.up(t)
	readiness(http.StatusOK, "true")
}

func (l *lab) testTLS(t *testing.T) {
	pool, text := certificate(t)
	write(t, filepath.Join(filepath.Dir(inventoryFile()), "certificates", "lab.pem"), text)
	port := freePort(t)
	secure := *l.stack
	secure.files = []string{"docker-compose.yml", "docker/docker-compose.tls.yml"}
	secure.env = append(secure.env, "TLS_DIR=./lab/certificates", "GATEWAY_TLS_BIND=127.0.0.1", "GATEWAY_TLS_PORT="+port)
	secure.up(t)
	for _, http2 := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: http2}
		t.Cleanup(transport.CloseIdleConnections)
		c, err := client.New("https://127.0.0.1:"+port, client.Options{HTTP: &http.Client{Transport: transport}})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "a lease by TLS", func() error { return l.cycle(t.Context(), c) })
		response, err := (&http.Client{Transport: transport}).Get("https://127.0.0.1:" + port + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK || (response.ProtoMajor == 2) != http2 {
			t.Errorf("%s %s", response.Proto, response.Status)
		}
	}
	if err := l.cycle(t.Context(), l.client); err != nil {
		t.Errorf("without TLS: %v", err)
	}
}

// certificate returns a fresh self-signed certificate of this machine, as who trusts it and as a file with its key.
func certificate(t *testing.T) (*x509.CertPool, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(public)
	return pool, string(public) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}
