package assets

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/coding"
)

// Bounds of what is indexed: a tree of more is the wrong folder, or one in which symbolic links make ever more ways.
const (
	maxFiles   = 1 << 17
	maxFolders = 1 << 16
	maxLinked  = 1 << 12 // folders, below symbolic links
)

// kind says how long an asset's own URL may be cached.
type kind uint8

const (
	hashed kind = iota // by us: a URL with our hash, beside the plain one
	output             // by a build tool, which has put a hash of its own into the name
	plain              // not at all
)

// Asset is one file that is served. It is immutable but for state.
type Asset struct {
	Name string
	Size int64
	Type string // media type
	Sum  [sha256.Size]byte

	kind     kind
	media    mediaType
	hash     string // in its entity tags and, if kind is hashed, in its URL
	target   string // its name with a hash; "" if there is none
	bound    bool   // target's hash is made of the very bytes
	varies   bool   // it has, or may get, variants
	size     int64
	length   string
	etag     string
	from     *original   // the file
	data     []byte      // what is sent instead of the file: a rewritten stylesheet
	watch    []*original // what it is made of, if that can change
	sidecars [coding.Count]*encoded
	state    *state
}

// state is what an asset keeps while its index is made anew around it.
type state struct {
	seen  [coding.Count]atomic.Bool // sent before, by this process
	tried [coding.Count]atomic.Uint32
	made  [coding.Count]atomic.Pointer[encoded]
}

// index is everything that is served, at one moment.
type index struct {
	byName    map[string]*Asset
	byTarget  map[string]*Asset
	names     []string        // sorted
	exts      map[string]bool // of names, in lower case and with their dots
	originals map[string]*original
	build     *build          // what build tools say; nil if there are none
	unread    map[string]bool // files that are there and could not be read
	tree      *tree           // where originals are
	made      time.Time
	version   string
}

// entry is a file that the walk has found.
type entry struct {
	name string
	info fs.FileInfo
}

// walk lists regular files. follow also takes what symbolic links lead to: only os.Root knows that it lies inside.
type walk struct {
	fsys    fs.FS
	follow  bool
	folders int
	linked  int
	found   []entry
}

// below lists what is in a folder; above are those on the way to it, linked says that a symbolic link is.
func (w *walk) below(dir string, above []fs.FileInfo, linked bool) error {
	if linked {
		if w.linked++; w.linked > maxLinked {
			return fmt.Errorf("symbolic links lead to more than %d folders, %s among them", maxLinked, dir)
		}
	}
	if w.folders++; w.folders > maxFolders {
		return fmt.Errorf("more than %d folders, %s among them", maxFolders, dir)
	}
	list, err := fs.ReadDir(w.fsys, dir)
	if err != nil {
		return err
	}
	for _, d := range list {
		// An empty name, or one of dots, would be the folder itself or one above it.
		base, name := d.Name(), path.Join(dir, d.Name())
		if path.Base(name) != base || !validName(name) && name != ".well-known" {
			continue
		}
		var info fs.FileInfo
		link := d.Type()&fs.ModeSymlink != 0
		if link {
			if !w.follow {
				continue
			}
			if info, err = fs.Stat(w.fsys, name); err != nil {
				continue // it leads nowhere, or outside
			}
		} else if info, err = d.Info(); err != nil {
			continue // gone since
		}
		switch {
		case info.IsDir():
			if slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, info) }) {
				continue // a link back up
			}
			if err := w.below(name, append(above[:len(above):len(above)], info), linked || link); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			if len(w.found) == maxFiles {
				return fmt.Errorf("more than %d files", maxFiles)
			}
			w.found = append(w.found, entry{name, info})
		}
	}
	return nil
}

// newIndex looks at all files of t. What has not changed since before, which may be nil, is not read again.
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

// changed reports whether an output of a build tool has had other bytes before, under the same name. Then its name is no hash, whatever the tool says, and it never is one again.
func (s *Set) changed(name string, o *original, before *index) bool {
	if before != nil && before.originals[name] != nil && before.originals[name].sum != o.sum {
		s.unreliable[name] = true
	}
	return s.unreliable[name]
}

// readAll hashes files, on all processors. One that is being written all the time, or that nobody may read, is left out: it must not keep the others from being served.
func (s *Set) readAll(ix *index, found []entry, before *index) error {
	all := make([]*original, len(found))
	errs := make([]error, len(found))
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(found)) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(found); i = int(next.Add(1)) - 1 {
				e := found[i]
				// Nothing that another folder said of its files holds for those in this one: not even their
				// numbers, which the file system may have given out again.
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
		case errors.Is(errs[i], fs.ErrNotExist): // gone since
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

// outdated reports whether ix does not know, or no longer, what lies under a name: then it has to be made anew.
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
	if err != nil { // its tree may be closed, or be what another folder has just taken the place of
		return s.index.Load() != ix || s.source.replaced(ix.tree, true)
	}
	return info.Mode().IsRegular() && (s.options.Follow || !linked(ix.tree.files, name))
}

