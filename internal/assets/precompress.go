package assets

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"sync"

	"github.com/edgecache-go/edgecache/internal/coding"
)

// maxPrecompressed is the size of the largest file, in bytes, that a build compresses: it is read
// into memory.
const maxPrecompressed = 64 << 20

// A Sidecar is what Precompress did about one variant of a file.
type Sidecar struct {
	Name    string // of the sidecar
	Size    int64  // of the file
	Packed  int64  // of the sidecar
	Written bool   // otherwise it was there already
	Removed bool   // it was there, and was not worth it or made of other bytes
}

// Precompress puts compressed files beside those in root, as small as possible: brotli 11, the best
// of zstd, gzip 9. Stylesheets are compressed as they are served, with their references rewritten.
// It returns what it did, sorted by name.
func Precompress(root *os.Root, options Options) ([]Sidecar, error) {
	options.Follow = false // a link's target has its own sidecars
	s := &Set{options: options, proofs: map[proof]error{}, unreliable: map[string]bool{}}
	ix, err := s.newIndex(&tree{files: root.FS()}, nil)
	if err != nil {
		return nil, err
	}
	var (
		mu    sync.Mutex
		group sync.WaitGroup
		done  []Sidecar
		errs  []error
		slots = make(chan struct{}, runtime.GOMAXPROCS(0))
	)
	for _, name := range ix.names {
		a := ix.byName[name]
		for c := coding.Brotli; c < coding.Count; c++ {
			if a.sidecars[c] == nil && !a.worthPacking() && ix.originals[name+c.Extension()] == nil {
				continue
			}
			slots <- struct{}{}
			group.Go(func() {
				defer func() { <-slots }()
				side, err := a.pack(root, c, ix.originals[name+c.Extension()] != nil)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					errs = append(errs, err)
				} else if side.Name != "" {
					done = append(done, side)
				}
			})
		}
	}
	group.Wait()
	slices.SortFunc(done, func(a, b Sidecar) int { return cmp.Compare(a.Name, b.Name) })
	return done, errors.Join(errs...)
}

func (a *Asset) worthPacking() bool {
	return a.media.squeezes && a.size >= coding.MinSize && a.size <= maxPrecompressed
}

// pack makes one sidecar. there says that one exists, good or not.
func (a *Asset) pack(root *os.Root, c coding.Coding, there bool) (Sidecar, error) {
	side := Sidecar{Name: a.Name + c.Extension(), Size: a.size}
	if good := a.sidecars[c]; good != nil {
		side.Packed = good.size
		return side, nil
	}
	if a.worthPacking() {
		data, err := a.bytes()
		if err != nil {
			return side, err
		}
		packed, err := coding.Encode(c, bytes.NewReader(data), true)
		if err != nil {
			return side, err
		}
		if side.Packed = int64(len(packed)); coding.Worthwhile(side.Packed, a.size) {
			side.Written = true
			return side, replace(root, side.Name, packed)
		}
	}
	if there {
		side.Removed = true
		return side, root.Remove(side.Name)
	}
	return Sidecar{}, nil
}

// replace writes a file completely, or not at all.
func replace(root *os.Root, name string, data []byte) error {
	temporary := path.Join(path.Dir(name), "."+rand.Text())
	if err := root.WriteFile(temporary, data, 0o644); err != nil {
		return errors.Join(err, removed(root, temporary))
	}
	if err := root.Rename(temporary, name); err != nil {
		return errors.Join(err, removed(root, temporary))
	}
	return nil
}

func removed(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
