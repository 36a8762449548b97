package service

import (
	"context"
	"net"

	"golang.org/x/net/netutil"

	"github.com/automation-infra/automation-infra/api"
)

// received is about how many bytes the kernel keeps of a connection that are not read yet: a whole request. It would be megabytes, which
// clients could fill that send more than they may.
const received = api.MaxHeaderBytes + api.MaxBodyBytes

// listen listens at an address, for one of so many services of the process. It accepts connections as long as they take three quarters
// of the files that the process may have open, for one service: others wait until some are closed. So clients, however many, leave
// enough for Redis and the inventory; and those who are connected are served.
func listen(ctx context.Context, addr string, services int) (net.Listener, error) {
	l, err := (&net.ListenConfig{Control: limitReceived}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if files := maxOpenFiles(); files > 0 {
		l = netutil.LimitListener(l, files*3/4/services)
	}
	return l, nil
}
