package rules

import (
	"net/http"
	"slices"

	"github.com/edgecache-go/edgecache/internal/field"
)

// IsPersonal reports whether the response h belongs to the sender of req but does not say so: the
// request carries a credential, and no field that a cache obeys declares the response the same for
// everyone, as public and s-maxage do. A cache in front of this one may not know the credential, so
// the response must be marked.
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

// declares reports whether the directives let caches share the response although req carries a
// credential.
func (o *Options) declares(req *Request, cc *field.CacheControl) bool {
	var t Terms
	o.share(&t, cc)
	return t.refuses(req) == None && !(cc.NoStore && !cc.MustUnderstand) && !(cc.Private && len(cc.PrivateFields) == 0)
}
