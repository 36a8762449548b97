package stack_test

import (
	"net/http"
	"testing"

	"go.uber.org/goleak"
)

// TestMain proves that no goroutine is left behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

type tests struct{ m *testing.M }

func (t tests) Run() int {
	code := t.m.Run()
	http.DefaultClient.CloseIdleConnections()
	return code
}
