package rules

import "time"

// Action is what to do with a stored response that matches the request by key and variant.
type Action uint8

const (
	Forward         Action = iota // this request may not use it: run the handler, and store only what Store allows
	Serve                         // serve it
	ServeAndRefresh               // serve it and refresh it in the background
	Validate                      // run the handler, with a condition if there is a validator
	Fail                          // respond 504: the client wants only a stored response
)

var actions = [...]string{"forward", "serve", "serve-and-refresh", "validate", "fail"}

// String returns the name in kebab-case.
func (a Action) String() string {
	if int(a) < len(actions) {
		return actions[a]
	}
	return actions[Forward]
}

// Reuse decides what req may do with the stored response (RFC 9111, 4). It neither allocates nor
// parses.
func (t *Terms) Reuse(o *Options, req *Request, now time.Time) (Action, Reason) {
	if req.Limits != nil {
		limited := t.under(req.Limits)
		t = &limited
	}
	action, reason := t.reuse(req, now)
	if req.CC.OnlyIfCached && (action == Validate || action == Forward) && req.Bypass == None {
		return Fail, OnlyIfCached
	}
	return action, reason
}

func (t *Terms) reuse(req *Request, now time.Time) (Action, Reason) {
	if !t.stored {
		return Forward, URIMiss
	}
	if req.Bypass != None {
		return Forward, req.Bypass
	}
	if reason := t.refuses(req); reason != None {
		return Forward, reason
	}
	if !t.Fits(req) {
		return Forward, VaryMiss
	}
	if t.noCache {
		return Validate, NoCache
	}
	if req.CC.NoCache {
		return Validate, RequestNoCache
	}
	age := t.Age(now)
	ttl := t.lifetime - age
	fresh := ttl > 0

	// A reload sends max-age=0, which immutable says is useless; only no-cache insists (RFC 8246,
	// 2.1).
	if d := req.CC.MaxAge; d.Valid && (age > d.Value || d.Value == 0) && !(fresh && t.immutable) {
		return Validate, RequestMaxAge
	}
	if d := req.CC.MinFresh; d.Valid && ttl < d.Value {
		return Validate, RequestMinFresh
	}
	switch {
	case fresh:
		return Serve, Fresh
	case -ttl < t.whileRevalidate:
		return ServeAndRefresh, StaleWhileRevalidate
	case t.accepts(req, -ttl):
		return Serve, MaxStale
	}
	return Validate, Stale
}

// Fits reports whether the response may be used for the request as far as Origin goes, beyond its
// Vary: see Meta.vary.
func (t *Terms) Fits(req *Request) bool { return t.origins || !req.Origin }

// Confirms returns t, the terms of a response that was just confirmed, with the one thing that only
// the terms from before, old, can know: that it says nothing about CORS to a request with an
// Origin.
func (t *Terms) Confirms(old *Terms) Terms {
	confirmed := *t
	confirmed.origins = t.origins || old.origins
	return confirmed
}

// accepts reports whether the client takes a response that is stale for that long, and the response
// permits it (RFC 9111, 4.2.4 and 5.2.1.2).
func (t *Terms) accepts(req *Request, staleness time.Duration) bool {
	return !t.noStale && t.whileRevalidate != ifValidated && (req.CC.MaxStaleAny || req.CC.MaxStale.Valid && staleness <= req.CC.MaxStale.Value)
}

// StaleOnError reports whether the stored response may be served instead of an error: a 500, 502,
// 503 or 504 (RFC 5861, 4), or, if unreachable, no response at all (RFC 9111, 4.2.4).
func (t *Terms) StaleOnError(o *Options, req *Request, unreachable bool, now time.Time) bool {
	if req.Limits != nil {
		limited := t.under(req.Limits)
		t = &limited
	}
	if !t.stored || req.Bypass != None || t.refuses(req) != None || !t.Fits(req) || t.noCache || req.CC.NoCache {
		return false
	}
	staleness := max(t.Age(now)-t.lifetime, 0)
	if staleness < t.ifError {
		return true
	}
	if t.noStale {
		return false
	}
	return staleness < delta(req.CC.StaleIfError) || unreachable && staleness < o.MaxStaleUnreachable
}

// ForbidsStale reports whether the response must not be used when it is stale, even if the origin
// cannot be reached. The cache must then respond with an error (RFC 9111, 5.2.2.2).
func (t *Terms) ForbidsStale() bool { return t.noStale || t.noCache }

// Outdated returns t with a lifetime that ended since ago, unless it ended before that. A soft
// purge does this.
func (t *Terms) Outdated(since time.Duration, now time.Time) Terms {
	outdated := *t
	outdated.lifetime = min(t.lifetime, t.Age(now)-since)
	return outdated
}

// Invalidated is like Outdated, for a response that an unsafe request invalidated since ago. It is
// not used without validation (RFC 9111, 4.4), neither while that is in progress nor because a
// client accepts stale responses, but it may be served instead of an error.
func (t *Terms) Invalidated(since time.Duration, now time.Time) Terms {
	invalid := t.Outdated(since, now)
	invalid.whileRevalidate = ifValidated
	return invalid
}

// ifValidated takes the place of whileRevalidate in an invalid response. It has no field of its
// own, since each stored response would pay for that.
const ifValidated time.Duration = -1
