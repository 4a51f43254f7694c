//go:build unix

package assets

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// TestFolderDoesNotWait holds that a pipe in the place of a file makes no request wait for a
// writer.
func TestFolderDoesNotWait(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.txt"), []byte("a"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sub", "b.txt"), []byte("b"), 0o600))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	require.NoError(t, fstest.TestFS(Folder(root), "a.txt", "sub/b.txt"))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	f, err := Folder(root).Open("pipe")
	require.NoError(t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(t, err)
	if info.Mode().IsRegular() {
		t.Error("got a regular file")
	}
	_, err = read(Folder(root), "pipe", false)
	require.ErrorIs(t, err, os.ErrNotExist)
}
