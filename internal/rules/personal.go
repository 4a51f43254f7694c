package rules

import (
	"net/http"
	"slices"

	"github.com/edgecache-go/edgecache/internal/field"
)

// IsPersonal says whether the response h belongs to whoever sent req, and does not say so itself:
// the request carries a credential, and no field that some cache obeys declares the response the
// same for everybody, as public and s-maxage do. A cache in front of this one may not take that
// credential for one, so the response must be marked.
func (o *Options) IsPersonal(req *Request, h http.Header) bool {
	if o.InsecureShareCookies || (&Terms{}).refuses(req) == None {
		return false
	}
	h = field.Canonical(h)
	if cc := field.ParseCacheControl(h["Cache-Control"]); o.declares(req, &cc) {
		return false
	}
	for name, lines := range h {
		if field.IsTargeted(name) || slices.Contains(o.TargetedFields, name) {
			if cc, ok := field.ParseTargeted(lines); ok && o.declares(req, &cc) {
				return false
			}
		}
	}
	return true
}

// declares says whether the directives let caches share the response although req carries a
// credential.
func (o *Options) declares(req *Request, cc *field.CacheControl) bool {
	var t Terms
	o.share(&t, cc)
	return t.refuses(req) == None && !(cc.NoStore && !cc.MustUnderstand) && !(cc.Private && len(cc.PrivateFields) == 0)
}
