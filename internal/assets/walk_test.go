package assets

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWalkOfOddNames holds that the walk ends on a file system that lists names no file can have:
// an empty one, or one of dots, names the folder that is being listed, or one above it.
func TestWalkOfOddNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "/", "a/b", "a/..", "../sub", "sub/", `a\b`, "c:", "\x00"} {
		t.Run(strconv.Quote(name), func(t *testing.T) {
			tree := odd{fstest.MapFS{"sub/deep/a.txt": {Data: []byte("a")}}, name, t}
			w := walk{fsys: tree}
			require.NoError(t, w.below(".", nil, false))
			var names []string
			for _, e := range w.found {
				names = append(names, e.name)
			}
			require.Equal(t, []string{"sub/deep/a.txt"}, names)
		})
	}
}

// TestWalkWithoutEnd holds that too many folders are an error, even without a file in any of them.
func TestWalkWithoutEnd(t *testing.T) {
	w := walk{fsys: endless{}}
	require.ErrorContains(t, w.below(".", nil, false), "folders")
}

// odd lists a folder of an odd name in each folder.
type odd struct {
	fstest.MapFS
	name string
	t    *testing.T
}

func (o odd) ReadDir(dir string) ([]fs.DirEntry, error) {
	list, err := o.MapFS.ReadDir(dir)
	if len(dir) > 100 {
		o.t.Fatalf("the walk has come to %s", dir)
	}
	return append(list, listedFolder(o.name)), err
}

// endless has three hundred folders in each of three hundred.
type endless struct{}

func (endless) Open(string) (fs.File, error) { return nil, errors.ErrUnsupported }

func (endless) ReadDir(dir string) ([]fs.DirEntry, error) {
	if strings.Contains(dir, "/") {
		return nil, nil
	}
	list := make([]fs.DirEntry, 300)
	for i := range list {
		list[i] = listedFolder(strconv.Itoa(i))
	}
	return list, nil
}

// listedFolder is a folder in a listing.
type listedFolder string

func (l listedFolder) Name() string               { return string(l) }
func (l listedFolder) IsDir() bool                { return true }
func (l listedFolder) Type() fs.FileMode          { return fs.ModeDir }
func (l listedFolder) Mode() fs.FileMode          { return fs.ModeDir }
func (l listedFolder) Size() int64                { return 0 }
func (l listedFolder) ModTime() time.Time         { return time.Time{} }
func (l listedFolder) Sys() any                   { return nil }
func (l listedFolder) Info() (fs.FileInfo, error) { return l, nil }
