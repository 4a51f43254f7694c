package assets

import (
	"net/http"
	"path"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// MayBePage reports whether the URL of r may be one of a single-page application's pages: asked for
// by GET or HEAD, no file's, and none that the application has for itself.
func (s *Set) MayBePage(r *http.Request) bool {
	if s.options.SPA == "" || r.Method != http.MethodGet && r.Method != http.MethodHead || s.namesFile(r.URL.Path) {
		return false
	}
	return (s.options.Prefix == "/" || !strings.HasPrefix(r.URL.Path, s.options.Prefix)) && (s.options.NoPage == nil || !s.options.NoPage(r))
}

// WantsPage reports whether r asks for such a page, and takes HTML.
func (s *Set) WantsPage(r *http.Request) bool { return s.MayBePage(r) && takesHTML(r.Header["Accept"]) }

// takesHTML reports whether an Accept field takes HTML (RFC 9110, 12.5.1): by name, or because it
// names nothing in particular. In "application/json, */*", with which scripts ask for data, and in
// that of a picture, the wildcard is an afterthought: 200 and a page would be taken for the data.
func takesHTML(lines []string) bool {
	html, text, all, others := -1, -1, -1, false
	for name, weight := range field.Weighted(lines) {
		switch name {
		case "text/html":
			html = max(html, weight)
		case "text/*":
			text = max(text, weight)
		case "*/*":
			all = max(all, weight)
		default:
			others = true
		}
	}
	switch {
	case html >= 0:
		return html > 0
	case text >= 0:
		return text > 0
	case all >= 0:
		return all > 0 && !others
	}
	return !others
}

// namesFile reports whether a path is that of a file, present or not, by the extension of its last
// part: there is a type for it, or a file that has it. /users/john.doe is a page, and so are
// /sites/example.com and /docs/v1.2. What begins with a dot is never one: whoever looks for /.env
// must not find something.
func (s *Set) namesFile(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if strings.HasPrefix(part, ".") && part != "." && part != ".." {
			return true
		}
	}
	name := strings.TrimPrefix(p, "/")
	ext := strings.ToLower(path.Ext(name))
	if len(ext) < 2 {
		return s.options.Types.known(name)
	}
	if s.options.Types[ext] != "" {
		return true
	}
	if s.options.Types.known(name) && !endsHosts[ext] && strings.Trim(ext, ".0123456789") != "" {
		return true
	}
	return s.present().exts[ext]
}

// endsHosts are the extensions with a type that the names of hosts and of mailboxes end in more
// often than those of files.
var endsHosts = map[string]bool{
	".ac": true, ".ai": true, ".au": true, ".cat": true, ".cc": true, ".com": true, ".fm": true, ".fo": true, ".in": true, ".ma": true, ".me": true,
	".mobi": true, ".ms": true, ".nc": true, ".one": true, ".org": true, ".pl": true, ".pub": true, ".rs": true, ".sc": true, ".sm": true, ".so": true,
	".st": true, ".td": true, ".tr": true,
}

// Shell answers with the page of the single-page application.
func (s *Set) Shell(w http.ResponseWriter, r *http.Request, conditions http.Header) {
	a := answer{set: s, w: w, r: r, conditions: conditions}
	a.shell()
}

func (a *answer) shell() {
	if a.set.options.Dev {
		a.develop(a.set.options.SPA)
		return
	}
	for range maxRenewals {
		ix, page := a.set.latest(a.set.options.SPA)
		if page == nil {
			a.notFound(false)
			return
		}
		h := a.w.Header()
		h["Vary"] = field.AddVary(h["Vary"], "Accept")
		if a.serve(page, revalidated, verdictOf) {
			return
		}
		a.set.renew(ix)
	}
	a.set.refuse(a.w, a.r, http.StatusServiceUnavailable, rules.Busy, false)
}
