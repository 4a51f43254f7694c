package assets

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"sync"
	"time"
)

// In the retention folder a file has the name of its URL, and the digest of its bytes has the same
// name in another folder.
const (
	filesDir = "files/"
	sumsDir  = "sums/"
)

// retention is a folder in which files survive the version that brought them. Several processes may
// share it.
type retention struct {
	root *os.Root

	mu    sync.Mutex
	found map[string]*Asset // requested files, by the names in their URLs; at most maxFound
}

// maxFound is how many retained files are remembered: that their bytes are right, and their
// variants.
const maxFound = 1 << 12

func openRetention(dir string) (*retention, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &retention{root: root, found: map[string]*Asset{}}, nil
}

func (t *retention) close() error { return t.root.Close() }

// keep puts files with a hash in their names into the folder, and removes those that no version has
// used for longer than period.
func (t *retention) keep(ix *index, now time.Time, period time.Duration) error {
	for _, name := range ix.names {
		a := ix.byName[name]
		public := a.public()
		if a.kind == plain || a.kind == hashed && !a.bound {
			continue // its bytes could never be checked
		}
		sum := hex.EncodeToString(a.Sum[:])
		if known, err := t.root.ReadFile(sumsDir + public); err != nil || string(known) != sum {
			data, err := a.bytes()
			if errors.Is(err, errChanged) {
				continue
			}
			if err == nil {
				err = t.write(filesDir+public, data)
			}
			if err == nil {
				err = t.write(sumsDir+public, []byte(sum))
			}
			if err != nil {
				return fmt.Errorf("retain %s: %w", public, err)
			}
		}
		if err := t.root.Chtimes(sumsDir+public, now, now); err != nil {
			return fmt.Errorf("retain %s: %w", public, err)
		}
	}
	return t.prune(now.Add(-period))
}

// write makes a file, and its folders.
func (t *retention) write(name string, data []byte) error {
	if err := t.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return replace(t.root, name, data)
}

func (t *retention) prune(before time.Time) error {
	return fs.WalkDir(t.root.FS(), path.Clean(sumsDir), func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // nothing retained yet, or another process was here
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil || !info.ModTime().Before(before) {
			return nil //nolint:nilerr // gone already
		}
		// The digest first: a file without one is written again, but a digest without its file is
		// not.
		for _, old := range [...]string{name, filesDir + name[len(sumsDir):]} {
			if err := t.root.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
}

func (t *retention) has(name string) bool {
	if t == nil {
		return false
	}
	_, err := t.root.Stat(sumsDir + name)
	return err == nil
}

// retained returns the file that is retained under name, if its bytes are right. hash is the hash
// in the name, or "".
func (s *Set) retained(name, hash string) *Asset {
	t := s.retain
	if t == nil {
		return nil
	}
	t.mu.Lock()
	before := t.found[name]
	t.mu.Unlock()
	if before != nil && before.current() {
		return before
	}
	now := t.find(name, hash, s.options.Types)
	var gone []*Asset
	t.mu.Lock()
	first := t.found[name]
	switch {
	case now == nil:
		delete(t.found, name)
		gone = append(gone, first)
	case first != nil && first != before && first.Sum == now.Sum:
		now = first // another request found it meanwhile
	default:
		if first == nil && len(t.found) >= maxFound {
			for other, a := range t.found {
				delete(t.found, other)
				gone = append(gone, a)
				break
			}
		}
		t.found[name] = now
		gone = append(gone, first)
	}
	t.mu.Unlock()
	for _, a := range gone {
		if a != nil {
			s.worker.release(a)
		}
	}
	return now
}

func (t *retention) find(name, hash string, types Types) *Asset {
	known, err := t.root.ReadFile(sumsDir + name)
	if err != nil {
		return nil
	}
	o, err := read(Folder(t.root), filesDir+name, false)
	if err != nil || hex.EncodeToString(o.sum[:]) != string(known) {
		return nil
	}
	own := hex.EncodeToString(o.sum[:hashLength/2])
	if hash != "" && hash != own {
		return nil
	}
	media := types.of(name)
	return &Asset{
		Name: name, Sum: o.sum, Type: media.name, media: media, kind: output, hash: own, etag: `"` + own + `"`, varies: media.squeezes,
		size: o.size, length: strconv.FormatInt(o.size, 10), from: o, watch: []*original{o}, state: new(state),
	}
}