// hidden reports whether a file is there for us and not for clients.
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

// finish gives an asset its URL, its entity tags and its variants, when its bytes are known.
func (s *Set) finish(a *Asset, ix, before *index) {
	a.Type = a.media.name
	if a.hash == "" {
		a.hash = hex.EncodeToString(a.Sum[:hashLength/2])
	}
	if a.kind == hashed {
		hash := a.hash
		if of := ix.byName[mapped(a.Name)]; of != nil {
			// Its script names it without a hash, so nothing is checked by this one; it only says which script it belongs to.
			hash, a.bound = of.shared(), false
			a.watch = append(a.watch[:len(a.watch):len(a.watch)], of.watch...)
			if of.kind != hashed {
				hash = ""
			}
		}
		if hash != "" {
			a.target = hashedName(a.Name, hash)
			ix.byTarget[a.target] = a
		}
	}
	a.etag = `"` + a.hash + `"`
	a.length = strconv.FormatInt(a.size, 10)
	a.state = new(state)
	if before != nil {
		if b := before.byName[a.Name]; b != nil && b.Sum == a.Sum && b.hash == a.hash {
			a.state = b.state
		}
	}
	s.attach(a, ix)
	a.varies = a.varies || a.eligible()
}

// shared is the hash that a source map has in common with its script.
func (a *Asset) shared() string {
	if a.hash != "" {
		return a.hash
	}
	return hex.EncodeToString(a.Sum[:hashLength/2])
}

// attach finds the variants that lie beside the file.
func (s *Set) attach(a *Asset, ix *index) {
	if a.media.encoding != "" {
		return // a coding of a coding
	}
	for c := coding.Brotli; c < coding.Count; c++ {
		side := ix.originals[a.Name+c.Extension()]
		if side == nil {
			continue
		}
		a.varies = true
		if !side.constant {
			a.watch = append(a.watch[:len(a.watch):len(a.watch)], side)
		}
		if err := s.proves(c, side, a.size, a.Sum); err != nil {
			if a.data != nil && s.proves(c, side, a.from.size, a.from.sum) == nil {
				continue // of the stylesheet before its references were rewritten: nothing is wrong with it
			}
			s.report(side.name+hex.EncodeToString(side.sum[:8])+hex.EncodeToString(a.Sum[:8]), "edgecache: a compressed file is not used", "file", side.name, "reason", err.Error())
			continue
		}
		e := a.variant(c, side.size)
		e.from = side
		a.sidecars[c] = e
	}
}

// proof names a sidecar and what it has to decode to.
type proof struct {
	coding    coding.Coding
	side, sum [sha256.Size]byte
}

// proves reports whether a sidecar decodes to its file; it remembers what it has found out.
func (s *Set) proves(c coding.Coding, side *original, size int64, sum [sha256.Size]byte) error {
	key := proof{c, side.sum, sum}
	if known, ok := s.proofs[key]; ok {
		return known
	}
	content, err := side.open()
	if err != nil {
		return err
	}
	defer content.close()
	err = coding.Prove(c, content.reader(), size, sum)
	s.proofs[key] = err
	return err
}

// variant describes a coding of an asset.
func (a *Asset) variant(c coding.Coding, size int64) *encoded {
	return &encoded{size: size, etag: `"` + a.hash + "-" + c.String() + `"`, length: strconv.FormatInt(size, 10)}
}

// eligible reports whether variants are made of it.
func (a *Asset) eligible() bool {
	return a.media.squeezes && a.size >= coding.MinSize && a.size <= coding.MaxSize
}

// current reports whether nothing that the asset is made of has changed.
func (a *Asset) current() bool {
	for _, o := range a.watch {
		if !o.current() {
			return false
		}
	}
	return true
}

// current reports whether no file that was there has changed.
func (ix *index) current() bool {
	for _, o := range ix.originals {
		if !o.current() {
			return false
		}
	}
	return true
}

func (a *Asset) open() (content, error) {
	if a.data != nil {
		return content{data: a.data, size: a.size}, nil
	}
	return a.from.open()
}

func (a *Asset) bytes() ([]byte, error) {
	if a.data != nil {
		return a.data, nil
	}
	return a.from.bytes()
}
