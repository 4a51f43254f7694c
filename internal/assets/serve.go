package assets

import (
	"io"
	"net/http"
	"path"
	"strconv"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/rules"
)

const (
	// forever is for a URL that names its content (RFC 8246).
	forever = "public, max-age=31536000, immutable"
	// revalidated is for a URL whose content may change: it is cached, but validated each time.
	revalidated = "no-cache"
	unstored    = "no-store"

	// maxRanges is how many ranges one request may ask for. With more, Range is ignored (RFC 9110,
	// 14.2).
	maxRanges = 16
	// maxRenewals is how often one request looks again at files that change meanwhile.
	maxRenewals = 3
)

// Serve serves a static file. conditions is the header with conditions and ranges: that of r,
// unless those were removed from it.
func (s *Set) Serve(w http.ResponseWriter, r *http.Request, conditions http.Header) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header()["Allow"] = []string{"GET, HEAD"}
		s.refuse(w, r, http.StatusMethodNotAllowed, rules.Method, false)
		return
	}
	a := exchange{set: s, w: w, r: r, conditions: conditions}
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

// Owns reports whether Serve should handle r, and not a handler behind it.
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

// exchange is one request.
type exchange struct {
	set        *Set
	w          http.ResponseWriter
	r          *http.Request
	conditions http.Header
}

func (a *exchange) find(name string) {
	for range maxRenewals {
		ix := a.set.present()
		control, asset := forever, ix.byTarget[name]
		switch {
		case asset != nil:
			if mapped(asset.Name) != "" {
				control = revalidated // its hash is that of its script, and says nothing about its own bytes
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
		if asset.current() && a.deliver(asset, control, verdictOf) {
			return
		}
		a.set.renew(ix)
	}
	// It is listed, but does not exist: the folder was removed, and the next one has not come yet.
	_, hash, _ := splitHashed(name)
	if kept := a.set.retained(name, hash); kept != nil && a.deliver(kept, forever, verdictOf) {
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

// unknown handles a name that does not exist now, but may have existed, or may exist elsewhere:
// during a deployment, pages of one process request their files from another.
func (a *exchange) unknown(ix *index, name string) {
	base, hash, ok := splitHashed(name)
	if kept := a.set.retained(name, hash); kept != nil {
		if a.deliver(kept, forever, verdictOf) {
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
	case style, image, font: // the styles of another version are better than none
		if latest.current() && a.deliver(latest, unstored, substituted) {
			return
		}
	}
	a.notFound(latest.varies) // the script of another version would run on the wrong page
}

func (a *exchange) pageOr404(varies bool) {
	if a.set.options.Prefix == "/" && a.set.WantsPage(a.r) {
		a.shell()
		return
	}
	a.notFound(varies)
}

func (a *exchange) notFound(varies bool) {
	a.set.refuse(a.w, a.r, http.StatusNotFound, rules.NoStore, varies)
}

// verdictOf is a hit if these bytes were sent before.
func verdictOf(seen bool) Verdict {
	if seen {
		return Verdict{Hit: true}
	}
	return Verdict{Reason: rules.URIMiss}
}

// substituted is the verdict of a file that is served instead of the requested one.
func substituted(bool) Verdict { return Verdict{Failed: true, Reason: rules.UnknownHash} }

// refuse sends an error that must not be stored.
func (s *Set) refuse(w http.ResponseWriter, r *http.Request, status int, reason rules.Reason, varies bool) {
	h := w.Header()
	for _, name := range [...]string{"Etag", "Last-Modified", "Expires", "Content-Encoding", "Content-Length"} {
		delete(h, name)
	}
	h["Cache-Control"] = []string{unstored}
	if varies {
		h["Vary"] = field.AddVary(h["Vary"], "Accept-Encoding")
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
