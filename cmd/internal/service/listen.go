package service

import (
	"context"
	"net"

	"golang.org/x/net/netutil"
)

// listen listens at an address, for one of so many services of the process. It accepts connections as long as they take three quarters
// of the files that the process may have open, for one service: others wait until some are closed. So clients, however many, leave
// enough for Redis and the inventory; and those who are connected are served.
func listen(ctx context.Context, addr string, services int) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if files := maxOpenFiles(); files > 0 {
		l = netutil.LimitListener(l, files*3/4/services)
	}
	return l, nil
}
