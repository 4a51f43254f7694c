package engine

import (
	"net/http"
	"slices"

	"github.com/edgecache-go/edgecache/internal/directive"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// markPersonal makes a response that is passed on because of who asks say so, in its header h. A cache in front of this one may
// take no notice of a cookie or an API key, and would keep a response that only says how long.
//
// Deviation: RFC 9111, 5.2 has a cache pass directives on as they come. Off with Config.InsecureShareCookies.
func (e *Engine) markPersonal(h http.Header, req *rules.Request, status int) {
	if status == http.StatusSwitchingProtocols || !e.rules.IsPersonal(req, h) {
		return
	}
	for name := range h {
		if field.SpeaksToCaches(name) || slices.Contains(e.rules.TargetedFields, http.CanonicalHeaderKey(name)) {
			delete(h, name) // it would be obeyed in place of Cache-Control
		}
	}
	cc := field.ParseCacheControl(field.Canonical(h)["Cache-Control"])
	if cc.NoStore && !cc.MustUnderstand || cc.Private && len(cc.PrivateFields) == 0 && !cc.Public && !cc.SharedMaxAge.Set {
		return // it says so itself, in its own words
	}
	directive.Set(h, directive.Private)
}
