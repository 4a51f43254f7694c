package assets

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
)

// resolve rewrites the references of stylesheets. Stylesheets that others refer to come first: the
// hash of a file covers the hashes in it.
func (s *Set) resolve(ix *index) {
	g := graph{set: s, ix: ix, order: map[*Asset]int{}, low: map[*Asset]int{}, stacked: map[*Asset]bool{}}
	for _, name := range ix.names {
		if a := ix.byName[name]; a.rewritable() && g.order[a] == 0 {
			g.visit(a)
		}
	}
}

func (a *Asset) rewritable() bool { return a.kind == hashed && a.media.class == style }

// graph finds groups of stylesheets that import each other (Tarjan's strongly connected
// components). A group is complete when everything that it refers to is.
type graph struct {
	set     *Set
	ix      *index
	order   map[*Asset]int // from 1, in the order of the first visit
	low     map[*Asset]int // the earliest one that can be reached
	stack   []*Asset
	stacked map[*Asset]bool
	visits  int
}

func (g *graph) visit(a *Asset) {
	g.visits++
	g.order[a], g.low[a] = g.visits, g.visits
	g.stack = append(g.stack, a)
	g.stacked[a] = true
	for _, r := range references(a.from.css()) {
		b := g.target(a, r.url)
		switch {
		case b == nil || !b.rewritable():
		case g.order[b] == 0:
			g.visit(b)
			g.low[a] = min(g.low[a], g.low[b])
		case g.stacked[b]:
			g.low[a] = min(g.low[a], g.order[b])
		}
	}
	if g.low[a] != g.order[a] {
		return
	}
	at := slices.Index(g.stack, a)
	group := slices.Clone(g.stack[at:])
	g.stack = g.stack[:at]
	for _, b := range group {
		g.stacked[b] = false
	}
	g.complete(group)
}

// complete hashes a group. A single stylesheet is hashed after rewriting. In a cycle no file can
// contain the hash of a file that contains its own, so the hash covers all files of the group, with
// the references among them as they were written.
func (g *graph) complete(group []*Asset) {
	inside := func(a *Asset) bool { return slices.Contains(group, a) }
	slices.SortFunc(group, func(a, b *Asset) int { return strings.Compare(a.Name, b.Name) })
	cycle := len(group) > 1
	texts := make([]string, len(group))
	var watch []*original
	watched := map[*original]bool{}
	add := func(all []*original) {
		for _, o := range all {
			if !watched[o] {
				watched[o] = true
				watch = append(watch, o)
			}
		}
	}
	for i, a := range group {
		texts[i] = rewrite(a.from.css(), func(ref string) (string, bool) {
			b := g.target(a, ref)
			if b == nil {
				g.missing(a, ref)
				return "", false
			}
			add(b.watch)
			if inside(b) {
				cycle = true
				return "", false
			}
			return g.set.instead(a.Name, b, ref)
		})
		add(a.watch)
	}
	if cycle {
		sum := sha256.New()
		for i, a := range group {
			for _, text := range [...]string{a.Name, texts[i]} {
				sum.Write(binary.AppendUvarint(nil, uint64(len(text))))
				sum.Write([]byte(text))
			}
		}
		for _, a := range group {
			own := sha256.Sum256(append(sum.Sum(nil), a.Name...))
			a.hash = hex.EncodeToString(own[:hashLength/2])
			a.bound = false
		}
		for i, a := range group {
			texts[i] = rewrite(texts[i], func(ref string) (string, bool) {
				if b := g.target(a, ref); b != nil && inside(b) {
					return g.set.instead(a.Name, b, ref)
				}
				return "", false
			})
		}
	}
	for i, a := range group {
		a.watch = watch
		if texts[i] == a.from.css() {
			continue
		}
		a.data = []byte(texts[i])
		a.Sum = sha256.Sum256(a.data)
		a.size = int64(len(a.data))
		a.Size = a.size
	}
}

// target finds the asset that a reference in a stylesheet leads to, nil if it is not one of ours.
func (g *graph) target(from *Asset, ref string) *Asset {
	name, _, ok := g.set.refersTo(from.Name, ref)
	if !ok {
		return nil
	}
	return g.ix.byName[name]
}

// refersTo resolves a reference. It returns false if that leads out of the prefix. baseless says
// that it is a path without Base, as authors write it who do not know where the application will be
// mounted.
func (s *Set) refersTo(from, ref string) (name string, baseless, ok bool) {
	raw, _ := cutSuffix(ref)
	if raw == "" || strings.HasPrefix(raw, "//") || hasScheme(raw) {
		return "", false, false
	}
	p, err := url.PathUnescape(raw)
	if err != nil {
		return "", false, false
	}
	if strings.HasPrefix(p, "/") {
		p = path.Clean(p)
		if name, ok = strings.CutPrefix(p, s.options.Base+s.options.Prefix); ok {
			return name, false, true
		}
		name, ok = strings.CutPrefix(p, s.options.Prefix)
		return name, true, ok && s.options.Base != ""
	}
	name = path.Join(path.Dir(from), p)
	return name, false, name != ".." && !strings.HasPrefix(name, "../")
}

// missing reports a reference to a file that does not exist. The stylesheet keeps it as it is.
func (g *graph) missing(a *Asset, ref string) {
	name, baseless, ok := g.set.refersTo(a.Name, ref)
	if ok && !baseless { // without Base it may lead to a file of another application
		g.set.report("css "+a.Name+" "+ref, "edgecache: a stylesheet refers to a file that does not exist", "file", a.Name, "reference", ref, "missing", name)
	}
}

// instead is ref, with the public name of the file that it leads to. from is the stylesheet.
func (s *Set) instead(from string, a *Asset, ref string) (string, bool) {
	raw, suffix := cutSuffix(ref)
	base := ""
	if _, baseless, _ := s.refersTo(from, ref); baseless {
		base = s.options.Base
	}
	if a.kind != hashed || mapped(a.Name) != "" {
		return base + ref, base != ""
	}
	dir := raw[:strings.LastIndexByte(raw, '/')+1]
	return base + dir + escape(path.Base(hashedName(a.Name, a.shared()))) + suffix, true
}

// cutSuffix cuts query and fragment off a reference.
func cutSuffix(ref string) (raw, suffix string) {
	if at := strings.IndexAny(ref, "?#"); at >= 0 {
		return ref[:at], ref[at:]
	}
	return ref, ""
}

// clean keeps a query or fragment from ending the URL that contains it.
func clean(suffix string) string {
	var b strings.Builder
	for i := range len(suffix) {
		if c := suffix[i]; c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// hasScheme reports whether a reference is an absolute URL, such as data:.
func hasScheme(ref string) bool {
	for i := range len(ref) {
		switch c := ref[i] | 0x20; {
		case 'a' <= c && c <= 'z':
		case i > 0 && ('0' <= ref[i] && ref[i] <= '9' || ref[i] == '+' || ref[i] == '-' || ref[i] == '.'):
		default:
			return i > 0 && ref[i] == ':'
		}
	}
	return false
}
