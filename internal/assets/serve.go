package assets

import (
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/rules"
)

const (
	// forever is for a URL that names its content (RFC 8246).
	forever = "public, max-age=31536000, immutable"
	// revalidated is for a URL whose content may change: cached, but asked for each time.
	revalidated = "no-cache"
	unstored    = "no-store"

	// maxRanges is how many ranges one request may ask for; with more, Range is ignored (RFC 9110, 14.2).
	maxRanges = 16
	// maxRenewals is how often one request looks again at files that change under its hands.
	maxRenewals = 3
)

// Serve answers a request for a static file. conditions are the header fields to look for conditions and ranges in: those of r, unless somebody
// has taken them off.
func (s *Set) Serve(w http.ResponseWriter, r *http.Request, conditions http.Header) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header()["Allow"] = []string{"GET, HEAD"}
		s.refuse(w, r, http.StatusMethodNotAllowed, rules.Method, false)
		return
	}
	a := answer{set: s, w: w, r: r, conditions: conditions}
	name, ours, valid := nameOf(r.URL, s.options.Prefix)
	switch {
	case ours && valid && s.options.Dev:
		a.develop(name)
	case ours && valid:
		a.find(name)
	case s.WantsPage(r) && (!ours || s.options.Prefix == "/"):
		a.shell()
	default:
		if !ours {
			s.report("prefix", "edgecache: a request for static files is not below their prefix: mount them without http.StripPrefix", "path", r.URL.Path, "prefix", s.options.Prefix)
		}
		a.notFound(false)
	}
}

// Owns reports whether Serve is the one to answer r, and not a handler behind it.
func (s *Set) Owns(r *http.Request) bool {
	name, ours, valid := nameOf(r.URL, s.options.Prefix)
	if !ours || s.options.Prefix != "/" {
		return ours
	}
	if !valid {
		return false
	}
	if s.options.Dev {
		t := s.source.use()
		defer s.source.release(t)
		o, _ := s.developed(t.files, name)
		return o != nil
	}
	ix := s.present()
	base, _, hashed := splitHashed(name)
	return ix.byName[name] != nil || ix.byTarget[name] != nil || hashed && ix.byName[base] != nil || s.retain.has(name) || s.outdated(ix, name)
}

// MayBePage reports whether the URL of r may be one of a single-page application's pages: asked for by
// GET or HEAD, no file's, and none that the application has for itself.
func (s *Set) MayBePage(r *http.Request) bool {
	if s.options.SPA == "" || r.Method != http.MethodGet && r.Method != http.MethodHead || s.namesFile(r.URL.Path) {
		return false
	}
	return (s.options.Prefix == "/" || !strings.HasPrefix(r.URL.Path, s.options.Prefix)) && (s.options.NoPage == nil || !s.options.NoPage(r))
}

// WantsPage reports whether r asks for such a page, and takes HTML.
func (s *Set) WantsPage(r *http.Request) bool { return s.MayBePage(r) && takesHTML(r.Header["Accept"]) }

// takesHTML reports whether an Accept field takes HTML (RFC 9110, 12.5.1): by name, or because it names
// nothing in particular. In "application/json, */*", with which scripts ask for data, and in that of a
// picture, the wildcard is an afterthought: 200 and a page would be taken for the data.
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

// namesFile reports whether a path is that of a file, present or not, by the extension of its last part:
// there is a type for it, or a file that has it. /users/john.doe is a page, and so are /sites/example.com
// and /docs/v1.2. What begins with a dot is never one: whoever looks for /.env must not find something.
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

// endsHosts are the extensions with a type that the names of hosts and of mailboxes end in more often than those of files.
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

// answer is one request.
type answer struct {
	set        *Set
	w          http.ResponseWriter
	r          *http.Request
	conditions http.Header
}

func (a *answer) find(name string) {
	for range maxRenewals {
		ix := a.set.present()
		control, asset := forever, ix.byTarget[name]
		switch {
		case asset != nil:
			if mapped(asset.Name) != "" {
				control = revalidated // it goes by its script's hash, which says nothing about its own bytes
			}
		case ix.byName[name] != nil:
			asset = ix.byName[name]
			control = a.set.control(asset)
		default:
			base, _, _ := splitHashed(name)
			if !a.set.outdated(ix, name) && !a.set.outdated(ix, base) {
				a.unknown(ix, name)
				return
			}
			a.set.renew(ix)
			continue
		}
		if asset.current() && a.serve(asset, control, verdictOf) {
			return
		}
		a.set.renew(ix)
	}
	// It is listed, and not there: the folder has been taken away, and the next one has not come yet.
	_, hash, _ := splitHashed(name)
	if kept := a.set.retained(name, hash); kept != nil && a.serve(kept, forever, verdictOf) {
		return
	}
	a.set.refuse(a.w, a.r, http.StatusServiceUnavailable, rules.Busy, false)
}

