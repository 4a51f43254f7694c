//go:build unix

package assets_test

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// pipe makes a named pipe: opening it would wait for ever.
func pipe(t *testing.T, path string) {
	require.NoError(t, syscall.Mkfifo(path, 0o600))
}
