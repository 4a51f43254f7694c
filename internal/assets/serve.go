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
	// revalidated is for a URL whose content may change: cached, but asked for each time.
	revalidated = "no-cache"
	unstored    = "no-store"

	// maxRanges is how many ranges one request may ask for; with more, Range is ignored (RFC 9110,
	// 14.2).
	maxRanges = 16
	// maxRenewals is how often one request looks again at files that change under its hands.
	maxRenewals = 3
)

// Serve answers a request for a static file. conditions are the header fields to look for
// conditions and ranges in: those of r, unless somebody has taken them off.
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
	// It is listed, and not there: the folder has been taken away, and the next one has not come
	// yet.
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

// unknown answers for a name that is not there now, but may have been, or may be elsewhere: while a
// new version is being brought out, pages of one process ask another for their files.
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

// verdictOf is a hit if these bytes were sent before.
func verdictOf(seen bool) Verdict {
	if seen {
		return Verdict{Hit: true}
	}
	return Verdict{Reason: rules.URIMiss}
}

// standsIn is for a file that is not the one that was asked for.
func standsIn(bool) Verdict { return Verdict{Failed: true, Reason: rules.UnknownHash} }

// refuse answers with an error that nobody keeps.
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
