package rules

import (
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/clock"
	"github.com/edgecache-go/edgecache/internal/field"
)

const (
	// infinity is the largest delta-seconds (RFC 9111, 1.2.2). Sums of two of them still fit a
	// Duration.
	infinity = (1 << 31) * time.Second

	// briefTTL bounds the lifetime that is inferred for redirects and missing pages: only a visitor
	// notices that one of those was kept too long.
	briefTTL = 30 * time.Second

	// heuristicFraction is the "typical setting" of RFC 9111, 4.2.2: a tenth of the time since the
	// last change.
	heuristicFraction = 10
)

// Age returns the current_age of RFC 9111, 4.2.3. It is never negative, whatever the clock does.
func (t *Terms) Age(now time.Time) time.Duration {
	return t.initialAge + bounded(t.responseTime.Until(now))
}

// Came returns when the response was received, or when it was restored.
func (t *Terms) Came() time.Time { return t.responseTime.Time() }

// Lifetime returns the freshness lifetime.
func (t *Terms) Lifetime() time.Duration { return t.lifetime }

// TTL returns how long the response stays fresh. It is zero or less if the response is stale.
func (t *Terms) TTL(now time.Time) time.Duration { return t.lifetime - t.Age(now) }

// Explicit reports whether the response itself gave its lifetime.
func (t *Terms) Explicit() bool { return t.explicit }

func (m *Meta) setAge(h http.Header, requestTime, now time.Time) {
	m.responseTime = clock.Of(now)
	value, _ := field.ParseAge(h["Age"])
	corrected := bounded(value) + bounded(now.Sub(requestTime))
	// Date has whole seconds, so the rest of a second says nothing about the response's age.
	apparent := bounded(now.Sub(m.Date())).Truncate(time.Second)
	m.initialAge = bounded(max(apparent, corrected))
}

// setFreshness computes the lifetime and the windows. It returns None if the response is worth
// storing with them.
func (m *Meta) setFreshness(o *Options, cc *field.CacheControl, targeted bool, status int, h http.Header) Reason {
	allowed := cc.Public || heuristicallyCacheable(status)
	switch {
	case cc.SharedMaxAge.Set:
		m.lifetime, m.explicit = delta(cc.SharedMaxAge), true
	case cc.MaxAge.Set:
		m.lifetime, m.explicit = delta(cc.MaxAge), true
	case !targeted && len(h["Expires"]) > 0: // a targeted field rules Expires out (RFC 9213, 2.2)
		m.lifetime, m.explicit = m.expires(h["Expires"]), true
	case !allowed:
		return Status
	case m.forbidsInference(o, targeted, h):
		return NoFreshness
	case m.modified != "":
		m.lifetime = min(bounded(m.Date().Sub(m.LastModified()))/heuristicFraction, brief(status, o.HeuristicMax))
	default:
		m.lifetime = o.inferred(status)
	}

	m.noStale = cc.MustRevalidate || cc.ProxyRevalidate || cc.SharedMaxAge.Set
	m.immutable = cc.Immutable && m.explicit
	if !m.noCache && !m.noStale {
		// s-maxage implies proxy-revalidate (RFC 9111, 5.2.2.10), so a window beside it does
		// nothing here.
		m.whileRevalidate = m.window(cc.StaleWhileRevalidate, o.StaleWhileRevalidate)
		m.ifError = m.window(cc.StaleIfError, o.StaleIfError)
	}

	if m.Has() {
		return None
	}
	if m.noCache {
		return NoCache
	}
	if m.lifetime+max(m.whileRevalidate, m.ifError) > m.initialAge {
		return None
	}
	if m.explicit || m.lifetime > 0 {
		return Expired
	}
	return NoFreshness
}

// expires returns the lifetime that Expires gives. Lines that differ say nothing, and that means
// stale (RFC 9111, 4.2.1 and 5.3).
func (m *Meta) expires(lines []string) time.Duration {
	for _, line := range lines[1:] {
		if line != lines[0] {
			return 0
		}
	}
	at, ok := field.ParseDate(lines[0], m.came)
	if !ok {
		return 0
	}
	// Both dates are by the origin's clock. Without a valid Date, it counts from when the response
	// was received.
	return bounded(at.Sub(m.Date()))
}

// inferred returns the lifetime of a response that says nothing about it.
func (o *Options) inferred(status int) time.Duration {
	if o.ExplicitOnly {
		return 0
	}
	switch status {
	case 200, 203, 301, 308, 404, 410:
		return brief(status, o.DefaultTTL)
	}
	return 0
}

// brief returns the bound of an inferred lifetime for a status: at most briefTTL for some.
func brief(status int, bound time.Duration) time.Duration {
	switch status {
	case 203, 301, 308, 404, 410:
		bound = min(bound, briefTTL)
	}
	return max(bound, 0)
}

// window returns the length of a window of RFC 5861: the response's own, or else the configured
// one. A response that arrives stale by its own words (max-age=0, an Expires in the past) is to be
// revalidated at each use, so it gets none.
func (m *Meta) window(own field.Delta, configured time.Duration) time.Duration {
	switch {
	case own.Set:
		return delta(own)
	case m.explicit && m.lifetime <= 0:
		return 0
	}
	return bounded(configured)
}

// heuristicallyCacheable lists the status codes of RFC 9110, 15.1. 206 is missing, since partial
// responses are not stored.
func heuristicallyCacheable(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}

// delta returns the value of a directive that is present; an invalid one means stale (RFC 9111,
// 4.2.1).
func delta(d field.Delta) time.Duration {
	if !d.Valid {
		return 0
	}
	return bounded(d.Value)
}

func bounded(d time.Duration) time.Duration { return min(max(d, 0), infinity) }
