package cache

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/clock"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

const (
	// MaxVariants is how many variants one URL may have in memory.
	MaxVariants = 64

	// What a resource takes beside its objects, in bytes.
	moreOverhead    = 96  // of a resource with more than one variant; 8 for each further one come on top
	variantOverhead = 48  // of each variant
	extrasOverhead  = 64  // of a variant with tags, encodings or proxied hosts
	hostOverhead    = 80  // of a host that a proxy named: its name, and its place in the listing
	tagOverhead     = 184 // of each tag, as if no other variant had it
)

// Resource is all that memory holds for one URL. It is immutable: a change makes a new one. The
// zero value holds nothing.
type Resource struct {
	newest *Variant // nil if there is none
	more   *more    // usually nil
}

type more struct {
	older []*Variant // newest first, at least one; with the newest of all at most MaxVariants
}

// resourceOf returns a resource with these variants, newest first.
func resourceOf(variants []*Variant) (r Resource) {
	if len(variants) > 0 {
		r.newest, variants = variants[0], variants[1:]
	}
	if len(variants) > 0 {
		r.more = &more{slices.Clip(variants)}
	}
	return r
}

// Variants yields all variants, newest first.
func (r Resource) Variants(yield func(*Variant) bool) {
	if r.newest == nil || !yield(r.newest) || r.more == nil {
		return
	}
	for _, v := range r.more.older {
		if !yield(v) {
			return
		}
	}
}

// Find returns the variant that answers the request with the header h best, or nil. A variant fits
// by scope, by whether there is an Origin, by the values of the fields that its Vary names (RFC
// 9111, 4.1), and by what the request prefers (see Preferences). Among equals the newest wins.
func (r Resource) Find(scope []byte, req *rules.Request, h http.Header) (best *Variant) {
	var (
		buf   [256]byte
		list  [8]string
		vary  object.Names
		wants []byte
		p     Preferences
		most  int
	)
	for v := range r.Variants {
		if most >= rankEqual && v.Choice()&object.ByVary == 0 {
			continue // it cannot be better
		}
		s := v.Selector()
		if s.Scope != string(scope) || !v.Terms.Fits(req) || v.Purged() {
			continue
		}
		if wants == nil || vary != s.Vary {
			vary = s.Vary
			wants = key.Values(buf[:0], vary.Append(list[:0]), h, &req.Scope)
		}
		if s.Variant != string(wants) {
			continue
		}
		if !p.known {
			p = PreferencesOf(h, &req.Scope)
		}
		if rank := v.Rank(&p); rank > most {
			best, most = v, rank
			if r.more == nil || most >= rankBest {
				break
			}
		}
	}
	return best
}

// Alike returns how many variants fit the request in all but its preferences.
func (r Resource) Alike(scope []byte, req *rules.Request, h http.Header) (n int) {
	var (
		vary  object.Names
		wants []byte // the values for vary; nil before the first variant
	)
	for v := range r.Variants {
		s := v.Selector()
		if s.Scope != string(scope) || !v.Terms.Fits(req) || v.Purged() {
			continue
		}
		if wants == nil || vary != s.Vary {
			vary = s.Vary
			wants = key.Values([]byte{}, vary.Append(nil), h, &req.Scope)
		}
		if s.Variant == string(wants) {
			n++
		}
	}
	return n
}

// ExpectedVary returns the fields by which the response is expected to vary: those of v, the
// variant that fits, or of the newest variant if v is nil.
func (r Resource) ExpectedVary(v *Variant) []string {
	if v = r.model(v); v != nil {
		return v.Vary()
	}
	return nil
}

// ExpectedTags returns the tags that the response is expected to carry, in the same way.
func (r Resource) ExpectedTags(v *Variant) []string {
	if v = r.model(v); v != nil {
		return v.TagNames()
	}
	return nil
}

// model returns what the next response will likely resemble: v if it is not nil, else the newest
// variant, purged or not.
func (r Resource) model(v *Variant) *Variant {
	if v == nil {
		return r.newest
	}
	return v
}

// has reports whether v is one of the variants.
func (r Resource) has(v *Variant) bool { return r.any(func(o *Variant) bool { return o == v }) }

// any reports whether fits returns true for a variant.
func (r Resource) any(fits func(*Variant) bool) bool {
	for v := range r.Variants {
		if fits(v) {
			return true
		}
	}
	return false
}

// Alive returns the number of variants that no purge of a tag has concerned.
func (r Resource) Alive() (n int) {
	for v := range r.Variants {
		if !v.Purged() {
			n++
		}
	}
	return n
}

