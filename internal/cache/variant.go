package cache

import (
	"sync/atomic"
	"time"
	"unique"

	"github.com/edgecache-go/edgecache/internal/clock"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/readers"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Variant is one stored response, with what memory knows about it. The response itself is
// immutable; the atomic fields are not part of it.
type Variant struct {
	object.Object
	// Gen is the generation from before the response was rendered: a purge with a later number
	// concerns it.
	Gen     uint64
	pattern unique.Handle[string] // see Pattern
	extras  *extras               // nil if v has none

	failures atomic.Pointer[failures] // nil before the first
	made     madeFor                  // see SetMadeFor
	// used counts uses up to maxUses, and decides which variant gives way. Its highest bit is
	// refreshedFlag.
	used atomic.Uint32
}

// extras are what most stored responses do not have.
type extras struct {
	names        []string
	tags         []*tag     // the tags of these names
	encodings    *Encodings // nil if the response must not be encoded
	proxiedHosts *[]string  // see Variant.proxiedHosts; nil if there are none
}

// tags returns the tags of v.
func (v *Variant) tags() []*tag {
	if v.extras == nil {
		return nil
	}
	return v.extras.tags
}

// TagNames returns the names of v's tags, in order.
func (v *Variant) TagNames() []string {
	if v.extras == nil {
		return nil
	}
	return v.extras.names
}

// Pattern is the pattern of the route that made v, as http.ServeMux has it; "" if there was none.
func (v *Variant) Pattern() string { return v.pattern.Value() }

// Encodings returns the encodings of v; nil if v must not be encoded.
func (v *Variant) Encodings() *Encodings {
	if v.extras == nil {
		return nil
	}
	return v.extras.encodings
}

// Vary returns the request fields by which v varies.
func (v *Variant) Vary() []string { return v.Selector().Vary.Append(nil) }

// Purged reports whether a tag of v was purged after Gen.
func (v *Variant) Purged() bool {
	for _, t := range v.tags() {
		if t.hard.Load() > v.Gen {
			return true
		}
	}
	return false
}

// invalidate notes that v must be validated since at. It reports whether that is new.
func (v *Variant) invalidate(at clock.Instant) bool {
	t := v.withFailures()
	first := t.invalid.CompareAndSwap(false, true)
	t.softPurgedAt.CompareAndSwap(0, int64(at))
	return first
}

// invalid reports whether v was invalidated.
func (v *Variant) invalid() bool {
	t := v.failures.Load()
	return t != nil && t.invalid.Load()
}

// softPurge notes that v is stale since at, unless a soft purge has made it stale before.
func (v *Variant) softPurge(at clock.Instant) {
	v.withFailures().softPurgedAt.CompareAndSwap(0, int64(at))
}

// softPurged returns for how long v has been stale by a soft purge; ok is false if there was none.
func (v *Variant) softPurged(now time.Time) (since time.Duration, ok bool) {
	t := v.failures.Load()
	if t == nil || t.softPurgedAt.Load() == 0 {
		for _, t := range v.tags() {
			if t.soft.Load() > v.Gen {
				// So that the next purge of the tag does not move the time.
				v.softPurge(clock.Instant(t.softAt.Load()))
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
	return max(clock.Instant(at).Until(now), 0), true
}

// terms returns what decides about v now: its own terms, or those after a soft purge.
func (v *Variant) terms(now time.Time) rules.Terms {
	since, ok := v.softPurged(now)
	switch {
	case !ok:
		return v.Terms
	case v.invalid():
		return v.Terms.Invalidated(since, now)
	}
	return v.Terms.Outdated(since, now)
}

// TTL returns how long v stays fresh; zero or less if it is stale.
func (v *Variant) TTL(now time.Time) time.Duration {
	ttl := v.Terms.TTL(now)
	if since, ok := v.softPurged(now); ok {
		ttl = min(ttl, -since)
	}
	return ttl
}

// UsableOnError reports whether v may be served to the request because the handler fails. broken
// says that the handler gave no response at all.
func (v *Variant) UsableOnError(o *rules.Options, req *rules.Request, broken bool, now time.Time) bool {
	terms := v.terms(now)
	return terms.StaleOnError(o, req, broken, now)
}

// Reuse decides what the request may do with v.
func (v *Variant) Reuse(o *rules.Options, req *rules.Request, now time.Time) (rules.Action, rules.Reason) {
	if _, ok := v.softPurged(now); !ok {
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

// size returns the bytes that v takes in memory.
func (v *Variant) size() int64 {
	n := v.Size() + variantOverhead
	if v.extras != nil {
		n += extrasOverhead + int64(len(v.extras.tags))*tagOverhead + int64(len(v.proxiedHosts()))*hostOverhead + v.extras.encodings.size()
	}
	return n
}

const (
	maxUses       = 1024
	refreshedFlag = 1 << 31 // in Variant.used: v is being refreshed ahead of its end
)

// uses returns how often v was used, at most maxUses.
func (v *Variant) uses() uint32 { return v.used.Load() &^ refreshedFlag }

// Touch counts a use.
func (v *Variant) Touch() {
	// Uses that race may be lost; the order between busy and idle variants is not. Beyond the bound
	// nothing is written, so a hot variant invalidates no cache line.
	if n := v.used.Load(); n&^refreshedFlag < maxUses {
		v.used.CompareAndSwap(n, n+1)
	}
}

// beginRefresh notes that the caller refreshes v ahead of its end. It returns false if another
// request does so already.
func (v *Variant) beginRefresh() bool { return v.used.Or(refreshedFlag)&refreshedFlag == 0 }

// GiveUpRefresh lets the next request refresh v ahead of its end.
func (v *Variant) GiveUpRefresh() { v.used.And(^uint32(refreshedFlag)) }

// pay notes, once more, that memory is charged for the bytes of v.
func (v *Variant) pay() { v.bodies((*readers.Set).Pay) }

// unpay takes one pay back.
func (v *Variant) unpay() { v.bodies((*readers.Set).Unpay) }

// bodies calls f for the body of v and of each encoding, if their readers are counted.
func (v *Variant) bodies(f func(*readers.Set)) {
	if set := v.Body.Readers(); set != nil {
		f(set)
	}
	s := v.Encodings()
	if s == nil {
		return
	}
	for c := range s.made {
		if enc := s.made[c].Load(); enc != nil {
			if set := enc.Body.Readers(); set != nil {
				f(set)
			}
		}
	}
}

// proxiedHosts returns the hosts, plain, that proxies named with the request for v.
func (v *Variant) proxiedHosts() []string {
	if v.extras == nil || v.extras.proxiedHosts == nil {
		return nil
	}
	return *v.extras.proxiedHosts
}

// Tag returns the entity tag of v; zero if there is none.
func (v *Variant) Tag() field.ETag {
	validators := v.Validators()
	return validators.ETag
}

const (
	endingHits  = 16              // hits in its lifetime that make a response worth a refresh ahead of its end
	endingShare = 10              // the end is the last tenth of its lifetime,
	endingMost  = 5 * time.Second // but at most this
)

// Ending reports, once, that v is in demand and close to its end.
func (v *Variant) Ending(now time.Time) bool {
	return v.nearEnd(now) && v.uses() >= endingHits && v.beginRefresh()
}

func (v *Variant) nearEnd(now time.Time) bool {
	ttl := v.Terms.TTL(now)
	return ttl < endingMost && ttl < v.Terms.Lifetime()/endingShare
}

// Strays reports whether no errand may be sent for v for now.
func (v *Variant) Strays(now time.Time) bool {
	t := v.failures.Load()
	if t == nil {
		return false
	}
	until := t.straysUntil.Load()
	return until != 0 && int64(clock.Of(now)) < until
}

// WantsRefresh reports whether a refresh that had to wait is still wanted, for its reason.
func (v *Variant) WantsRefresh(o *rules.Options, req *rules.Request, reason rules.Reason, now time.Time) bool {
	if v.Purged() {
		return false
	}
	switch action, _ := v.Reuse(o, req, now); action {
	case rules.ServeAndRefresh:
		open, due, _ := v.Breaker(now)
		return !open || due
	case rules.Serve:
		return reason == rules.Fresh && v.nearEnd(now)
	case rules.Validate:
		open, due, broken := v.Breaker(now)
		return open && due && v.UsableOnError(o, req, broken, now)
	}
	return false
}

// Stray notes that no errand may be sent for v before until.
func (v *Variant) Stray(until time.Time) {
	v.withFailures().straysUntil.Store(int64(clock.Of(until)))
}

// IsForOne reports whether nothing shows that another request would get v, too.
func (v *Variant) IsForOne() bool { return v.made&madeAlone != 0 }