// control is the Cache-Control of an asset's plain URL.
func (s *Set) control(a *Asset) string {
	switch {
	case a.kind == output:
		return forever
	case s.options.MaxAge > 0 && a.media.class != page && path.Base(a.Name) != "sw.js":
		return "public, max-age=" + strconv.FormatInt(int64(s.options.MaxAge.Seconds()), 10)
	}
	return revalidated
}

// unknown answers for a name that is not there now, but may have been, or may be elsewhere: while a new version is being
// brought out, pages of one process ask another for their files.
func (a *answer) unknown(ix *index, name string) {
	base, hash, ok := splitHashed(name)
	if kept := a.set.retained(name, hash); kept != nil {
		if a.serve(kept, forever, verdictOf) {
			return
		}
	}
	if !ok {
		a.pageOr404(false)
		return
	}
	latest := ix.byName[base]
	if latest == nil {
		a.pageOr404(false)
		return
	}
	switch latest.media.class {
	case style, image, font: // the looks of another version are better than none
		if latest.current() && a.serve(latest, unstored, standsIn) {
			return
		}
	}
	a.notFound(latest.varies) // the script of another version would run against the wrong page
}

func (a *answer) pageOr404(varies bool) {
	if a.set.options.Prefix == "/" && a.set.WantsPage(a.r) {
		a.shell()
		return
	}
	a.notFound(varies)
}

func (a *answer) notFound(varies bool) {
	a.set.refuse(a.w, a.r, http.StatusNotFound, rules.NoStore, varies)
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
		addVary(a.w.Header(), "Accept")
		if a.serve(page, revalidated, verdictOf) {
			return
		}
		a.set.renew(ix)
	}
	a.set.refuse(a.w, a.r, http.StatusServiceUnavailable, rules.Busy, false)
}

// verdictOf is a hit if these bytes were sent before.
func verdictOf(seen bool) Verdict {
	if seen {
		return Verdict{Hit: true}
	}
	return Verdict{Reason: rules.URIMiss}
}

// standsIn is for a file that is not the one that was asked for.
func standsIn(bool) Verdict { return Verdict{Failed: true, Reason: rules.UnknownHash} }

