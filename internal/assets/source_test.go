package assets

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/coding"
)

func testOptions() Options {
	return Options{
		Prefix: "/static/", MaxEncodedBytes: 1 << 20, Log: slog.New(slog.DiscardHandler), Report: func(http.Header, *http.Request, Verdict) {},
	}
}

// TestSourceClosesWhatItOpens holds that one root is open after a directory was replaced many
// times, with requests or without, and none after Close.
func TestSourceClosesWhatItOpens(t *testing.T) {
	for _, dev := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dist")
			remake := func() {
				require.NoError(t, os.RemoveAll(dir))
				require.NoError(t, os.Mkdir(dir, 0o700))
				require.NoError(t, os.WriteFile(filepath.Join(dir, "a.js"), []byte("a"), 0o600))
			}
			remake()
			source, err := FromDir(dir)
			require.NoError(t, err)
			options := testOptions()
			options.Dev = dev
			s, err := New(source, options)
			require.NoError(t, err)
			var seen []*tree
			for i := range 5 {
				remake()
				time.Sleep(pause)
				if i%2 == 0 {
					_, err = s.ImportMap()
					require.NoError(t, err)
				}
				used := source.use()
				seen = append(seen, used)
				source.release(used)
				s.present()
				if s.index.Load().tree != used {
					t.Errorf("Dev %v: the index is not of the folder that is there", dev)
				}
			}
			for i, tree := range seen {
				_, err := tree.root.Stat(".")
				if open := err == nil; open != (i == len(seen)-1) {
					t.Errorf("Dev %v: root %d of %d is open: %v", dev, i+1, len(seen), open)
				}
			}
			require.NoError(t, s.Close())
			if _, err := seen[len(seen)-1].root.Stat("."); err == nil {
				t.Error("the last root is open after Close")
			}
		})
	}
}

// TestSourceLooksOnceInAPause holds that not every request looks for the directory.
func TestSourceLooksOnceInAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dist")
		require.NoError(t, os.Mkdir(dir, 0o700))
		source, err := FromDir(dir)
		require.NoError(t, err)
		defer source.Close()
		time.Sleep(pause)
		require.False(t, source.replaced(source.now, false))
		require.NoError(t, os.Rename(dir, dir+".old"))
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.False(t, source.replaced(source.now, false), "within the pause")
		time.Sleep(pause - 1)
		require.False(t, source.replaced(source.now, false), "within the pause")
		time.Sleep(1 * time.Nanosecond)
		require.True(t, source.replaced(source.now, false), "after it")
		require.False(t, source.replaced(source.now, false), "the next pause")
		require.True(t, source.replaced(source.now, true), "always")
	})
}

// TestVariantOfAFileThatWasAway holds that a file which was missing when it should be compressed is
// compressed later: a file with the same bytes that takes its place has its state.
func TestVariantOfAFileThatWasAway(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.js")
	text := make([]byte, 4000)
	require.NoError(t, os.WriteFile(name, text, 0o600))
	source, err := FromDir(dir)
	require.NoError(t, err)
	s, err := New(source, testOptions())
	require.NoError(t, err)
	defer s.Close()
	before := s.index.Load().byName["a.js"]
	require.NoError(t, os.Remove(name))
	require.Nil(t, s.worker.make(before, coding.Gzip))
	require.NoError(t, os.WriteFile(name, text, 0o600))
	_, after := s.latest("a.js")
	require.Same(t, before.state, after.state)
	require.NotNil(t, s.worker.make(after, coding.Gzip))
}
