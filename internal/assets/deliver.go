package assets

import (
	"net/http"

	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/partial"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// deliver sends an asset, or what the conditions make of it. It returns false, and sends nothing,
// if the file has changed.
func (a *exchange) deliver(asset *Asset, control string, judge func(seen bool) Verdict) bool {
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
			a.w.Header()["Content-Range"] = []string{partial.Unsatisfied(asset.size)}
			a.set.refuse(a.w, a.r, http.StatusRequestedRangeNotSatisfiable, rules.NoStore, asset.varies)
			return true
		case field.RangeOK:
			// Clients disagree whether Content-Encoding is about a part or about the multipart
			// body.
			if len(parts) == 1 || asset.media.encoding == "" {
				return a.deliverParts(asset, control, judge, parts)
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
		_ = body.send(a.w, 0, size) // an error means that the client has gone
	}
	return true
}

// header writes the fields that every response about an asset has. The values are cut from one
// fresh array with room for more.
func (a *exchange) header(h http.Header, asset *Asset, control string, room int) []string {
	values := make([]string, 0, room)
	h["Cache-Control"] = put(&values, control)
	if asset.varies {
		if h["Vary"] == nil {
			h["Vary"] = put(&values, "Accept-Encoding")
		} else {
			h["Vary"] = field.AddVary(h["Vary"], "Accept-Encoding")
		}
	}
	if asset.media.class == font || a.set.options.Host != "" {
		h["Access-Control-Allow-Origin"] = put(&values, "*")
	}
	return values
}

// put takes the next place of the array.
func put(values *[]string, value string) []string {
	*values = append(*values, value)
	n := len(*values)
	return (*values)[n-1 : n : n]
}

// choose picks the variant that the client likes best. The smallest of equally liked ones wins.
//
// Deviation: a file that is encoded on disk, such as .svgz, is sent as it is, whatever
// Accept-Encoding says (RFC 9110, 12.5.3). It is the only representation, its clients know the
// coding by its name, and it does not vary.
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
	// No existing variant is acceptable. If one can be made, it is made now.
	for i := coding.Brotli; i < coding.Count; i++ {
		if eligible && w[i] > best {
			if v := s.worker.make(a, i); v != nil {
				c, e, best = i, v, w[i]
			}
		}
	}
	return c, e, best > 0
}
