package rules

import (
	"cmp"
	"slices"
	"time"
)

// Limits restrict what the cache may do with a request, for a reason outside of the cache. They
// never permit anything. The zero Limits restrict nothing. Limits are immutable once a Request
// refers to them.
type Limits struct {
	Pass    bool // nothing may be stored, or served from the store: no-store, private
	NoCache bool // a stored response must be validated at each use
	NoStale bool // a stored response must not be used when it is stale

	// Upper bounds; 0 means none.
	Lifetime, WhileRevalidate, IfError time.Duration

	Vary []string // request fields that select a response, besides those that it names itself
}

// Passes reports whether nothing may be stored, or served from the store. l may be nil.
func (l *Limits) Passes() bool { return l != nil && l.Pass }

// With returns what l and m restrict together. Either may be nil.
func (l *Limits) With(m *Limits) *Limits {
	if l == nil || m == nil {
		return cmp.Or(l, m)
	}
	return &Limits{
		Pass: l.Pass || m.Pass, NoCache: l.NoCache || m.NoCache, NoStale: l.NoStale || m.NoStale,
		Lifetime: shorter(l.Lifetime, m.Lifetime), WhileRevalidate: shorter(l.WhileRevalidate, m.WhileRevalidate), IfError: shorter(l.IfError, m.IfError),
		Vary: append(l.Vary[:len(l.Vary):len(l.Vary)], m.Vary...),
	}
}

// Chosen returns the names of a Vary by which a response can be selected. Request directives that
// do not count are left out, since the handler does not see them. The result may be names.
func (o *Options) Chosen(names []string) []string {
	if o.HonorRequestDirectives || !slices.ContainsFunc(names, isDirectives) {
		return names
	}
	return slices.DeleteFunc(slices.Clone(names), isDirectives)
}

// shorter returns the smaller of two bounds, where 0 means none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// under returns t as l restricts it.
func (t *Terms) under(l *Limits) Terms {
	u := *t
	u.noCache = u.noCache || l.NoCache
	u.noStale = u.noStale || l.NoStale
	u.lifetime = atMost(u.lifetime, l.Lifetime)
	u.whileRevalidate, u.ifError = atMost(u.whileRevalidate, l.WhileRevalidate), atMost(u.ifError, l.IfError)
	if u.noStale || u.noCache {
		u.whileRevalidate, u.ifError = 0, 0
	}
	return u
}

// atMost returns d within a bound, where 0 means none.
func atMost(d, bound time.Duration) time.Duration {
	if bound == 0 {
		return d
	}
	return min(d, bound)
}

// TTLFor is TTL for this request.
func (t *Terms) TTLFor(req *Request, now time.Time) time.Duration {
	if req.Limits == nil {
		return t.TTL(now)
	}
	return atMost(t.lifetime, req.Limits.Lifetime) - t.Age(now)
}
