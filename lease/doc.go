// Package lease is the domain of the lease service: devices, leases, tokens, selectors and error codes, and the rules
// that hold wherever they are used. It knows neither HTTP nor Redis and imports nothing else of this module, so that the
// services and the clients share one vocabulary.
package lease
