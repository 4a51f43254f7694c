package edgecache

import (
	"encoding/binary"
	"maps"
	"net/http"
	"slices"
	"time"
	"unique"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// update changes what memory holds for one URL, unless a purge of the URL, on one of the hosts that a proxy told, or of one of the tags, has come after the point where the change began.
// change gets the zero resource for nothing, and returns it to keep nothing; rest is what stays if there is no room for next. It is called under a lock.
func (e *Edge) update(k []byte, hosts, tags []string, began uint64, change func(resource) (next, rest resource)) (kept bool) {
	var rest resource
	m := e.marks(k, hosts)
	return e.memory.UpdateOr(k, func(old resource, _ bool) (resource, int64, bool) {
		next := old
		if !e.generations.purgedSince(&m, began) && !e.generations.tagsPurgedSince(tags, began) {
			next, rest = change(old)
		}
		if next == (resource{}) {
			return next, 0, false
		}
		e.count(old, next)
		return next, next.size(), true
	}, func(next resource) (resource, int64, bool) {
		if rest == (resource{}) {
			return rest, 0, false
		}
		e.count(next, rest)
		return rest, rest.size(), true
	})
}

// evicting says what stays of a resource that is to make room: the variants that were used, if there are others. What somebody has asked for once, with a header that he made up,
// takes no room from a page that others use.
func (e *Edge) evicting(r resource) (resource, int64, bool) {
	next, ok := r.usedOnes()
	if !ok {
		return r, 0, false
	}
	e.count(r, next)
	return next, next.size(), true
}

// count keeps the books on stored responses when next takes the place of old.
func (e *Edge) count(old, next resource) {
	if old == next {
		return
	}
	for v := range next.variants {
		v.pay() // before the same bytes are paid for no longer
	}
	for v := range old.variants {
		e.countOut(v)
	}
	for v := range next.variants {
		e.entries.Add(1)
		if v.remembers() {
			e.remembering.Add(1)
		}
		for _, t := range v.tags() {
			t.count(1, v.gen)
		}
	}
}

func (e *Edge) countOut(v *variant) {
	v.unpay()
	e.entries.Add(-1)
	if v.remembers() {
		e.remembering.Add(-1)
	}
	for _, t := range v.tags() {
		t.count(-1, v.gen)
	}
}

// removed hears from memory of what is no longer there.
func (e *Edge) removed(r resource) {
	for v := range r.variants {
		e.countOut(v)
	}
}

// newVariant returns o with what memory keeps about it.
func (e *Edge) newVariant(o object.Object, tagNames []string, began uint64, pattern string) *variant {
	v := &variant{Object: o, gen: began, pattern: unique.Make(pattern)}
	codings := e.encodingsOf(&v.Object)
	var hosts *[]string
	if scope := v.Selector().Scope; scope != "" {
		if told := key.Hosts(nil, scope); len(told) > 0 {
			hosts = &told
		}
	}
	if len(tagNames) == 0 && codings == nil && hosts == nil {
		return v
	}
	v.extras = &extras{tagNames, make([]*tag, len(tagNames)), codings, hosts}
	for i, name := range tagNames {
		v.extras.tags[i] = e.tags.get(name)
	}
	return v
}

// askedAgain reports whether v, which is about to be stored, was asked for before: by those who waited for it, or lately,
// when it found no room beside the other variants. Memory keeps what it knows of a URL as a whole.
func (e *Edge) askedAgain(k []byte, v *variant, waited bool) bool {
	if waited {
		e.memory.Remember(k)
		return true
	}
	res, _ := e.memory.Peek(k)
	s := v.Selector()
	if res.newest == nil || res.any(func(o *variant) bool { return o.Selector() == s }) {
		return false
	}
	name := slices.Concat(k, []byte{0}, binary.AppendUvarint(nil, uint64(len(s.Scope))), []byte(s.Scope), []byte(s.Variant)) // no key goes on so
	return e.memory.Remember(name)
}

// publish stores v, in place of old if there is one.
func (e *Edge) publish(k []byte, v, old *variant, class int) bool {
	stored := false
	resident := e.update(k, v.proxiedHosts(), v.tagNames(), v.gen, func(r resource) (resource, resource) {
		stored = true
		return r.with(v, old, e.maxObject)
	})
	return e.kept(k, v, class, resident && stored)
}

// kept forgets that the URL could not be stored, if it is now.
func (e *Edge) kept(k []byte, v *variant, class int, stored bool) bool {
	if stored {
		e.hitForMiss.forget(k, v.Selector().Scope, class)
	}
	return stored
}

// replace stores v in place of old, if old is still what is stored: a validation must not bring back what has been removed or replaced in the meantime.
func (e *Edge) replace(k []byte, v, old *variant, class int) bool {
	replaced := false
	resident := e.update(k, v.proxiedHosts(), v.tagNames(), v.gen, func(r resource) (resource, resource) {
		if !r.has(old) || old.purged() {
			return r, r
		}
		replaced = true
		return r.with(v, old, e.maxObject)
	})
	return e.kept(k, v, class, resident && replaced)
}

// discard forgets old, which turned out to be no longer right.
func (e *Edge) discard(k []byte, old *variant) {
	e.dropL2URL(k)
	e.update(k, nil, nil, e.generations.now(), func(r resource) (resource, resource) {
		r = r.without(old)
		return r, r
	})
}

// refuse remembers that an answer of this class could not be stored, and why. It takes the place of the page that anonymous clients got before: that is no longer what the handler says.
func (e *Edge) refuse(k []byte, scope string, class int, old *variant, reason Reason, now time.Time) {
	if class == 0 && old != nil {
		e.discard(k, old)
	}
	e.hitForMiss.note(k, scope, class, reason, now)
}

// update is what a 304 says about what is stored.
type update struct {
	fields http.Header // what the handler itself said: it is stored
	edits  field.Edits // what it did to the fields of middleware outside
	outer  http.Header // these: what they say about caching counts, too
}

// freshened returns old with the header of a 304 taken in (RFC 9111, 3.2), and why it may not be stored any longer, if so.
func (e *Edge) freshened(k []byte, old *variant, u *update, req *rules.Request, r *http.Request, began uint64, start, now time.Time) (*variant, Reason) {
	field.RemoveHopByHop(u.fields)
	selector := old.Selector()
	header := rules.Freshen(old.Header().Unpack(), u.fields)
	edits := freshenedEdits(old.Header().Edits(), u)
	if old.MadeETag() && len(u.fields["Etag"]) == 0 {
		delete(header, "Etag") // Seal makes the same again
	}
	edits.Prune(header)
	// All that a hit of the same request would be answered with decides.
	effect := rules.Freshen(nil, u.outer)
	e.applyHeader(effect, header, edits)
	meta, reason := e.rules.Store(req, old.Status(), effect, start, now)
	if reason != rules.None {
		meta = rules.Meta{Terms: old.Terms, Vary: selector.Vary.Append(nil)} // good for this one answer
		if _, ok := header["Date"]; !ok {
			header["Date"] = []string{now.UTC().Format(http.TimeFormat)} // else the conditions would count from when old came
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
	v := e.newVariant(d.Seal(), tagNames(effect["Cache-Groups"], k), began, old.pattern.Value())
	p := preferencesOf(r.Header, &req.Scope)
	v.isFor(&p, false)
	e.inherit(v, old, k)
	return v, reason
}

// freshenedEdits returns stored with the edits of u, which belong to the fields that u has. What a 304 takes off says nothing: a 304 lacks most fields (RFC 9110, 15.4.5).
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
