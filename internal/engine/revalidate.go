package engine

import (
	"maps"
	"net/http"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// setHitForMiss remembers that a response of this class could not be stored, and why. It removes
// the response that anonymous clients got before: the handler no longer says that.
func (e *Engine) setHitForMiss(k []byte, scope string, class cache.Class, old *cache.Variant, reason Reason, now time.Time) {
	if class == cache.Anonymous && old != nil {
		e.discard(k, old)
	}
	e.cache.SetHitForMiss(k, scope, class, reason, now)
}

// update is what a 304 says about what is stored.
type update struct {
	fields http.Header // set by the handler itself, and stored
	edits  field.Edits // what it did to the fields of middleware outside
	outer  http.Header // the fields of middleware outside: what they say about caching counts, too
}

// freshened returns old with the header of a 304 merged in (RFC 9111, 3.2). The Reason says why the
// result may not be stored any longer; it is None if it may.
func (e *Engine) freshened(k []byte, old *cache.Variant, u *update, req *rules.Request, r *http.Request, gen uint64, start, now time.Time) (*cache.Variant, Reason) {
	field.RemoveHopByHop(u.fields)
	selector := old.Selector()
	header := rules.Freshen(old.Header().Unpack(), u.fields)
	edits := freshenedEdits(old.Header().Edits(), u)
	if old.MadeETag() && len(u.fields["Etag"]) == 0 {
		delete(header, "Etag") // Seal makes the same tag again
	}
	edits.Prune(header)
	// The decision is about the whole header that a hit of the same request would have.
	effect := rules.Freshen(nil, u.outer)
	e.applyHeader(effect, header, edits)
	meta, reason := e.rules.Store(req, old.Status(), effect, start, now)
	if reason != rules.None {
		meta = rules.Meta{Terms: old.Terms, Vary: selector.Vary.Append(nil)} // good for this one response
		if _, ok := header["Date"]; !ok {
			// Otherwise conditions would count from the time when old came.
			header["Date"] = []string{now.UTC().Format(http.TimeFormat)}
		}
		e.markPersonal(header, req, old.Status())
	}
	meta.Terms = meta.Confirms(&old.Terms)
	for _, name := range meta.Strip {
		delete(header, name)
	}
	d := object.Draft{
		Status: old.Status(), Header: header, Edits: edits, Body: old.Body, Meta: meta,
		Scope: selector.Scope, Variant: string(key.Values(nil, meta.Vary, r.Header, &req.Scope)),
	}
	if old.IsTold() {
		d.Type, d.Language = old.Representation()
	}
	v := e.cache.NewVariant(d.Seal(), tagNames(effect["Cache-Groups"], k), gen, old.Pattern())
	p := cache.PreferencesOf(r.Header, &req.Scope)
	v.SetMadeFor(&p, false)
	e.cache.Inherit(v, old, k)
	return v, reason
}

// freshenedEdits returns stored with the edits of u for the fields that u has. A field that a 304
// removes means nothing: a 304 lacks most fields (RFC 9110, 15.4.5).
func freshenedEdits(stored field.Edits, u *update) field.Edits {
	edits := maps.Clone(stored)
	for name := range u.fields {
		delete(edits, name)
		if edit := u.edits.Edit(name); edit != 0 {
			if edits == nil {
				edits = make(field.Edits)
			}
			edits[name] = edit
		}
	}
	return edits
}

// freshen merges a 304 into what is stored, and delivers the result (RFC 9111, 4.3.4).
func (f *fetch) freshen() {
	e := f.handler.engine
	v, reason := e.freshened(f.key, f.old, &update{f.fields, f.edits, f.w.Header()}, &f.req, f.r, f.flight.Gen, f.start, f.now)
	a := f.newStatus(Revalidated, rules.Revalidated)
	a.fwdStatus, a.pattern = http.StatusNotModified, v.Pattern()
	switch {
	case f.ended():
		f.flight.Share(result{again: true}) // good for this response only
	case f.Late() != 0:
		f.failed(lateError(f.Late())) // it confirmed nothing
	case reason == rules.None:
		a.stored = e.cache.Replace(f.key, v, f.old, f.class)
		f.putL2(v)
		f.flight.Share(result{stored: v, confirmed: true})
		a.ttl, a.hasTTL = v.Terms.TTL(f.now), true
	case f.class != cache.Anonymous || reason == rules.RequestNoStore:
		a.reason = reason // about this request
	default:
		// A 304 has the Cache-Control that a 200 would have (RFC 9110, 15.4.5).
		e.discard(f.key, f.old)
		a.reason = reason
	}
	// A cookie on a 304 is not part of the stored response, but it is for this client. The same holds
	// for fields that belong to this exchange.
	for name, lines := range f.fields {
		if name == "Set-Cookie" && len(lines) > 0 || e.rules.Drops(name) {
			f.w.Header()[name] = lines
		}
	}
	f.flight.Finish()
	e.deliver(f.w, f.r, &f.req, v, f.now, &a)
}
