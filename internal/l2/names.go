package l2

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/edgecache-go/edgecache/internal/frame"
	"github.com/edgecache-go/edgecache/internal/key"
)

// The first bytes of keys and names. Keys of values follow the contract of edgecache.Store with 33
// bytes: this byte, and 128 bits of a hash in hex. What names of generations become in the store is
// in slots.go.
//
// Keys of values also depend on the version of the layouts and on the audience of the codec, so
// that processes that do not read each other's values do not overwrite them either. Names of
// generations do not: a purge is for all that have the same key.
const (
	ofIndex   = 'i' // what variants a URL has
	ofVariant = 'v' // a stored response

	ofURL          = 'u' // a URL of one host
	ofQueries      = 'y' // a URL of one host with every query
	ofPath         = 'w' // a URL of every host
	ofScopedPath   = 'x' // a URL of every host, for responses with a scope
	ofPrefix       = 'p' // the beginning of URLs of one host
	ofPathPrefix   = 'q' // of every host
	ofScopedPrefix = 'r' // of every host, for responses with a scope
	ofTag          = 't'
	everything     = "a"
	ofSlot         = 's' // of generations: see slots.go

	probeKey = "probe"
)

// layout is the version of the keys and of the index.
const layout = 5

func name(kind byte, parts ...string) string {
	var buf [512]byte
	text := buf[:0]
	for _, p := range parts {
		text = frame.AppendText(text, p)
	}
	sum := sha256.Sum256(append(text, kind))
	var out [33]byte
	out[0] = kind
	hex.Encode(out[1:], sum[:16])
	return string(out[:])
}

// indexKey is where the store has the index of k, which comes from indexed.
func (t *Cache) indexKey(k []byte) string {
	text := frame.AppendFixed(make([]byte, 0, 16+len(k)), t.codec.Audience())
	text = append(text, layout)
	sum := t.naming.sum(ofIndex, append(text, k...))
	return string(ofIndex) + hex.EncodeToString(sum[:16])
}

// identity tells variants apart: it is all that a key consists of beyond its kind.
type identity [16]byte

// variantID is the identity of a response under k, in scope, with the given values of the fields in
// vary, that is the representation what.
func (t *Cache) variantID(k, scope []byte, vary []string, variant []byte, what string) identity {
	text := frame.AppendFixed(make([]byte, 0, 256), t.codec.Audience())
	text = append(text, layout)
	text = frame.AppendText(text, k)
	text = frame.AppendText(text, scope)
	text = frame.AppendTexts(text, vary)
	text = frame.AppendText(text, variant)
	text = frame.AppendText(text, what)
	sum := t.naming.sum(ofVariant, text)
	return identity(sum[:16])
}

// Representation says which representation of a URL a response is, where the handler may have
// chosen among several, and for which preferences it was made. It is opaque here: responses that
// differ only in What are all kept. The zero Representation is that of a response for all
// preferences.
type Representation struct{ What, For string }

func variantKey(id identity) string { return string(ofVariant) + hex.EncodeToString(id[:]) }

// maxDepth is how many slashes of a URL purges by prefix tell apart. A purge by a longer prefix
// also takes its siblings.
const maxDepth = 8

// boundaries calls yield with each beginning of target that ends in one of its first maxDepth
// slashes.
func boundaries(target string, yield func(prefix string)) {
	for i, n := 0, 0; i < len(target) && n < maxDepth; i++ {
		if target[i] == '/' {
			yield(target[:i+1])
			n++
		}
	}
}

// namesOf returns the names of the generations that concern a response: those under which a purge
// of its URL, of a prefix of it, of a tag or of everything is known.
func namesOf(k string, scoped bool, tags []string) []string {
	names := make([]string, 0, 8+len(tags))
	names = append(names, everything)
	// The scheme does not count: a purge is for http and https.
	_, host, target, ok := key.Split(k)
	if ok {
		host, target = key.PlainHost(host), key.PlainTarget(target)
		path, _ := key.PlainPath(target)
		names = append(names, name(ofURL, host, target), name(ofQueries, host, path), name(ofPath, target))
		if scoped {
			names = append(names, name(ofScopedPath, target))
		}
		boundaries(target, func(prefix string) {
			names = append(names, name(ofPrefix, host, prefix), name(ofPathPrefix, prefix))
			if scoped {
				names = append(names, name(ofScopedPrefix, prefix))
			}
		})
	}
	for _, tag := range tags {
		names = append(names, name(ofTag, tag))
	}
	return names
}

// Target is what a purge is about.
type Target struct {
	names  []string
	erased []string // primary keys whose values need no longer take up room
}

// URL is one URL with all its variants, under http and https, however it is spelled. host is
// spelled as in primary keys; "" is every host.
//
// A response with a scope may have been made for another host than that of its key:
// X-Forwarded-Host says so. It is purged with its target, whatever the host.
func URL(host, target string) Target {
	plain := key.PlainTarget(target)
	if host == "" {
		return Target{names: []string{name(ofPath, plain)}}
	}
	return Target{
		names:  []string{name(ofURL, key.PlainHost(host), plain), name(ofScopedPath, plain)},
		erased: []string{string(key.OfURL(nil, "http", host, target)), string(key.OfURL(nil, "https", host, target))},
	}
}

// Key is the URL with this primary key, under both schemes.
func Key(k []byte) Target {
	_, host, target, ok := key.Split(string(k))
	if !ok {
		return Everything()
	}
	return URL(host, target)
}

// Path is the URL with this primary key, under both schemes, with every query. It concerns only the
// host in the key.
func Path(k []byte) Target {
	_, host, target, ok := key.Split(string(k))
	if !ok {
		return Everything()
	}
	path, _ := key.PlainPath(key.PlainTarget(target))
	return Target{
		names:  []string{name(ofQueries, key.PlainHost(host), path)},
		erased: []string{string(key.OfURL(nil, "http", host, target)), string(key.OfURL(nil, "https", host, target))},
	}
}

// Prefix is every URL of a host, or of every host if that is "", whose target begins with prefix,
// and the siblings of these down to the slash before. At most maxDepth slashes count.
func Prefix(host, prefix string) Target {
	host, prefix = key.PlainHost(host), key.PlainTarget(prefix)
	last := ""
	boundaries(prefix, func(p string) { last = p })
	switch {
	case !strings.HasPrefix(prefix, "/"):
		return Everything()
	case host == "":
		return Target{names: []string{name(ofPathPrefix, last)}}
	}
	return Target{names: []string{name(ofPrefix, host, last), name(ofScopedPrefix, last)}}
}

// Tag is every response with the tag.
func Tag(tag string) Target { return Target{names: []string{name(ofTag, tag)}} }

// Everything is all that is stored.
func Everything() Target { return Target{names: []string{everything}} }

func join(targets []Target) (all Target) {
	for _, t := range targets {
		all.names = append(all.names, t.names...)
		all.erased = append(all.erased, t.erased...)
	}
	slices.Sort(all.names)
	all.names = slices.Compact(all.names)
	return all
}
