package assets

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"github.com/edgecache-go/edgecache/internal/rules"
)

// errHidden says that clients must not see a file.
var errHidden = errors.New("hidden")

// develop serves a file as it is now.
func (a *exchange) develop(name string) {
	for range maxRenewals {
		served, again := a.developOnce(name)
		if served {
			return
		}
		if !again {
			break
		}
	}
	if a.set.options.Prefix == "/" && a.set.WantsPage(a.r) && name != a.set.options.SPA {
		a.shell()
		return
	}
	a.set.refuse(a.w, a.r, http.StatusNotFound, rules.NoStore, false)
}

// developOnce serves a file, or reports whether a second attempt may find another one.
func (a *exchange) developOnce(name string) (served, again bool) {
	t := a.set.source.use()
	defer a.set.source.release(t)
	o, err := a.set.developed(t.files, name)
	if err != nil {
		// A page that was loaded before Dev was switched on requests hashed names.
		if base, _, ok := splitHashed(name); ok {
			o, err = a.set.developed(t.files, base)
		}
	}
	if err != nil {
		return false, a.set.source.replaced(t, true)
	}
	media := a.set.options.Types.of(o.name)
	asset := &Asset{
		Name: o.name, Sum: o.sum, Type: media.name, media: media, kind: plain, hash: hex.EncodeToString(o.sum[:hashLength/2]),
		size: o.size, length: strconv.FormatInt(o.size, 10), from: o, state: new(state),
	}
	asset.etag = `"` + asset.hash + `"`
	return a.deliver(asset, revalidated, verdictOf), true
}

// developed reads a file of fsys without an index.
func (s *Set) developed(fsys fs.FS, name string) (*original, error) {
	exists := func(base string) bool {
		info, err := fs.Stat(fsys, base)
		return err == nil && info.Mode().IsRegular()
	}
	if !validName(name) || s.hidden(name, exists) || !s.options.Follow && linked(fsys, name) {
		return nil, errHidden
	}
	return read(fsys, name, false)
}

// linked reports whether there is a symbolic link on the way to name, as far as the file system
// tells.
func linked(fsys fs.FS, name string) bool {
	if _, tells := fsys.(fs.ReadLinkFS); !tells {
		return false
	}
	for end := 0; end < len(name); {
		if next := strings.IndexByte(name[end+1:], '/'); next >= 0 {
			end += 1 + next
		} else {
			end = len(name)
		}
		if info, err := fs.Lstat(fsys, name[:end]); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return true
		}
	}
	return false
}
