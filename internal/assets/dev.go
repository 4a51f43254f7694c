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

// errHidden says that a file is not for clients.
var errHidden = errors.New("hidden")

// develop serves a file as it is now.
func (a *answer) develop(name string) {
	for range maxRenewals {
		o, err := a.set.developed(name)
		if err != nil {
			// A page that was loaded before Dev was switched on asks for hashed names.
			base, _, ok := splitHashed(name)
			if !ok {
				break
			}
			if o, err = a.set.developed(base); err != nil {
				break
			}
		}
		asset := &Asset{
			Name: o.name, Sum: o.sum, Type: typeOf(o.name).name, media: typeOf(o.name), kind: plain, hash: hex.EncodeToString(o.sum[:hashLength/2]),
			size: o.size, length: strconv.FormatInt(o.size, 10), from: o, state: new(state),
		}
		asset.etag = `"` + asset.hash + `"`
		if a.serve(asset, revalidated, verdictOf) {
			return
		}
	}
	if a.set.options.Prefix == "/" && a.set.WantsPage(a.r) && name != a.set.options.SPA {
		a.shell()
		return
	}
	a.set.refuse(a.w, a.r, http.StatusNotFound, rules.NoStore, false)
}

// developed reads a file that no index knows.
func (s *Set) developed(name string) (*original, error) {
	exists := func(base string) bool {
		info, err := fs.Stat(s.fsys, base)
		return err == nil && info.Mode().IsRegular()
	}
	if !validName(name) || s.hidden(name, exists) || !s.options.Follow && s.linked(name) {
		return nil, errHidden
	}
	return read(s.fsys, name)
}

// linked reports whether a symbolic link lies on the way to name, as far as the file system tells.
func (s *Set) linked(name string) bool {
	if _, tells := s.fsys.(fs.ReadLinkFS); !tells {
		return false
	}
	for end := 0; end < len(name); {
		if next := strings.IndexByte(name[end+1:], '/'); next >= 0 {
			end += 1 + next
		} else {
			end = len(name)
		}
		if info, err := fs.Lstat(s.fsys, name[:end]); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return true
		}
	}
	return false
}
