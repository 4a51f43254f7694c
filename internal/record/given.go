package record

import (
	"net/http"
	"slices"

	"github.com/edgecache-go/edgecache/internal/field"
)

// Given is the header that a response had before its handler ran: the fields of middleware outside,
// which belong to one exchange and not to the response. The zero Given is an empty header.
type Given struct {
	was    http.Header // not written to while the handler runs
	handed []handed
}

// handed is a field as the handler found it. Its lines are recognized by where they lie in memory,
// not by their text: a handler that sets a field to the very text that was there has set it.
type handed struct {
	name  string
	lines []string // as the handler got them: the array tells whether it still has these
}

// hand returns a copy of outer for the handler. It notes the fields in room, if that suffices.
func (g *Given) hand(outer http.Header, room []handed) http.Header {
	g.was, g.handed = outer, room
	if len(outer) == 0 {
		return make(http.Header)
	}
	h := outer.Clone()
	g.note(h)
	return h
}

func (g *Given) note(h http.Header) {
	for name, lines := range h {
		g.handed = append(g.handed, handed{name, lines})
	}
}

// own returns what of header is the handler's, under canonical names: the fields that it has set,
// and the lines that it has added to others. edits is what it did to the fields that were there.
// own shares no slice with header. The values go into room, if that suffices.
//
// Vary has no edits: what middleware outside has put there counts beside what is stored, whatever
// the handler did to it.
func (g *Given) own(header http.Header, room []string) (own http.Header, edits field.Edits) {
	total := 0
	for _, lines := range header {
		total += len(lines)
	}
	if total > len(room) {
		room = make([]string, total)
	}
	own = make(http.Header, len(header)+3)
	var odd []string // names that are not spelled canonically
	put := func(name string, lines []string) {
		if name == "" {
			return
		}
		if field.CanonicalName(name) != name {
			odd = append(odd, name)
			return
		}
		n := copy(room, lines)
		if own[name] = room[:n:n]; n == 0 {
			own[name] = []string{} // not nil: it forbids net/http to add the field
		}
		room = room[n:]
	}
	edit := func(name string, e field.Edit) {
		if name == "Vary" {
			return
		}
		if edits == nil {
			edits = make(field.Edits)
		}
		edits[name] = e
	}
	for i := range g.handed {
		f := &g.handed[i]
		was := g.was[f.name]
		lines, there := header[f.name]
		canonical := field.CanonicalName(f.name) == f.name
		switch {
		case there && f.untouched(was, lines):
			if f.name == "Content-Type" || f.name == "Etag" {
				edit(f.name, field.Left)
			}
			continue
		// What it set under an odd name is stored under the canonical one.
		case !there || !canonical:
			if restricts(f.name, was, lines) {
				edit(f.name, field.Overrode)
			} else {
				edit(f.name, field.Removed)
			}
		case len(lines) > 1 && len(was) > 0 && len(without(was, lines)) == 0:
			added := without(lines, was)
			if len(added) == 0 {
				continue // it has kept all of them, in whatever order
			}
			behind := slices.Equal(lines[:len(was)], was)
			if !behind && (slices.Equal(lines[len(added):], was) || !slices.Contains(was, lines[0])) {
				edit(f.name, field.Before)
			} else {
				edit(f.name, field.Added)
			}
			lines = added
		case restricts(f.name, was, lines):
			edit(f.name, field.Overrode)
		case f.holds(lines):
			if lines = without(lines, was); len(lines) == 0 {
				continue // it has kept some of them
			}
		}
		if there {
			put(f.name, lines)
		}
	}
	for name, lines := range header {
		if _, given := g.was[name]; !given {
			put(name, lines)
		}
	}
	if odd != nil {
		fold(own, header, odd)
	}
	return own, edits
}

// untouched reports whether a field that had the lines was is still as the handler found it.
func (f *handed) untouched(was, lines []string) bool {
	if len(was) == 0 || len(lines) == 0 {
		return len(was) == len(lines)
	}
	return &lines[0] == &f.lines[0] && slices.Equal(was, lines)
}

// holds reports whether lines are in the array that the handler got. Then a line that reads like
// one of the array's is that line.
func (f *handed) holds(lines []string) bool {
	if len(lines) == 0 {
		return false
	}
	for i := range f.lines {
		if &f.lines[i] == &lines[0] {
			return true
		}
	}
	return false
}

// without returns lines without those of was, each taken out once.
func without(lines, was []string) []string {
	if len(lines) >= len(was) && slices.Equal(lines[:len(was)], was) {
		return lines[len(was):] // the usual case
	}
	left := slices.Clone(was)
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		at := slices.Index(left, line)
		if at >= 0 {
			left = slices.Delete(left, at, at+1)
		}
		return at >= 0
	})
}

// restricts reports whether outer, in a field of this name, forbids what own does not. Every
// Content-Security-Policy forbids something.
func restricts(name string, outer, own []string) bool {
	return field.IsPolicy(name) && len(outer) > 0 || field.IsCacheControl(name) && field.RestrictionsOf(outer)&^field.RestrictionsOf(own) != 0
}

// fold appends the fields of header with odd spellings to the fields of own that they mean.
func fold(own, header http.Header, odd []string) {
	subset := make(http.Header, len(odd))
	for _, name := range odd {
		subset[name] = header[name]
	}
	subset = field.Canonical(subset)
	delete(subset, "")
	for name, lines := range subset {
		own[name] = slices.Concat(own[name], lines)
	}
}
