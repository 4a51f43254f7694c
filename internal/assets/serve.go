package assets

import (
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"path"
	"strconv"
	"strings"

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

// suffixes are what servers and CDNs put behind an entity tag when they recode a body; ours come first.
var suffixes = [...]string{"-br", "-zstd", "-gzip", "-gz", "--gzip", ";gzip", ";br", "-df"}

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
		o, _ := s.developed(name)
		return o != nil
	}
	ix := s.index.Load()
	return ix.byName[name] != nil || ix.byTarget[name] != nil
}

// WantsPage reports whether r asks for a page of a single-page application: by GET, as HTML, for no file.
func (s *Set) WantsPage(r *http.Request) bool {
	if s.options.SPA == "" || r.Method != http.MethodGet || path.Ext(r.URL.Path) != "" {
		return false
	}
	if s.options.Prefix != "/" && strings.HasPrefix(r.URL.Path, s.options.Prefix) {
		return false
	}
	for name, weight := range field.Weighted(r.Header["Accept"]) {
		if name == "text/html" {
			return weight > 0
		}
	}
	return false
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
		ix := a.set.index.Load()
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
			a.unknown(ix, name)
			return
		}
		if asset.current() && a.serve(asset, control, verdictOf) {
			return
		}
		a.set.renew(ix)
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
	if kept := a.set.retain.find(name, hash); kept != nil {
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
	w := weightsOf(a.r.Header["Accept-Encoding"])
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
		if matched := matches(lines, asset, etag); matched != "" {
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
	if w[identity] > 0 && a.r.Method == http.MethodGet && len(a.conditions["Range"]) > 0 && mayResume(a.conditions["If-Range"], tag) {
		switch parts, result := field.ParseRange(a.conditions["Range"], asset.size, maxRanges); result {
		case field.RangeUnsatisfiable:
			a.w.Header()["Content-Range"] = []string{"bytes */" + asset.length}
			a.set.refuse(a.w, a.r, http.StatusRequestedRangeNotSatisfiable, rules.NoStore, asset.varies)
			return true
		case field.RangeOK:
			return a.parts(asset, control, judge, parts)
		}
	}
	if !acceptable {
		a.set.refuse(a.w, a.r, http.StatusNotAcceptable, rules.NoStore, asset.varies)
		return true
	}

	body, err := content{}, error(nil)
	if e != nil {
		body, err = e.open()
	} else {
		body, err = asset.open()
	}
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
	if chosen != identity {
		h["Content-Encoding"] = put(&values, codingNames[chosen])
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
func (s *Set) choose(a *Asset, w weights) (c coding, e *encoded, ok bool) {
	c, best, size := identity, w[identity], a.size
	eligible := a.eligible() && !s.options.Dev
	for i := br; i < codings; i++ {
		if w[i] == 0 {
			continue
		}
		v := a.sidecars[i]
		if v == nil {
			v = a.state.made[i].Load()
		}
		if v == nil {
			if eligible && w[i] >= w[identity] {
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
	for i := br; i < codings; i++ {
		if eligible && w[i] > best {
			if v := s.worker.make(a, i); v != nil {
				c, e, best = i, v, w[i]
			}
		}
	}
	return c, e, best > 0
}

// matches evaluates If-None-Match by the weak comparison (RFC 9110, 13.1.2) and returns the tag to answer with, or "". A client may hold the asset in
// a coding that somebody between has made: its bytes mean the same, so the tag that it knows is confirmed.
func matches(lines []string, a *Asset, etag string) string {
	if len(lines) == 1 && field.TrimBlanks(lines[0]) == "*" {
		return etag
	}
	for tag := range field.ETags(lines) {
		if tag.Opaque == etag {
			return etag
		}
		if opaqueOf(tag.Opaque, a.hash) {
			return tag.Opaque
		}
	}
	return ""
}

// opaqueOf reports whether opaque is a hash in quotes, perhaps with one of the suffixes.
func opaqueOf(opaque, hash string) bool {
	if len(opaque) < len(hash)+2 || opaque[1:1+len(hash)] != hash {
		return false
	}
	suffix := opaque[1+len(hash) : len(opaque)-1]
	if suffix == "" {
		return true
	}
	for _, s := range suffixes {
		if s == suffix {
			return true
		}
	}
	return false
}

// matchesStrongly evaluates If-Match (RFC 9110, 13.1.1): our own tags only, of any coding.
func matchesStrongly(lines []string, a *Asset) bool {
	if len(lines) == 1 && field.TrimBlanks(lines[0]) == "*" {
		return true
	}
	for tag := range field.ETags(lines) {
		if !tag.Weak && opaqueOf(tag.Opaque, a.hash) {
			return true
		}
	}
	return false
}

// mayResume evaluates If-Range (RFC 9110, 13.1.5): parts are of the identity coding, so only its tag will do. There is no Last-Modified to compare with a date.
func mayResume(lines []string, identity field.ETag) bool {
	switch len(lines) {
	case 0:
		return true
	case 1:
		tag, ok := field.ParseETag(lines[0])
		return ok && tag.StrongMatch(identity)
	}
	return false
}

// parts answers with one range (RFC 9110, 15.3.7.1) or several (15.3.7.2).
func (a *answer) parts(asset *Asset, control string, judge func(bool) Verdict, parts []field.Range) bool {
	body, err := asset.open()
	if err != nil {
		return false
	}
	defer body.close()
	h := a.w.Header()
	values := a.header(h, asset, control, 10)
	h["X-Content-Type-Options"] = put(&values, "nosniff")
	h["Accept-Ranges"] = put(&values, "bytes")
	h["Etag"] = put(&values, asset.etag)
	delete(h, "Content-Encoding")
	a.set.options.Report(h, a.r, judge(asset.state.seen[identity].Swap(true)))
	if len(parts) == 1 {
		h["Content-Type"] = put(&values, asset.Type)
		h["Content-Range"] = put(&values, contentRange(parts[0], asset.length))
		h["Content-Length"] = put(&values, strconv.FormatInt(parts[0].Length, 10))
		a.w.WriteHeader(http.StatusPartialContent)
		_ = body.send(a.w, parts[0].Start, parts[0].Length)
		return true
	}
	write := func(to io.Writer, boundary string, send bool) (*multipart.Writer, error) {
		m := multipart.NewWriter(to)
		if boundary != "" {
			if err := m.SetBoundary(boundary); err != nil {
				return nil, err
			}
		}
		for _, part := range parts {
			pw, err := m.CreatePart(textproto.MIMEHeader{"Content-Range": {contentRange(part, asset.length)}, "Content-Type": {asset.Type}})
			if err == nil && send {
				err = body.send(pw, part.Start, part.Length)
			}
			if err != nil {
				return nil, err
			}
		}
		return m, m.Close()
	}
	// Once for the length of everything but the content, and once for real.
	var size counter
	m, err := write(&size, "", false)
	if err != nil {
		panic(http.ErrAbortHandler) // cannot be: a counter takes everything
	}
	for _, part := range parts {
		size += counter(part.Length)
	}
	h["Content-Type"] = put(&values, "multipart/byteranges; boundary="+m.Boundary())
	h["Content-Length"] = put(&values, strconv.FormatInt(int64(size), 10))
	a.w.WriteHeader(http.StatusPartialContent)
	_, _ = write(a.w, m.Boundary(), true)
	return true
}

func contentRange(part field.Range, size string) string {
	b := make([]byte, 0, 64)
	b = append(b, "bytes "...)
	b = strconv.AppendInt(b, part.Start, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, part.Start+part.Length-1, 10)
	b = append(b, '/')
	return string(append(b, size...))
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
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
