package engine

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// restricting are fields of middleware outside that no stored response may take back: the response
// to this request depends on them, whatever the stored response was made for. It is small enough
// for the stack: every hit has one.
type restricting struct {
	vary     []string
	control  []string
	targeted [2][]string // of the first targeted fields
	more     [][]string  // of the others
	policies [len(field.Policies)][]string
}

// restrictingIn returns the restricting fields of h.
func restrictingIn(h http.Header, targeted []string) (o restricting) {
	o.vary, o.control = h["Vary"], h["Cache-Control"]
	for i, name := range targeted {
		if i < len(o.targeted) {
			o.targeted[i] = h[name]
		} else {
			o.more = append(o.more, h[name])
		}
	}
	for i, name := range field.Policies {
		o.policies[i] = h[name]
	}
	return o
}

// edited says what a response does to the fields of middleware outside.
type edited interface{ Edit(name string) field.Edit }

// keep puts back into h what the stored fields, which are already there, have taken from it: the
// names in Vary, the restrictions of Cache-Control, and policies, each of which counts. It does not
// put back what the handler itself overrode when it made the response.
func (o *restricting) keep(h http.Header, targeted []string, response edited) {
	if len(o.vary) > 0 {
		h["Vary"] = field.UniteVary(o.vary, h["Vary"])
	}
	keepControl(h, "Cache-Control", o.control, response)
	for i, name := range targeted {
		if i < len(o.targeted) {
			keepControl(h, name, o.targeted[i], response)
		} else {
			keepControl(h, name, o.more[i-len(o.targeted)], response)
		}
	}
	for i, name := range field.Policies {
		if lines, now := o.policies[i], h[name]; replaced(lines, now) && len(now) > 0 && response.Edit(name) == 0 {
			h[name] = slices.Concat(lines, now)
		}
	}
}

// keepControl does the same for a field with the syntax of Cache-Control. lines are those from
// outside.
func keepControl(h http.Header, name string, lines []string, response edited) {
	now := h[name]
	if !replaced(lines, now) {
		return
	}
	if edit := response.Edit(name); edit == field.Overrode || edit.Adds() {
		return
	}
	lost := field.RestrictionsOf(lines) &^ field.RestrictionsOf(now)
	switch {
	case lost == 0:
	case len(now) == 0:
		h[name] = lines
	default:
		tighten(h, name, lost)
	}
}

// replaced reports whether there were lines from outside, and h now has others.
func replaced(lines, now []string) bool {
	return len(lines) > 0 && (len(now) == 0 || &now[0] != &lines[0])
}

// tighten adds restrictions to a Cache-Control, as [NoStore], [Private] and [NoCache] do, or to a
// targeted field.
func tighten(h http.Header, name string, restrictions field.Restrictions) {
	for _, r := range [...]struct {
		restriction field.Restrictions
		directive   string
	}{
		{field.RestrictsStoring, directive.NoStore}, {field.RestrictsSharing, directive.Private}, {field.RestrictsReuse, directive.NoCache},
	} {
		switch {
		case restrictions&r.restriction == 0:
		case name == "Cache-Control":
			directive.Restrict(h, r.directive)
		default:
			directive.EditField(h, name, func(l *directive.List) { l.Set(r.directive) })
		}
	}
}

// copyHeader puts the header of v into h, which has the fields of middleware outside; see
// object.Header.CopyTo.
func (e *Engine) copyHeader(h http.Header, v *cache.Variant, extra int) []string {
	if len(h) == 0 {
		return v.CopyHeader(h, extra)
	}
	o := restrictingIn(h, e.rules.TargetedFields)
	room := v.CopyHeader(h, extra)
	o.keep(h, e.rules.TargetedFields, &v.Object)
	return room
}

// applyHeader does the same with a header that is not stored yet. It shares no slice with that
// header.
func (e *Engine) applyHeader(h, fields http.Header, edits field.Edits) {
	o := restrictingIn(h, e.rules.TargetedFields)
	edits.Apply(h, fields)
	for name := range fields {
		h[name] = slices.Clone(h[name])
	}
	o.keep(h, e.rules.TargetedFields, edits)
}

// errNonceOutside is the warning about a response that cannot be served as it is stored; see
// nonceOutside.
var errNonceOutside = errors.New("edgecache: middleware outside of the cache puts a nonce into Content-Security-Policy, so no page is served from the cache: a stored page has another nonce, or none; let scripts in by their hashes, with 'strict-dynamic' if they load others")

// nonceIn reports whether a policy of h has a nonce.
func nonceIn(h http.Header) bool {
	return slices.ContainsFunc(field.Policies[:], func(name string) bool { return field.HasNonce(h[name]) })
}

// nonceOutside reports whether middleware outside has put a nonce into a policy of h that stays
// beside the stored response. The handler learns such a nonce, from the context of the request for
// instance, and writes it into its page: the scripts of a stored page would not run.
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

// passNonce passes a request on because of nonceOutside. v is the response that it would have got.
func (h *handler) passNonce(w http.ResponseWriter, r *http.Request, req *rules.Request, v *cache.Variant, received time.Time) {
	h.engine.warnedOnce(r, v.Pattern(), errNonceOutside)
	p := h.newPass(w, r, req, &cacheStatus{status: Bypass, forward: rules.CSPNonce, reason: rules.CSPNonce, received: received})
	p.in.edge = h.engine
	p.run()
}
