package assets

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/coding"
)

// index is everything that is served at one moment.
type index struct {
	byName    map[string]*Asset
	byTarget  map[string]*Asset
	names     []string        // sorted
	exts      map[string]bool // of names, in lower case and with their dots
	originals map[string]*original
	build     *build          // what build tools say; nil without any
	unread    map[string]bool // files that exist and could not be read
	tree      *tree           // the tree of originals
	made      time.Time
	version   string
}

// newIndex looks at all files of t. Files that have not changed since before, which may be nil, are
// not read again.
func (s *Set) newIndex(t *tree, before *index) (*index, error) {
	w := walk{fsys: t.files, follow: s.options.Follow}
	if err := w.below(".", nil, false); err != nil {
		return nil, err
	}
	slices.SortFunc(w.found, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	ix := &index{byName: make(map[string]*Asset, len(w.found)), byTarget: make(map[string]*Asset, len(w.found)), exts: map[string]bool{}, unread: map[string]bool{}, tree: t, made: time.Now()}
	err := s.readAll(ix, w.found, before)
	if err != nil {
		return nil, err
	}
	originals := ix.originals
	if ix.build, err = s.readBuild(t.files, originals); err != nil {
		return nil, err
	}
	for name, o := range originals {
		if s.hidden(name, func(base string) bool { return originals[base] != nil }) {
			continue
		}
		ix.names = append(ix.names, name)
		ix.exts[strings.ToLower(path.Ext(name))] = true
		a := &Asset{Name: name, Size: o.size, Sum: o.sum, kind: hashed, media: s.options.Types.of(name), from: o, size: o.size, bound: true}
		switch {
		case s.options.Types.fixed(name):
			a.kind = plain
		case ix.build.names(name) && !s.changed(name, o, before):
			a.kind = output
		}
		if !o.constant {
			a.watch = []*original{o}
		}
		ix.byName[name] = a
	}
	slices.Sort(ix.names)
	s.resolve(ix)
	digest := sha256.New()
	for _, name := range ix.names {
		a := ix.byName[name]
		s.finish(a, ix, before)
		fmt.Fprintf(digest, "%q %x\n", name, a.Sum)
	}
	ix.version = hex.EncodeToString(digest.Sum(nil)[:hashLength/2])
	return ix, nil
}

// changed reports whether an output of a build tool had other bytes before, with the same name.
// Then its name has no hash, whatever the tool says, and is never trusted again.
func (s *Set) changed(name string, o *original, before *index) bool {
	if before != nil && before.originals[name] != nil && before.originals[name].sum != o.sum {
		s.unreliable[name] = true
	}
	return s.unreliable[name]
}

// readAll hashes files, on all processors. A file that is written all the time, or that may not be
// read, is left out, so that the others are served.
func (s *Set) readAll(ix *index, found []entry, before *index) error {
	all := make([]*original, len(found))
	errs := make([]error, len(found))
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(found)) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(found); i = int(next.Add(1)) - 1 {
				e := found[i]
				// Nothing known about files of another folder holds for this one, not even their
				// inode numbers, which the file system may have reused.
				if before != nil && before.tree == ix.tree {
					if o := before.originals[e.name]; o != nil && (o.constant || o.is(e.info) && !o.racy.Load() && !o.replaced(e.info)) {
						all[i] = o
						continue
					}
				}
				all[i], errs[i] = read(ix.tree.files, e.name, s.options.Types.of(e.name).class == style)
			}
		})
	}
	group.Wait()
	ix.originals = make(map[string]*original, len(found))
	for i, o := range all {
		switch {
		case errors.Is(errs[i], fs.ErrNotExist): // removed since
		case errors.Is(errs[i], errChanged), errors.Is(errs[i], fs.ErrPermission):
			ix.unread[found[i].name] = true
			s.report("unread "+found[i].name, "edgecache: a static file is left out", "file", found[i].name, "reason", errs[i].Error())
		case errs[i] != nil:
			return errs[i]
		default:
			ix.originals[o.name] = o
		}
	}
	return nil
}

// outdated reports whether ix does not know what name is now. Then the index must be made again.
func (s *Set) outdated(ix *index, name string) bool {
	if a := ix.byName[name]; a != nil {
		return !a.current()
	}
	switch {
	case !validName(name), ix.originals[name] != nil, s.hidden(name, func(base string) bool { return ix.originals[base] != nil }):
		return false // not for clients
	case ix.unread[name] && time.Since(ix.made) < pause:
		return false
	}
	info, err := fs.Stat(ix.tree.files, name)
	if err != nil { // its tree may be closed, or another folder may just have taken its place
		return s.index.Load() != ix || s.source.replaced(ix.tree, true)
	}
	return info.Mode().IsRegular() && (s.options.Follow || !linked(ix.tree.files, name))
}

// hidden reports whether a file is for us and not for clients.
func (s *Set) hidden(name string, exists func(string) bool) bool {
	if name == s.options.ViteManifest || name == s.options.ESBuildMetafile {
		return true
	}
	for c := coding.Brotli; c < coding.Count; c++ {
		if base, ok := strings.CutSuffix(name, c.Extension()); ok && exists(base) {
			return true
		}
	}
	return false
}

// current reports whether all files of the index are unchanged.
func (ix *index) current() bool {
	for _, o := range ix.originals {
		if !o.current() {
			return false
		}
	}
	return true
}
