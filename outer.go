package edgecache

import (
	"net/http"
	"slices"

	"github.com/edgecache-go/edgecache/internal/field"
)

// restricting are fields of middleware outside that no stored response may take back: what its own request is answered
// with depends on them, whoever the response was made for.
type restricting struct {
	vary  []string
	cache []restrictingField
	array [2]restrictingField // for cache, usually
}

type restrictingField struct {
	name  string
	lines []string
}

// edited tells what a response does to the fields of middleware outside.
type edited interface{ Edit(name string) field.Edit }

// note remembers the fields of h.
func (o *restricting) note(h http.Header, targeted []string) {
	o.vary, o.cache = h["Vary"], o.array[:0]
	if lines := h["Cache-Control"]; len(lines) > 0 {
		o.cache = append(o.cache, restrictingField{"Cache-Control", lines})
	}
	for _, name := range targeted {
		if lines := h[name]; len(lines) > 0 {
			o.cache = append(o.cache, restrictingField{name, lines})
		}
	}
}

// keep puts back into h what the stored fields, which are there by now, have taken from it: the names in Vary, and the
// restrictions of Cache-Control that the handler did not override itself when it made the response.
func (o *restricting) keep(h http.Header, response edited) {
	if len(o.vary) > 0 {
		h["Vary"] = field.UniteVary(o.vary, h["Vary"])
	}
	for _, f := range o.cache {
		now := h[f.name]
		if len(now) > 0 && &now[0] == &f.lines[0] {
			continue // the response says nothing itself
		}
		edit := response.Edit(f.name)
		if edit == field.Overrode || edit == field.Added {
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
