package l2

import (
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/frame"
)

// kind is the layout of an index.
var kind = frame.Kind{'e', 'c', 'i', layout}

const (
	// maxVariants is how many responses an index lists: one more pushes out the oldest.
	maxVariants = 64
	// maxVary is how many names a Vary may have: key.MaxVary, and the names that a response
	// implies.
	maxVary = 64
	// maxIndex is the largest index in bytes: 64 times key.MaxVaryLength are a quarter of it.
	maxIndex = 1 << 20
)

// index is the small value from which a Lookup learns which variant to ask for. It is a hint: what
// it lists may be gone, purged or outdated, and each response proves itself.
//
// A URL has one for each scope that it was asked for in: a client that makes up forwarded hosts
// pushes out only its own responses.
type index struct {
	key      string   // the primary key and the scope: see indexed
	variants []listed // newest first, at most maxVariants, no identity twice
}

// listed is one response as an index lists it.
type listed struct {
	id             identity
	vary           []string
	representation Representation
	expires        time.Time
}

// indexed is what an index is about. A primary key says where it ends, so this is one URL and
// scope.
func indexed(k, scope []byte) []byte { return slices.Concat(k, scope) }

// add puts v at the front, and returns the keys of the variants that it has pushed out.
func (x *index) add(v listed, now time.Time) (crowded []string) {
	kept := []listed{v}
	for _, old := range x.variants {
		switch {
		case old.id == v.id || !now.Before(old.expires):
		case len(kept) == maxVariants:
			crowded = append(crowded, variantKey(old.id))
		default:
			kept = append(kept, old)
		}
	}
	x.variants = kept
	return crowded
}

// keep is how long the index is of use.
func (x *index) keep(now time.Time) (d time.Duration) {
	for _, v := range x.variants {
		d = max(d, v.expires.Sub(now))
	}
	return d
}

func (t *Cache) encodeIndex(x index) []byte {
	dst := t.sealer.Begin(nil, kind)
	dst = frame.AppendText(dst, x.key)
	dst = frame.AppendUint(dst, uint64(len(x.variants)))
	for _, v := range x.variants {
		dst = frame.AppendText(dst, v.id[:])
		dst = frame.AppendFixed(dst, uint64(v.expires.UnixNano()))
		dst = frame.AppendTexts(dst, v.vary)
		dst = frame.AppendText(frame.AppendText(dst, v.representation.What), v.representation.For)
	}
	t.sealer.Seal(dst, t.indexKey([]byte(x.key)))
	return dst
}

// readIndex returns the index in value, without what is past its time. ok is false if it is not the
// index of k, which comes from indexed.
func (t *Cache) readIndex(value, k []byte, now time.Time) (x index, ok bool) {
	if len(value) > maxIndex || int64(len(value)) > t.config.MaxBytes {
		return index{}, false
	}
	payload, ok := t.sealer.Open(value, kind, t.indexKey(k))
	if !ok {
		return index{}, false
	}
	r := frame.NewReader(string(payload))
	x.key = r.Text()
	n := r.Count(1 + len(identity{}) + 8 + 1 + 2)
	if x.key != string(k) || n > maxVariants {
		return index{}, false
	}
	for range n {
		var v listed
		id := r.Text()
		v.expires = time.Unix(0, int64(r.Fixed()))
		v.vary = r.Texts(maxVary)
		v.representation = Representation{What: r.Text(), For: r.Text()}
		if copy(v.id[:], id) != len(id) || len(id) != len(v.id) || slices.ContainsFunc(x.variants, func(o listed) bool { return o.id == v.id }) {
			return index{}, false
		}
		if now.Before(v.expires) {
			x.variants = append(x.variants, v)
		}
	}
	if !r.Done() {
		return index{}, false
	}
	return x, true
}
