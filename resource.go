package edgecache

import (
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

const (
	// maxVariants is how many responses one URL may have in memory.
	maxVariants = 64

	// uncacheableFor is how long it is remembered that the answers for a URL could not be stored. Until then a request is passed on with its conditions and ranges.
	uncacheableFor = 2 * time.Minute

	// resourceOverhead and variantOverhead are what a resource keeps beside its objects, in bytes.
	resourceOverhead = 96
	variantOverhead  = 160
	tagOverhead      = 160 // its share of a tag that it may be the only one to carry
)

// resource is all that memory knows of one URL. It is immutable: changes make a new one.
type resource struct {
	variants []*variant // newest first; at most maxVariants

	// Until when answers are expected not to be storable: for requests without credentials, and for those with. Logged-in users, whose pages never are, must not spoil a URL for the others.
	refused [2]time.Time
}

// variant is one stored response with what is known about it here. The response itself is immutable; what is atomic is not part of it.
type variant struct {
	*object.Object
	began    uint64 // where the purge sequence stood when it began to be made
	pattern  string // of the route that made it, as http.ServeMux has it; "" if there was none
	tags     []*tag
	tagNames []string // of tags, in order

	used       atomic.Uint32 // grows with use, saturates; decides which variant gives way
	outdatedAt atomic.Int64  // of a soft purge by URL, in nanoseconds since epoch; 0 without
	refreshed  atomic.Bool   // it is being made anew ahead of its end
	breaker    breaker
}

// purged reports whether a tag of v has been purged since it began to be made.
func (v *variant) purged() bool {
	for _, t := range v.tags {
		if t.hard.Load() > v.began {
			return true
		}
	}
	return false
}

// outdated returns for how long v has been stale by a soft purge.
func (v *variant) outdated(now time.Time) (since time.Duration, ok bool) {
	if v.outdatedAt.Load() == 0 {
		for _, t := range v.tags {
			if t.soft.Load() > v.began {
				v.outdatedAt.CompareAndSwap(0, t.softAt.Load()) // so that the next purge of the tag does not make it later
			}
		}
	}
	at := v.outdatedAt.Load()
	if at == 0 {
		return 0, false
	}
	return max(now.Sub(epoch)-time.Duration(at), 0), true
}

// meta returns what decides about v now: stale since a soft purge, if there was one.
func (v *variant) meta(now time.Time) rules.Meta {
	if since, outdated := v.outdated(now); outdated {
		return v.Meta.Outdated(since, now)
	}
	return v.Meta
}

// ttl returns how long v stays fresh; zero or less if it is stale.
func (v *variant) ttl(now time.Time) time.Duration {
	ttl := v.Meta.TTL(now)
	if since, outdated := v.outdated(now); outdated {
		ttl = min(ttl, -since)
	}
	return ttl
}

// standsIn reports whether v may be served to the request because the handler fails. broken says that there was no answer at all.
func (v *variant) standsIn(o *rules.Options, req *rules.Request, broken bool, now time.Time) bool {
	meta := v.meta(now)
	return meta.StaleOnError(o, req, broken, now)
}

// reuse decides what the request may do with v.
func (v *variant) reuse(o *rules.Options, req *rules.Request, now time.Time) (rules.Action, Reason) {
	since, outdated := v.outdated(now)
	if !outdated {
		return v.Meta.Reuse(o, req, now)
	}
	meta := v.Meta.Outdated(since, now)
	action, reason := meta.Reuse(o, req, now)
	if reason == rules.Stale {
		reason = rules.Purged
	}
	return action, reason
}

// class is the index of a request in resource.refused: 1 if it carries credentials.
func class(req *rules.Request) int {
	if req.Cookie || req.Authorization || req.ClientCertificate || req.Credential {
		return 1
	}
	return 0
}

// find returns the newest variant that fits the request, by scope and by the values of the fields that its Vary names (RFC 9111, 4.1).
func (r *resource) find(scope []byte, h http.Header) *variant {
	if r == nil {
		return nil
	}
	var (
		buf   [256]byte
		names []string
		wants []byte
	)
	for i, v := range r.variants {
		if v.Scope != string(scope) || v.purged() {
			continue
		}
		if i == 0 || wants == nil || !slices.Equal(names, v.Meta.Vary) {
			names = v.Meta.Vary
			wants = key.Variant(buf[:0], names, h)
		}
		if v.Variant == string(wants) {
			return v
		}
	}
	return nil
}

// expectedVary returns the fields by which the page is expected to vary: as the variant that fitted last, or as the newest.
func (r *resource) expectedVary(v *variant) []string {
	if v = r.model(v); v != nil {
		return v.Meta.Vary
	}
	return nil
}

// expectedTags returns the tags that the page is expected to carry, likewise.
func (r *resource) expectedTags(v *variant) []string {
	if v = r.model(v); v != nil {
		return v.tagNames
	}
	return nil
}

// model is what the next page will likely be like: v if it is not nil, else the newest variant, purged or not.
func (r *resource) model(v *variant) *variant {
	if v == nil && r != nil && len(r.variants) > 0 {
		return r.variants[0]
	}
	return v
}

// has reports whether v is one of the variants.
func (r *resource) has(v *variant) bool { return r != nil && slices.Contains(r.variants, v) }

// any reports whether a variant fits.
func (r *resource) any(fits func(*variant) bool) bool { return slices.ContainsFunc(r.variants, fits) }

// alive is the number of variants that have not been purged by a tag before.
func (r *resource) alive() (n int) {
	for _, v := range r.variants {
		if !v.purged() {
			n++
		}
	}
	return n
}

// outdate makes every variant stale, and returns how many there are.
func (r *resource) outdate(now time.Time) (n int) {
	for _, v := range r.variants {
		if !v.purged() {
			v.outdatedAt.CompareAndSwap(0, int64(now.Sub(epoch)))
			n++
		}
	}
	return n
}

// expectsRefusal reports whether answers of this class could not be stored lately.
func (r *resource) expectsRefusal(class int, now time.Time) bool {
	return r != nil && now.Before(r.refused[class])
}

// with returns the resource with v in place of what v replaces: the variant for the same requests, and old, if it is not nil.
// A full list loses the variant that was used least, so that somebody who makes up request headers cannot push out what others use. A list over maxBytes loses the oldest ones.
func (r *resource) with(v *variant, old *variant, class int, maxBytes int64) *resource {
	next := &resource{variants: []*variant{v}}
	if r == nil {
		return next
	}
	next.refused = r.refused
	next.refused[class] = time.Time{} // healed
	for _, o := range r.variants {
		if o != old && !o.purged() && !(o.Scope == v.Scope && o.Variant == v.Variant && slices.Equal(o.Meta.Vary, v.Meta.Vary)) {
			next.variants = append(next.variants, o)
		}
	}
	if len(next.variants) > maxVariants {
		least := 1
		for i, o := range next.variants[1:] {
			if o.used.Load() <= next.variants[least].used.Load() {
				least = i + 1
			}
		}
		next.variants = slices.Delete(next.variants, least, least+1)
	}
	for next.size() > maxBytes && len(next.variants) > 1 {
		next.variants = next.variants[:len(next.variants)-1]
	}
	return next
}

// without returns the resource without v; nil when nothing worth keeping is left.
func (r *resource) without(v *variant, now time.Time) *resource {
	if r == nil {
		return nil
	}
	next := &resource{refused: r.refused}
	for _, o := range r.variants {
		if o != v {
			next.variants = append(next.variants, o)
		}
	}
	if len(next.variants) == 0 && !next.expectsRefusal(0, now) && !next.expectsRefusal(1, now) {
		return nil
	}
	return next
}

// refusing returns the resource with the knowledge that answers of this class cannot be stored.
func (r *resource) refusing(class int, now time.Time) *resource {
	next := &resource{}
	if r != nil {
		*next = *r
	}
	next.refused[class] = now.Add(uncacheableFor)
	return next
}

// size is what the resource keeps in memory, in bytes.
func (r *resource) size() int64 {
	n := int64(resourceOverhead)
	for _, v := range r.variants {
		n += v.Size() + variantOverhead + int64(len(v.tags))*tagOverhead
	}
	return n
}

// touch counts a use.
func (v *variant) touch() {
	// Racing increments may be lost; the order between busy and idle variants is not. Beyond the bound nothing is written, so that a hot variant costs no cache line.
	if n := v.used.Load(); n < 1024 {
		v.used.Store(n + 1)
	}
}
