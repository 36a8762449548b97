package config_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain proves that no goroutine is left behind, such as one that watches a file.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
