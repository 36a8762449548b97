// Package client leases test hardware from the lease service.
//
//	c, err := client.New("http://lab.example.com:8080", client.Options{})
//	…
//	err = c.Run(ctx, client.Request{
//		Demands: []lease.Demand{{Selector: "model=rpi4", As: "board"}},
//		Holder:  "nightly",
//	}, client.Waiting{For: 10 * time.Minute}, func(ctx context.Context, l *client.Lease) error {
//		return flash(ctx, l.Devices[0].Connection)
//	})
//
// Run is Acquire, Hold, the function, and the release, on every path. What this package promises:
//
//   - No device is leaked. Acquire makes the lease's token itself and repeats a request with it until a reply arrives, which is
//     the same lease however often it is asked for. When Acquire returns an error, it has given up whatever it had, or might
//     have had; what it can't reach ends by itself, a lease after its TTL, a place in line after the pool's ask_within.
//   - No device is shared. Hold cancels its context when the service says that the lease is over, and also when no keepalive
//     got through in time: a TTL after the last one that did was sent, on this process's monotonic clock. No other holder can
//     have the device before that, since the service counts from when it arrived, and adds a grace. The monotonic clock stands
//     still while a machine is suspended; after that, the next keepalive tells.
//   - An outage is no end. Transport errors and 503 are asked again, with growing pauses and when the service wants it.
//   - Errors keep their codes: errors.Is(err, lease.ErrNoneFree) holds here as it does in the service, and errors.As gives the
//     [lease.Error] with its message, field, end and availability.
//   - Tokens and connections are not printed, logged or marshalled.
package client
