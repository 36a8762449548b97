package faults_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/automation-infra/automation-infra/store/storetest"
)

// wire is what lies between two processes, and can be made bad.
type wire struct {
	*toxiproxy.Proxy
}

// newWire lays a wire to an address.
func newWire(t *testing.T, to string) *wire {
	t.Helper()
	w := &wire{}
	w.lay(t, storetest.FreeAddr(t), to)
	t.Cleanup(func() { w.Stop() })
	return w
}

func (w *wire) lay(t *testing.T, from, to string) {
	t.Helper()
	quiet := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	w.Proxy = toxiproxy.NewProxy(quiet, "wire", from, to)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
}

// toxic is something bad, as toxiproxy takes it.
type toxic struct {
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Stream     string         `json:"stream"` // upstream or downstream
	Toxicity   float64        `json:"toxicity"`
	Attributes map[string]int `json:"attributes"`
}

// spoil makes the wire bad, and returns what lays a good one in its place, which breaks all connections. To take a toxic out of one that
// breaks just then can take toxiproxy for ever: a slicer that nobody reads from any longer can't be interrupted.
func (w *wire) spoil(t *testing.T, kind, stream string, toxicity float64, attributes map[string]int) (mend func()) {
	t.Helper()
	bad, err := json.Marshal(toxic{kind + "-" + stream, kind, stream, toxicity, attributes})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Toxics.AddToxicJson(strings.NewReader(string(bad))); err != nil {
		t.Errorf("%s: %v", bad, err)
	}
	return func() {
		w.Stop()
		w.lay(t, w.Listen, w.Upstream)
	}
}

// cut lets nothing pass in either direction, while the connections stay.
func (w *wire) cut(t *testing.T) (mend func()) {
	t.Helper()
	w.spoil(t, "timeout", "upstream", 1, map[string]int{"timeout": 0})
	return w.spoil(t, "timeout", "downstream", 1, map[string]int{"timeout": 0})
}
