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

// Variant is one stored response with what is known about it here. The response itself is immutable; what is atomic is not part of it.
type Variant struct {
	object.Object
	Gen     uint64                // where the purge sequence stood when it began to be made
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
	encodings    *Encodings // nil if the response may not be coded
	proxiedHosts *[]string  // see toldHosts; nil if there are none
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

// Encodings returns the forms of v; nil if it may have none.
func (v *Variant) Encodings() *Encodings {
	if v.extras == nil {
		return nil
	}
	return v.extras.encodings
}

// Vary returns the fields by which v varies.
func (v *Variant) Vary() []string { return v.Selector().Vary.Append(nil) }

// Purged reports whether a tag of v has been purged since it began to be made.
func (v *Variant) Purged() bool {
	for _, t := range v.tags() {
		if t.hard.Load() > v.Gen {
			return true
		}
	}
	return false
}

// invalidate notes that v has to be validated since the given moment, and reports whether it had not to.
func (v *Variant) invalidate(at clock.Instant) bool {
	t := v.withFailures()
	first := t.invalid.CompareAndSwap(false, true)
	t.softPurgedAt.CompareAndSwap(0, int64(at))
	return first
}

// invalid reports whether v has been invalidated.
func (v *Variant) invalid() bool {
	t := v.failures.Load()
	return t != nil && t.invalid.Load()
}

// softPurge notes that v is stale since the given moment, in nanoseconds since epoch, unless it is already.
func (v *Variant) softPurge(at clock.Instant) {
	v.withFailures().softPurgedAt.CompareAndSwap(0, int64(at))
}

// softPurged returns for how long v has been stale by a soft purge.
func (v *Variant) softPurged(now time.Time) (since time.Duration, ok bool) {
	t := v.failures.Load()
	if t == nil || t.softPurgedAt.Load() == 0 {
		for _, t := range v.tags() {
			if t.soft.Load() > v.Gen {
				v.softPurge(clock.Instant(t.softAt.Load())) // so that the next purge of the tag does not make it later
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

// terms returns what decides about v now: stale since a soft purge, if there was one.
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

// UsableOnError reports whether v may be served to the request because the handler fails. broken says that there was no answer at all.
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

// size is what v keeps in memory, in bytes.
func (v *Variant) size() int64 {
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
func (v *Variant) uses() uint32 { return v.used.Load() &^ refreshedFlag }

// Touch counts a use.
func (v *Variant) Touch() {
	// Uses that race may be lost; the order between busy and idle variants is not. Beyond the bound nothing is written, so that a hot variant costs no cache line.
	if n := v.used.Load(); n&^refreshedFlag < maxUses {
		v.used.CompareAndSwap(n, n+1)
	}
}

// beginRefresh reports whether nobody refreshes v ahead of its end, and notes that the caller does.
func (v *Variant) beginRefresh() bool { return v.used.Or(refreshedFlag)&refreshedFlag == 0 }

// GiveUpRefresh notes that the next request may refresh v.
func (v *Variant) GiveUpRefresh() { v.used.And(^uint32(refreshedFlag)) }

// pay says that the bytes of v are charged, once more.
func (v *Variant) pay() { v.bodies((*readers.Set).Pay) }

// unpay takes one pay back.
func (v *Variant) unpay() { v.bodies((*readers.Set).Unpay) }

// bodies calls f for the body of v, and for those of its codings, as far as it is known who reads them.
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

// proxiedHosts returns the hosts, plain, that proxies have told with the request for v.
func (v *Variant) proxiedHosts() []string {
	if v.extras == nil || v.extras.proxiedHosts == nil {
		return nil
	}
	return *v.extras.proxiedHosts
}

// Tag is the entity tag of v; zero if there is none.
func (v *Variant) Tag() field.ETag {
	page := v.Validators()
	return page.ETag
}

const (
	endingHits  = 16              // in its lifetime make a page worth being made anew before it ends
	endingShare = 10              // of its lifetime: the last tenth is its end
	endingMost  = 5 * time.Second // but no more than this
)

// Ending reports, once, that v is in demand and about to end.
func (v *Variant) Ending(now time.Time) bool {
	return v.nearEnd(now) && v.uses() >= endingHits && v.beginRefresh()
}

func (v *Variant) nearEnd(now time.Time) bool {
	ttl := v.Terms.TTL(now)
	return ttl < endingMost && ttl < v.Terms.Lifetime()/endingShare
}

// Strays reports whether no errand is to be sent for v.
func (v *Variant) Strays(now time.Time) bool {
	t := v.failures.Load()
	if t == nil {
		return false
	}
	until := t.straysUntil.Load()
	return until != 0 && int64(clock.Of(now)) < until
}

// WantsRefresh reports whether a refresh that had to wait is still wanted, for the reason that it had.
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

// Stray notes that no errand is to be sent for v until then.
func (v *Variant) Stray(until time.Time) {
	v.withFailures().straysUntil.Store(int64(clock.Of(until)))
}

// IsForOne reports whether nothing shows that another request would get v, too.
func (v *Variant) IsForOne() bool { return v.made&madeAlone != 0 }
