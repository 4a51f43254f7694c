package assets

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"path"
	"strings"
)

// Limits of what one response preloads: many preloads compete with each other, and some servers
// refuse large headers.
const (
	maxLinks     = 8
	maxLinkBytes = 2 << 10
)

// ImportMap is the JSON of an import map (HTML, 8.1.5). It maps the plain names by which scripts
// import each other to their hashed URLs, and has their integrity. It is keyed by URL, so that a
// relative import works from wherever a script is.
func (s *Set) ImportMap() ([]byte, error) {
	var m struct {
		Imports   map[string]string `json:"imports"`
		Integrity map[string]string `json:"integrity,omitempty"`
	}
	m.Imports, m.Integrity = map[string]string{}, map[string]string{}
	if !s.options.Dev {
		ix := s.present()
		for _, name := range ix.names {
			if a := ix.byName[name]; isModule(a.Name) && !a.current() {
				ix = s.renew(ix)
				break
			}
		}
		for _, name := range ix.names {
			a := ix.byName[name]
			if !isModule(name) || a.kind == plain {
				continue
			}
			if a.target != "" {
				m.Imports[s.at(name)] = s.at(a.target)
			}
			m.Integrity[s.at(a.public())] = a.integrity()
		}
	}
	return json.Marshal(m) // it escapes < and >, so that the map stays inside its script element
}

func isModule(name string) bool {
	ext := path.Ext(name)
	return ext == ".js" || ext == ".mjs"
}

// ImportMapTag is the script element with the import map. It must come before the first module.
func (s *Set) ImportMapTag(nonce string) (string, error) {
	m, err := s.ImportMap()
	if err != nil {
		return "", err
	}
	return `<script type="importmap"` + nonceOf(nonce) + `>` + string(m) + `</script>`, nil
}

func nonceOf(nonce string) string {
	if nonce == "" {
		return ""
	}
	return ` nonce="` + html.EscapeString(nonce) + `"`
}

// EntryTags are the elements that a page needs for an entry of a build tool: its stylesheets, its
// script, and what that imports.
func (s *Set) EntryTags(source, nonce string) (string, error) {
	ix := s.recent()
	var c *chunk
	if ix.build != nil {
		c = ix.build.entries[source]
	}
	if c == nil {
		return "", fmt.Errorf("edgecache: entry %q is in no manifest: want the source file as the build tool names it", source)
	}
	css, imports := c.files()
	var b strings.Builder
	for _, file := range css {
		b.WriteString(`<link rel="stylesheet" href="` + html.EscapeString(s.URL(file)) + `"` + nonceOf(nonce) + ">\n")
	}
	if s.options.Types.of(c.file).class == style {
		b.WriteString(`<link rel="stylesheet" href="` + html.EscapeString(s.URL(c.file)) + `"` + nonceOf(nonce) + ">")
		return b.String(), nil
	}
	cross := ""
	if s.options.Host != "" {
		cross = ` crossorigin`
	}
	b.WriteString(`<script type="module" src="` + html.EscapeString(s.URL(c.file)) + `"` + cross + nonceOf(nonce) + "></script>\n")
	for _, file := range imports {
		b.WriteString(`<link rel="modulepreload" href="` + html.EscapeString(s.URL(file)) + `"` + cross + nonceOf(nonce) + ">\n")
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// relation says how a file is preloaded: the parameters of a Link field, or the attributes of a
// link element.
func (s *Set) relation(name string) (rel, as string, cors bool) {
	switch s.options.Types.of(name).class {
	case style:
		return "preload", "style", false
	case script:
		return "modulepreload", "", true // modules are always fetched with CORS, and a preload without would be one for nothing
	case image:
		return "preload", "image", false
	case font:
		return "preload", "font", true // as fonts are, even from the same origin
	default:
		return "preload", "fetch", true
	}
}

// PreloadTags are link elements that make a browser fetch files before it finds out that it needs
// them.
func (s *Set) PreloadTags(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		rel, as, cors := s.relation(name)
		b.WriteString(`<link rel="` + rel + `" href="` + html.EscapeString(s.URL(name)) + `"`)
		if as != "" {
			b.WriteString(` as="` + as + `"`)
		}
		if cors {
			b.WriteString(` crossorigin`)
		}
		b.WriteString(">\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Preload adds Link fields (RFC 8288) to h. It returns how many of the names found room.
func (s *Set) Preload(h http.Header, names ...string) int {
	count, bytes := len(h["Link"]), 0
	for _, line := range h["Link"] {
		bytes += len(line)
	}
	for i, name := range names {
		rel, as, cors := s.relation(name)
		link := "<" + s.URL(name) + ">; rel=" + rel
		if as != "" {
			link += "; as=" + as
		}
		if cors {
			link += "; crossorigin"
		}
		if count++; count > maxLinks || bytes+len(link) > maxLinkBytes {
			return i
		}
		bytes += len(link)
		h["Link"] = append(h["Link"][:len(h["Link"]):len(h["Link"])], link)
	}
	return len(names)
}
