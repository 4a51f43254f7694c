package edgecache

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// restricting are fields of middleware outside that no stored response may take back: what its own request is answered
// with depends on them, whoever the response was made for.
type restricting struct {
	vary   []string
	fields []restrictingField
	array  [3]restrictingField // for fields, usually
}

type restrictingField struct {
	name  string
	lines []string
}

// edited tells what a response does to the fields of middleware outside.
type edited interface{ Edit(name string) field.Edit }

// note remembers the fields of h.
func (o *restricting) note(h http.Header, targeted []string) {
	o.vary, o.fields = h["Vary"], o.array[:0]
	o.add(h, "Cache-Control")
	for _, name := range targeted {
		o.add(h, name)
	}
	for _, name := range field.Policies {
		o.add(h, name)
	}
}

func (o *restricting) add(h http.Header, name string) {
	if lines := h[name]; len(lines) > 0 {
		o.fields = append(o.fields, restrictingField{name, lines})
	}
}

// keep puts back into h what the stored fields, which are there by now, have taken from it: the names in Vary, and what
// the handler did not override itself when it made the response: the restrictions of Cache-Control, and policies, of which
// each counts.
func (o *restricting) keep(h http.Header, response edited) {
	if len(o.vary) > 0 {
		h["Vary"] = field.UniteVary(o.vary, h["Vary"])
	}
	for _, f := range o.fields {
		now := h[f.name]
		if len(now) > 0 && &now[0] == &f.lines[0] {
			continue // the response says nothing itself
		}
		edit := response.Edit(f.name)
		if edit == field.Overrode || edit == field.Added {
			continue
		}
		if field.IsPolicy(f.name) {
			if edit == 0 {
				h[f.name] = slices.Concat(f.lines, now)
			}
			continue
		}
		lost := field.RestrictionsOf(f.lines) &^ field.RestrictionsOf(now)
		switch {
		case lost == 0:
		case len(now) == 0:
			h[f.name] = f.lines
		default:
			tighten(h, f.name, lost)
		}
	}
}

// tighten adds restrictions to a Cache-Control, as [NoStore], [Private] and [NoCache] do, or to a targeted field.
func tighten(h http.Header, name string, restrictions field.Restrictions) {
	for _, r := range [...]struct {
		restriction field.Restrictions
		directive   string
	}{
		{field.RestrictsStoring, dirNoStore}, {field.RestrictsSharing, dirPrivate}, {field.RestrictsReuse, dirNoCache},
	} {
		switch {
		case restrictions&r.restriction == 0:
		case name == "Cache-Control":
			restrict(h, r.directive)
		default:
			editField(h, name, func(d *directives) { d.set(r.directive) })
		}
	}
}

// copyHeader puts the header of v into h, which has what middleware outside says on this answer; see object.Header.CopyTo.
func (e *Edge) copyHeader(h http.Header, v *variant, extra int) []string {
	if len(h) == 0 {
		return v.CopyHeader(h, extra)
	}
	var o restricting
	o.note(h, e.config.TargetedHeaders)
	room := v.CopyHeader(h, extra)
	o.keep(h, &v.Object)
	return room
}

// applyHeader does the same with a header that is not stored yet. It shares no slice with it.
func (e *Edge) applyHeader(h, fields http.Header, edits field.Edits) {
	var o restricting
	o.note(h, e.config.TargetedHeaders)
	edits.Apply(h, fields)
	for name := range fields {
		h[name] = slices.Clone(h[name])
	}
	o.keep(h, edits)
}

// errNonceOutside is what is told of a page that cannot be served as it is stored, see nonceOutside.
var errNonceOutside = errors.New("edgecache: middleware outside of the cache puts a nonce into Content-Security-Policy, so no page is served from the cache: a stored page has another nonce, or none; let scripts in by their hashes, with 'strict-dynamic' if they load others")

// nonceIn reports whether there is a nonce in a policy of h.
func nonceIn(h http.Header) bool {
	return slices.ContainsFunc(field.Policies[:], func(name string) bool { return field.HasNonce(h[name]) })
}

// nonceOutside reports whether middleware outside has put a nonce into a policy of h that stays beside the stored response.
// The handler is told such a nonce, by the request's context for instance, and writes it into its page: the scripts of
// another page would not run.
func nonceOutside(h http.Header, response edited) bool {
	if len(h) == 0 {
		return false
	}
	for _, name := range field.Policies {
		if lines := h[name]; len(lines) > 0 && field.HasNonce(lines) && !response.Edit(name).Removes() {
			return true
		}
	}
	return false
}

// passNonce passes a request on because of nonceOutside, to which v would have been the answer.
func (h *handler) passNonce(w http.ResponseWriter, r *http.Request, req *rules.Request, v *variant, came time.Time) {
	h.edge.warnedOnce(r, v.pattern.Value(), errNonceOutside)
	p := h.newPassage(w, r, req, &account{status: Bypass, forward: rules.CSPNonce, reason: rules.CSPNonce, came: came})
	p.in.edge = h.edge
	p.run()
}
