package assets

import (
	"net/http"
	"path"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// MayBePage reports whether the URL of r may be one of a single-page application's pages: requested
// by GET or HEAD, not a file's, and not one that the application handles itself.
func (s *Set) MayBePage(r *http.Request) bool {
	if s.options.SPA == "" || r.Method != http.MethodGet && r.Method != http.MethodHead || s.namesFile(r.URL.Path) {
		return false
	}
	return (s.options.Prefix == "/" || !strings.HasPrefix(r.URL.Path, s.options.Prefix)) && (s.options.NoPage == nil || !s.options.NoPage(r))
}

// WantsPage reports whether r requests such a page, and accepts HTML.
func (s *Set) WantsPage(r *http.Request) bool { return s.MayBePage(r) && takesHTML(r.Header["Accept"]) }

// takesHTML reports whether an Accept field accepts HTML (RFC 9110, 12.5.1): by name, or because it
// names nothing in particular. Scripts that want data send "application/json, */*", and pictures
// are requested in a similar way: there the wildcard is an afterthought, and a page with status 200
// would be taken for the data.
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

// namesFile reports whether a path is that of a file, existing or not, by the extension of its last
// part: it has a known type, or a file has it. /users/john.doe is a page, and so are
// /sites/example.com and /docs/v1.2. A part with a leading dot is never a page: a scan for /.env
// must not find anything.
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

// endsHosts are the extensions with a type that are more often the end of a host or mailbox name
// than of a file.
var endsHosts = map[string]bool{
	".ac": true, ".ai": true, ".au": true, ".cat": true, ".cc": true, ".com": true, ".fm": true, ".fo": true, ".in": true, ".ma": true, ".me": true,
	".mobi": true, ".ms": true, ".nc": true, ".one": true, ".org": true, ".pl": true, ".pub": true, ".rs": true, ".sc": true, ".sm": true, ".so": true,
	".st": true, ".td": true, ".tr": true,
}

// Shell sends the page of the single-page application.
func (s *Set) Shell(w http.ResponseWriter, r *http.Request, conditions http.Header) {
	a := exchange{set: s, w: w, r: r, conditions: conditions}
	a.shell()
}

func (a *exchange) shell() {
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
		if a.deliver(page, revalidated, verdictOf) {
			return
		}
		a.set.renew(ix)
	}
	a.set.refuse(a.w, a.r, http.StatusServiceUnavailable, rules.Busy, false)
}
