package assets

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"sync/atomic"

	"github.com/edgecache-go/edgecache/internal/coding"
)

// kind says how long an asset's own URL may be cached.
type kind uint8

const (
	hashed kind = iota // we put our hash into a second URL, beside the plain one
	output             // a build tool put its own hash into the name
	plain              // the URL has no hash
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
	bound    bool   // target's hash is made of exactly these bytes
	varies   bool   // it has variants, or may get some
	size     int64
	length   string
	etag     string
	from     *original   // the file
	data     []byte      // bytes to send instead of the file: a rewritten stylesheet
	watch    []*original // the files that it is made of, if they can change
	sidecars [coding.Count]*encoded
	state    *state
}

// state is the part of an asset that survives when its index is made again.
type state struct {
	seen  [coding.Count]atomic.Bool // sent before, by this process
	tried [coding.Count]atomic.Uint32
	made  [coding.Count]atomic.Pointer[encoded]
}

// finish gives an asset its URL, its entity tags and its variants, once its bytes are known.
func (s *Set) finish(a *Asset, ix, before *index) {
	a.Type = a.media.name
	if a.hash == "" {
		a.hash = hex.EncodeToString(a.Sum[:hashLength/2])
	}
	if a.kind == hashed {
		hash := a.hash
		if of := ix.byName[mapped(a.Name)]; of != nil {
			// Its script names it without a hash, so this hash proves nothing; it only says which
			// script it belongs to.
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

// current reports whether all files that the asset is made of are unchanged.
func (a *Asset) current() bool {
	for _, o := range a.watch {
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

// public is the preferred name of an asset in URLs.
func (a *Asset) public() string {
	if a.target != "" {
		return a.target
	}
	return a.Name
}

func (a *Asset) integrity() string { return "sha256-" + base64.StdEncoding.EncodeToString(a.Sum[:]) }
