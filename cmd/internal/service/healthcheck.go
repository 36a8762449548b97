package service

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// healthcheckTimeout is how long a service may take to say whether it is ready.
const healthcheckTimeout = 2 * time.Second

// Command returns what the arguments of a program ask for: to serve when there are none, or, by "healthcheck", to find out whether
// the service that runs on this machine is ready, which is how container engines ask. Other arguments are an error.
func Command(args []string, serve, healthcheck func(context.Context) error) func(context.Context) error {
	switch {
	case len(args) == 0:
		return serve
	case len(args) == 1 && args[0] == "healthcheck":
		return healthcheck
	}
	return func(context.Context) error {
		return fmt.Errorf("%q: the only argument there is is healthcheck; the configuration is in the environment", strings.Join(args, " "))
	}
}

// Healthcheck asks the service that listens at an address whether it is ready. The error, of one line, says why it is not. It does
// without an http.Client, whose 350 kB the images have not got to spare.
func Healthcheck(ctx context.Context, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if host == "" || net.ParseIP(host).IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	return askReady(conn)
}

// askReady asks over a connection to a service.
func askReady(conn net.Conn) error {
	request, err := http.NewRequest(http.MethodGet, "http://"+conn.RemoteAddr().String()+"/readyz", http.NoBody) //nolint:noctx // the connection has a deadline
	if err != nil {
		return err
	}
	if err := request.Write(conn); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return fmt.Errorf("%s: %w", request.URL, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	const enough = 200 // bytes, to say why
	why, _ := io.ReadAll(io.LimitReader(answer.Body, enough))
	return fmt.Errorf("%s: %s %s", request.URL, answer.Status, strings.Join(strings.Fields(string(why)), " "))
}