// invalidate marks every variant as one to validate, and returns how many it newly marked.
func (r Resource) invalidate(now time.Time) (n int) {
	at := clock.Of(now)
	for v := range r.Variants {
		if !v.Purged() && v.invalidate(at) {
			n++
		}
	}
	return n
}

// softPurge makes every variant stale, and returns how many there are.
func (r Resource) softPurge(now time.Time) (n int) {
	at := clock.Of(now)
	for v := range r.Variants {
		if !v.Purged() {
			v.softPurge(at)
			n++
		}
	}
	return n
}

// with returns the resource with v in place of what v replaces. rest is the resource without both,
// which stays if there is no room for v.
//
// v replaces the variant for the same requests, and also old, unless old is nil or another
// representation. It is as popular as they were. If there are too many variants, or more than
// maxBytes of them, the least used ones go: a client that makes up request headers cannot push out
// what others use.
func (r Resource) with(v *Variant, old *Variant, maxBytes int64) (next, rest Resource) {
	if r == (Resource{}) {
		return Resource{newest: v}, r
	}
	selector := v.Selector()
	variants := []*Variant{v}
	for o := range r.Variants {
		switch {
		case o.Selector() != selector && o == old, o.Selector() == selector && v.supersedes(o, old):
			v.used.Store(max(v.uses(), o.uses()))
		case !o.Purged():
			variants = append(variants, o)
		}
	}
	rest = resourceOf(slices.Clone(variants[1:]))
	size := sizeOf(variants)
	for len(variants) > 1 && (len(variants) > MaxVariants || size > maxBytes) {
		i := 1 + leastUsed(variants[1:])
		variants = slices.Delete(variants, i, i+1)
		size = sizeOf(variants)
	}
	return resourceOf(variants), rest
}

// leastUsed returns the index of the variant that gives way first. That is the least used one; of
// several, one of the least used scope, and rather one of a scope than of plain requests; of
// several, the oldest. A made-up scope has no other users.
func leastUsed(variants []*Variant) (least int) {
	scopes := make(map[string]uint64, len(variants))
	for _, v := range variants {
		scopes[v.Selector().Scope] += uint64(v.uses())
	}
	rank := func(v *Variant) (used uint32, ofScope uint64, plain int) {
		scope := v.Selector().Scope
		if scope == "" {
			plain = 1
		}
		return v.uses(), scopes[scope], plain
	}
	used, ofScope, plain := rank(variants[0])
	for i, v := range variants[1:] {
		u, s, p := rank(v)
		if cmp.Or(cmp.Compare(u, used), cmp.Compare(s, ofScope), cmp.Compare(p, plain)) <= 0 {
			least, used, ofScope, plain = i+1, u, s, p
		}
	}
	return least
}

// used returns the resource without the variants that no request has asked for since they were
// stored. ok is false if that leaves all of them, or none.
func (r Resource) used() (next Resource, ok bool) {
	if r.more == nil {
		return r, false
	}
	var variants []*Variant
	for v := range r.Variants {
		if v.uses() > 0 && !v.Purged() {
			variants = append(variants, v)
		}
	}
	return resourceOf(variants), len(variants) > 0 && len(variants) < 1+len(r.more.older)
}

// hasUnused reports whether used would leave some variants out, but not all.
func (r Resource) hasUnused() bool {
	if r.more == nil {
		return false
	}
	used, unused := false, false
	for v := range r.Variants {
		if v.used.Load() > 0 && !v.Purged() {
			used = true
		} else {
			unused = true
		}
	}
	return used && unused
}

// without returns the resource without v.
func (r Resource) without(v *Variant) Resource {
	var variants []*Variant
	for o := range r.Variants {
		if o != v {
			variants = append(variants, o)
		}
	}
	return resourceOf(variants)
}

// size returns the bytes that the resource takes in memory, beside itself.
func (r Resource) size() (n int64) {
	if r.more != nil {
		n = moreSize(len(r.more.older))
	}
	for v := range r.Variants {
		n += v.size()
	}
	return n
}

// sizeOf returns the size of a resource with these variants.
func sizeOf(variants []*Variant) (n int64) {
	if len(variants) > 1 {
		n = moreSize(len(variants) - 1)
	}
	for _, v := range variants {
		n += v.size()
	}
	return n
}

func moreSize(older int) int64 { return moreOverhead + 8*int64(older) }

// IsEmpty reports whether nothing is stored.
func (r Resource) IsEmpty() bool { return r.newest == nil }

// HasSeveral reports whether there is more than one variant.
func (r Resource) HasSeveral() bool { return r.more != nil }
