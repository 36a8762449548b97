package storetest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Ports below those that systems give to whoever asks for any: 32768 and up on Linux, 49152 and up by RFC 6335.
const firstPort, endPort = 15000, 32768

// FreeAddr is a loopback address that nobody listens on. As no connection or listener that asks for any port gets this one, it
// stays free until the test uses it, unless another test picks the same of some 18,000.
func FreeAddr(t testing.TB) string {
	t.Helper()
	var taken error
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(endPort-firstPort))) //nolint:gosec // no secret
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
		if err == nil {
			_ = l.Close()
			return addr
		}
		taken = err
	}
	t.Fatalf("find a free port: %v", taken)
	return ""
}
