package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// buildService builds the standalone service, once, for the scripts that lease from it.
var buildService = sync.OnceValues(func() (string, error) {
	path := filepath.Join(built, "standalone")
	if out, err := exec.Command("go", "build", "-o", path, "../standalone").CombinedOutput(); err != nil {
		return path, fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// built is a folder for what is built, if anything is.
var built string

// tests runs the tests, and removes what was built. They wait for leases to end most of the time, hence more at once than usual.
type tests struct{ m *testing.M }

func (t tests) Run() int {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(8*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	var err error
	if built, err = os.MkdirTemp("", "leasectl"); err != nil {
		panic(err)
	}
	code := t.m.Run()
	_ = os.RemoveAll(built)
	http.DefaultClient.CloseIdleConnections()
	if leak := goleak.Find(); code == 0 && leak != nil {
		fmt.Fprintln(os.Stderr, leak)
		return 1
	}
	return code
}

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"leasectl": main})
}