// serve sends an asset, or what the conditions make of it. It returns false, and has sent nothing, if the file has changed.
func (a *answer) serve(asset *Asset, control string, judge func(seen bool) Verdict) bool {
	tag := field.ETag{Opaque: asset.etag}
	w := coding.Accepted(a.r.Header["Accept-Encoding"])
	chosen, e, acceptable := a.set.choose(asset, w)
	etag, length, size := asset.etag, asset.length, asset.size
	if e != nil {
		etag, length, size = e.etag, e.length, e.size
	}

	// RFC 9110, 13.2.2
	if lines := a.conditions["If-Match"]; len(lines) > 0 && !matchesStrongly(lines, asset) {
		a.set.refuse(a.w, a.r, http.StatusPreconditionFailed, rules.Precondition, asset.varies)
		return true
	}
	if lines := a.conditions["If-None-Match"]; len(lines) > 0 {
		if matched := matches(lines, asset, etag, w); matched != "" {
			h := a.w.Header()
			values := a.header(h, asset, control, 5)
			h["Etag"] = put(&values, matched)
			for _, name := range [...]string{"Content-Type", "Content-Length", "Content-Encoding", "Content-Range"} {
				delete(h, name)
			}
			v := judge(true)
			a.set.options.Report(h, a.r, v)
			a.w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	if (w[coding.Identity] > 0 || asset.media.encoding != "") && a.r.Method == http.MethodGet && len(a.conditions["Range"]) > 0 && mayResume(a.conditions, tag) {
		switch parts, result := field.ParseRange(a.conditions["Range"], asset.size, maxRanges); result {
		case field.RangeUnsatisfiable:
			a.w.Header()["Content-Range"] = []string{"bytes */" + asset.length}
			a.set.refuse(a.w, a.r, http.StatusRequestedRangeNotSatisfiable, rules.NoStore, asset.varies)
			return true
		case field.RangeOK:
			// Whether Content-Encoding is about a part or about the multipart body, clients disagree.
			if len(parts) == 1 || asset.media.encoding == "" {
				return a.parts(asset, control, judge, parts)
			}
		}
	}
	if !acceptable {
		a.set.refuse(a.w, a.r, http.StatusNotAcceptable, rules.NoStore, asset.varies)
		return true
	}

	open := asset.open
	if e != nil {
		open = e.open
	}
	body, err := open()
	if err != nil {
		return false
	}
	defer body.close()
	seen := asset.state.seen[chosen].Load()
	if !seen && a.r.Method == http.MethodGet {
		seen = asset.state.seen[chosen].Swap(true)
	}
	h := a.w.Header()
	values := a.header(h, asset, control, 9)
	h["Content-Type"] = put(&values, asset.Type)
	h["X-Content-Type-Options"] = put(&values, "nosniff")
	h["Accept-Ranges"] = put(&values, "bytes")
	h["Content-Length"] = put(&values, length)
	h["Etag"] = put(&values, etag)
	delete(h, "Content-Encoding")
	switch {
	case chosen != coding.Identity:
		h["Content-Encoding"] = put(&values, chosen.String())
	case asset.media.encoding != "":
		h["Content-Encoding"] = put(&values, asset.media.encoding)
	}
	a.set.options.Report(h, a.r, judge(seen))
	a.w.WriteHeader(http.StatusOK)
	if a.r.Method == http.MethodGet {
		_ = body.send(a.w, 0, size) // the client has gone: nobody to tell
	}
	return true
}

// header writes what every answer about an asset has. The values are cut from one fresh array with room for more.
func (a *answer) header(h http.Header, asset *Asset, control string, room int) []string {
	values := make([]string, 0, room)
	h["Cache-Control"] = put(&values, control)
	if asset.varies {
		if h["Vary"] == nil {
			h["Vary"] = put(&values, "Accept-Encoding")
		} else {
			addVary(h, "Accept-Encoding")
		}
	}
	if asset.media.class == font || a.set.options.Host != "" {
		h["Access-Control-Allow-Origin"] = put(&values, "*")
	}
	return values
}

// put takes the next place of an array.
func put(values *[]string, value string) []string {
	*values = append(*values, value)
	n := len(*values)
	return (*values)[n-1 : n : n]
}

// addVary adds to what outer middleware says.
func addVary(h http.Header, name string) {
	if !field.HasToken(h["Vary"], name) && !field.HasToken(h["Vary"], "*") {
		before := h["Vary"]
		h["Vary"] = append(before[:len(before):len(before)], name)
	}
}

// choose picks the variant that the client likes best; among those that it likes equally the smallest.
//
// Deviation: a file that lies coded on disk, as .svgz does, is sent as it is, whatever Accept-Encoding says
// (RFC 9110, 12.5.3). It is the only representation that there is, its readers know the coding by its
// name, and it does not vary.
func (s *Set) choose(a *Asset, w coding.Weights) (c coding.Coding, e *encoded, ok bool) {
	if a.media.encoding != "" {
		return coding.Identity, nil, true
	}
	c, best, size := coding.Identity, w[coding.Identity], a.size
	eligible := a.eligible() && !s.options.Dev
	for i := coding.Brotli; i < coding.Count; i++ {
		if w[i] == 0 {
			continue
		}
		v := a.sidecars[i]
		if v == nil {
			v = a.state.made[i].Load()
		}
		if v == nil {
			if eligible && w[i] >= w[coding.Identity] {
				s.worker.ask(a, i)
			}
			continue
		}
		if w[i] > best || w[i] == best && v.size < size {
			c, e, best, size = i, v, w[i], v.size
		}
	}
	if best > 0 {
		return c, e, true
	}
	// Nothing that is there will do. What can be made in time is made now.
	for i := coding.Brotli; i < coding.Count; i++ {
		if eligible && w[i] > best {
			if v := s.worker.make(a, i); v != nil {
				c, e, best = i, v, w[i]
			}
		}
	}
	return c, e, best > 0
}

// refuse answers with an error that nobody keeps.
func (s *Set) refuse(w http.ResponseWriter, r *http.Request, status int, reason rules.Reason, varies bool) {
	h := w.Header()
	for _, name := range [...]string{"Etag", "Last-Modified", "Expires", "Content-Encoding", "Content-Length"} {
		delete(h, name)
	}
	h["Cache-Control"] = []string{unstored}
	if varies {
		addVary(h, "Accept-Encoding")
	}
	if s.options.Host != "" {
		h["Access-Control-Allow-Origin"] = []string{"*"}
	}
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	s.options.Report(h, r, Verdict{Failed: true, Reason: reason})
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, http.StatusText(status)+"\n")
	}
}
