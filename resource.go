package edgecache

import (
	"cmp"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
	"unique"

	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

const (
	// maxVariants is how many responses one URL may have in memory.
	maxVariants = 64

	// What a resource keeps beside its objects, in bytes.
	moreOverhead    = 96  // of a resource that has more than one variant, and for each further one 8
	variantOverhead = 48  // beside its object
	extrasOverhead  = 64  // of a variant with tags, or with codings
	hostOverhead    = 80  // of a host that a proxy has told: its name and its place in the listing
	tagOverhead     = 184 // for each tag: that it may be the only one to carry
)

// resource is all that memory knows of one URL. It is immutable: changes make a new one. The zero value knows nothing.
type resource struct {
	newest *variant // nil if there is none
	more   *more    // usually nil
}

type more struct {
	older []*variant // newest first, at least one; with the newest of all at most maxVariants
}

// resourceOf returns a resource with these variants, newest first.
func resourceOf(variants []*variant) (r resource) {
	if len(variants) > 0 {
		r.newest, variants = variants[0], variants[1:]
	}
	if len(variants) > 0 {
		r.more = &more{slices.Clip(variants)}
	}
	return r
}

// variants yields all, newest first.
func (r resource) variants(yield func(*variant) bool) {
	if r.newest == nil || !yield(r.newest) || r.more == nil {
		return
	}
	for _, v := range r.more.older {
		if !yield(v) {
			return
		}
	}
}

// variant is one stored response with what is known about it here. The response itself is immutable; what is atomic is not part of it.
type variant struct {
	object.Object
	gen     uint64                // where the purge sequence stood when it began to be made
	pattern unique.Handle[string] // of the route that made it, as http.ServeMux has it; that of "" if there was none
	extras  *extras               // nil without any

	failures atomic.Pointer[failures] // nil while there has been none
	made     madeFor                  // for which preferences
	used     atomic.Uint32            // grows with use, saturates; decides which variant gives way; its highest bit says that v is being refreshed ahead of its end
}

// extras are what most stored responses do without.
type extras struct {
	names        []string
	tags         []*tag     // of these names
	encodings    *encodings // nil if the response may not be coded
	proxiedHosts *[]string  // see toldHosts; nil if there are none
}

// tags returns the tags of v.
func (v *variant) tags() []*tag {
	if v.extras == nil {
		return nil
	}
	return v.extras.tags
}

// tagNames returns the names of v's tags, in order.
func (v *variant) tagNames() []string {
	if v.extras == nil {
		return nil
	}
	return v.extras.names
}

// encodings returns the forms of v; nil if it may have none.
func (v *variant) encodings() *encodings {
	if v.extras == nil {
		return nil
	}
	return v.extras.encodings
}

// vary returns the fields by which v varies.
func (v *variant) vary() []string { return v.Selector().Vary.Append(nil) }

// purged reports whether a tag of v has been purged since it began to be made.
func (v *variant) purged() bool {
	for _, t := range v.tags() {
		if t.hard.Load() > v.gen {
			return true
		}
	}
	return false
}

// invalidate notes that v has to be validated since the given moment, and reports whether it had not to.
func (v *variant) invalidate(at int64) bool {
	t := v.withFailures()
	first := t.invalid.CompareAndSwap(false, true)
	t.softPurgedAt.CompareAndSwap(0, at)
	return first
}

// invalid reports whether v has been invalidated.
func (v *variant) invalid() bool {
	t := v.failures.Load()
	return t != nil && t.invalid.Load()
}

// softPurge notes that v is stale since the given moment, in nanoseconds since epoch, unless it is already.
func (v *variant) softPurge(at int64) { v.withFailures().softPurgedAt.CompareAndSwap(0, at) }

// softPurged returns for how long v has been stale by a soft purge.
func (v *variant) softPurged(now time.Time) (since time.Duration, ok bool) {
	t := v.failures.Load()
	if t == nil || t.softPurgedAt.Load() == 0 {
		for _, t := range v.tags() {
			if t.soft.Load() > v.gen {
				v.softPurge(t.softAt.Load()) // so that the next purge of the tag does not make it later
			}
		}
		if t = v.failures.Load(); t == nil {
			return 0, false
		}
	}
	at := t.softPurgedAt.Load()
	if at == 0 {
		return 0, false
	}
	return max(now.Sub(epoch)-time.Duration(at), 0), true
}

// terms returns what decides about v now: stale since a soft purge, if there was one.
func (v *variant) terms(now time.Time) rules.Terms {
	since, outdated := v.softPurged(now)
	switch {
	case !outdated:
		return v.Terms
	case v.invalid():
		return v.Terms.Invalidated(since, now)
	}
	return v.Terms.Outdated(since, now)
}

// ttl returns how long v stays fresh; zero or less if it is stale.
func (v *variant) ttl(now time.Time) time.Duration {
	ttl := v.Terms.TTL(now)
	if since, outdated := v.softPurged(now); outdated {
		ttl = min(ttl, -since)
	}
	return ttl
}

// usableOnError reports whether v may be served to the request because the handler fails. broken says that there was no answer at all.
func (v *variant) usableOnError(o *rules.Options, req *rules.Request, broken bool, now time.Time) bool {
	terms := v.terms(now)
	return terms.StaleOnError(o, req, broken, now)
}

// reuse decides what the request may do with v.
func (v *variant) reuse(o *rules.Options, req *rules.Request, now time.Time) (rules.Action, Reason) {
	if _, outdated := v.softPurged(now); !outdated {
		return v.Terms.Reuse(o, req, now)
	}
	terms := v.terms(now)
	action, reason := terms.Reuse(o, req, now)
	if reason == rules.Stale {
		if reason = rules.Purged; v.invalid() {
			reason = rules.Invalidated
		}
	}
	return action, reason
}

// class is 1 if a request carries credentials, else 0.
func class(req *rules.Request) int {
	if req.Credentialed() {
		return 1
	}
	return 0
}

// find returns the variant that answers the request with the header h best: it fits by scope, by whether there is an
// Origin, by the values of the fields that its Vary names (RFC 9111, 4.1), and by what the request prefers (see
// preferences). Of several the newest.
func (r resource) find(scope []byte, req *rules.Request, h http.Header) (best *variant) {
	var (
		buf   [256]byte
		list  [8]string
		vary  object.Names
		wants []byte
		p     preferences
		most  int
	)
	for v := range r.variants {
		if most >= rankEqual && v.Choice()&object.ByVary == 0 {
			continue // it cannot be better
		}
		s := v.Selector()
		if s.Scope != string(scope) || !v.Terms.Fits(req) || v.purged() {
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
			p = preferencesOf(h, &req.Scope)
		}
		if rank := v.rank(&p); rank > most {
			best, most = v, rank
			if r.more == nil || most >= rankBest {
				break
			}
		}
	}
	return best
}

// alike returns how many variants fit the request but for what it prefers.
func (r resource) alike(scope []byte, req *rules.Request, h http.Header) (n int) {
	var (
		vary  object.Names
		wants []byte // by vary; nil before the first
	)
	for v := range r.variants {
		s := v.Selector()
		if s.Scope != string(scope) || !v.Terms.Fits(req) || v.purged() {
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

// expectedVary returns the fields by which the page is expected to vary: as the variant that fitted last, or as the newest.
func (r resource) expectedVary(v *variant) []string {
	if v = r.model(v); v != nil {
		return v.vary()
	}
	return nil
}

// expectedTags returns the tags that the page is expected to carry, likewise.
func (r resource) expectedTags(v *variant) []string {
	if v = r.model(v); v != nil {
		return v.tagNames()
	}
	return nil
}

// model is what the next page will likely be like: v if it is not nil, else the newest variant, purged or not.
func (r resource) model(v *variant) *variant {
	if v == nil {
		return r.newest
	}
	return v
}

// has reports whether v is one of the variants.
func (r resource) has(v *variant) bool { return r.any(func(o *variant) bool { return o == v }) }

// any reports whether a variant fits.
func (r resource) any(fits func(*variant) bool) bool {
	for v := range r.variants {
		if fits(v) {
			return true
		}
	}
	return false
}

// alive is the number of variants that have not been purged by a tag before.
func (r resource) alive() (n int) {
	for v := range r.variants {
		if !v.purged() {
			n++
		}
	}
	return n
}

// invalidate marks every variant as one that has to be validated, and returns how many had not to.
func (r resource) invalidate(now time.Time) (n int) {
	for v := range r.variants {
		if !v.purged() && v.invalidate(int64(now.Sub(epoch))) {
			n++
		}
	}
	return n
}

// softPurge makes every variant stale, and returns how many there are.
func (r resource) softPurge(now time.Time) (n int) {
	for v := range r.variants {
		if !v.purged() {
			v.softPurge(int64(now.Sub(epoch)))
			n++
		}
	}
	return n
}

// with returns the resource with v in place of what v replaces, and the resource without all that: what
// stays if there is no room for v. v replaces the variant for the same requests, and old, if it is not nil,
// unless that is another representation; it is as popular as they were.
//
// A list that is full, or larger than maxBytes, loses the variants that were used least, so that somebody
// who makes up request headers cannot push out what others use.
func (r resource) with(v *variant, old *variant, maxBytes int64) (next, rest resource) {
	if r == (resource{}) {
		return resource{newest: v}, r
	}
	selector := v.Selector()
	variants := []*variant{v}
	for o := range r.variants {
		switch {
		case o.Selector() != selector && o == old, o.Selector() == selector && v.supersedes(o, old):
			v.used.Store(max(v.uses(), o.uses()))
		case !o.purged():
			variants = append(variants, o)
		}
	}
	rest = resourceOf(slices.Clone(variants[1:]))
	size := sizeOf(variants)
	for len(variants) > 1 && (len(variants) > maxVariants || size > maxBytes) {
		i := 1 + leastUsed(variants[1:])
		variants = slices.Delete(variants, i, i+1)
		size = sizeOf(variants)
	}
	return resourceOf(variants), rest
}

// leastUsed returns the index of the variant that gives way first: the one that was used least; of several, one
// of the scope that was used least in all, and not of plain requests; of several, the oldest. A scope that somebody
// has made up is one that nobody else uses.
func leastUsed(variants []*variant) (least int) {
	scopes := make(map[string]uint64, len(variants))
	for _, v := range variants {
		scopes[v.Selector().Scope] += uint64(v.uses())
	}
	rank := func(v *variant) (used uint32, ofScope uint64, plain int) {
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

// usedOnes returns the resource without the variants that nobody has asked for since they were stored. ok is false if
// that is all, or nothing.
func (r resource) usedOnes() (next resource, ok bool) {
	if r.more == nil {
		return r, false
	}
	var variants []*variant
	for v := range r.variants {
		if v.uses() > 0 && !v.purged() {
			variants = append(variants, v)
		}
	}
	return resourceOf(variants), len(variants) > 0 && len(variants) < 1+len(r.more.older)
}

// spares reports whether usedOnes would leave variants out, and others not.
func (r resource) spares() bool {
	if r.more == nil {
		return false
	}
	used, unused := false, false
	for v := range r.variants {
		if v.used.Load() > 0 && !v.purged() {
			used = true
		} else {
			unused = true
		}
	}
	return used && unused
}

// without returns the resource without v.
func (r resource) without(v *variant) resource {
	var variants []*variant
	for o := range r.variants {
		if o != v {
			variants = append(variants, o)
		}
	}
	return resourceOf(variants)
}

// size is what the resource keeps in memory, in bytes, beside itself.
func (r resource) size() (n int64) {
	if r.more != nil {
		n = moreSize(len(r.more.older))
	}
	for v := range r.variants {
		n += v.size()
	}
	return n
}

// sizeOf is the size of a resource with these variants.
func sizeOf(variants []*variant) (n int64) {
	if len(variants) > 1 {
		n = moreSize(len(variants) - 1)
	}
	for _, v := range variants {
		n += v.size()
	}
	return n
}

func moreSize(older int) int64 { return moreOverhead + 8*int64(older) }

// size is what v keeps in memory, in bytes.
func (v *variant) size() int64 {
	n := v.Size() + variantOverhead
	if v.extras != nil {
		n += extrasOverhead + int64(len(v.extras.tags))*tagOverhead + int64(len(v.proxiedHosts()))*hostOverhead + v.extras.encodings.size()
	}
	return n
}

const (
	maxUses       = 1024
	refreshedFlag = 1 << 31 // in variant.used
)

// uses is how often v was used, at most maxUses.
func (v *variant) uses() uint32 { return v.used.Load() &^ refreshedFlag }

// touch counts a use.
func (v *variant) touch() {
	// Uses that race may be lost; the order between busy and idle variants is not. Beyond the bound nothing is written, so that a hot variant costs no cache line.
	if n := v.used.Load(); n&^refreshedFlag < maxUses {
		v.used.CompareAndSwap(n, n+1)
	}
}

// beginRefresh reports whether nobody refreshes v ahead of its end, and notes that the caller does.
func (v *variant) beginRefresh() bool { return v.used.Or(refreshedFlag)&refreshedFlag == 0 }

// giveUpRefresh notes that the next request may refresh v.
func (v *variant) giveUpRefresh() { v.used.And(^uint32(refreshedFlag)) }
