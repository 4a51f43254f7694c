package assets

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Source is where files come from: a file system, or a directory on disk. A directory may be
// replaced while it is served: moved away, removed and made again, or reached by a symbolic link
// that is switched. An open os.Root stays with the directory that it opened, so each directory that
// takes its place is opened in turn. The methods of a Source are safe for concurrent use.
type Source struct {
	dir    string // absolute; "" for a file system, or if directories cannot be told apart
	root   bool   // symbolic links are kept inside
	began  time.Time
	looked atomic.Int64 // when replaced last looked, in nanoseconds since began

	mu  sync.Mutex
	now *tree // guarded by mu
}

// tree is a directory that was opened once, or a file system. Its root stays open until its last
// user releases it. A reader that is not a user may find it closed, and then looks for the next
// one.
type tree struct {
	files fs.FS
	root  *os.Root    // nil for a file system
	info  fs.FileInfo // tells the directory from others
	users int         // guarded by Source.mu
}

// FromFS returns fsys as a source. Symbolic links in it are not followed.
func FromFS(fsys fs.FS) *Source {
	return &Source{began: time.Now(), now: &tree{files: fsys, users: 1}}
}

// FromDir returns the directory dir as a source. It opens nothing outside of it. The caller must
// close it.
func FromDir(dir string) (*Source, error) {
	t, err := openTree(dir)
	if err != nil {
		return nil, err
	}
	s := &Source{root: true, began: time.Now(), now: t}
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute // the program may change its working directory
	}
	// On a file system that gives a directory another inode number each time, it would be read
	// again and again.
	if info, err := os.Stat(dir); err == nil && os.SameFile(info, t.info) {
		s.dir = dir
	}
	return s, nil
}

func openTree(dir string) (*tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &tree{files: Folder(root), root: root, info: info, users: 1}, nil
}

// replaced reports whether another directory is now where t was. It looks once in a pause, or each
// time if always is set. A missing directory does not replace the one before.
func (s *Source) replaced(t *tree, always bool) bool {
	if s.dir == "" {
		return false
	}
	if !always {
		now, before := int64(time.Since(s.began)), s.looked.Load()
		if now-before < int64(pause) || !s.looked.CompareAndSwap(before, now) {
			return false
		}
	}
	info, err := os.Stat(s.dir)
	return err == nil && info.IsDir() && !os.SameFile(info, t.info)
}

// use returns the files as they are now. The caller must release the tree.
func (s *Source) use() *tree {
	s.mu.Lock()
	t := s.now
	t.users++
	s.mu.Unlock()
	if !s.replaced(t, true) {
		return t
	}
	next, err := openTree(s.dir)
	if err != nil {
		return t // gone again, or unreadable: the directory from before is better than none
	}
	next.users++
	s.mu.Lock()
	before := s.now
	s.now = next
	s.mu.Unlock()
	s.release(before)
	s.release(t)
	return next
}

// release gives back a tree. The last user closes it.
func (s *Source) release(t *tree) {
	s.mu.Lock()
	t.users--
	last := t.users == 0
	s.mu.Unlock()
	if last && t.root != nil {
		_ = t.root.Close() // nothing was written
	}
}

// Close releases the directory.
func (s *Source) Close() { s.release(s.now) }
