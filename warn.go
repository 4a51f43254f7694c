package edgecache

import (
	"errors"
	"net/http"

	"github.com/edgecache-go/edgecache/internal/field"
)

var errWindowForbidden = errors.New("edgecache: stale-while-revalidate and stale-if-error do nothing beside s-maxage, must-revalidate or proxy-revalidate, which forbid stale use (RFC 9111, 5.2.2): say max-age instead of s-maxage, or leave the windows out")

// warn tells the observer of directives that cancel each other out.
func (e *Edge) warn(r *http.Request, header http.Header) {
	if e.config.Observer == nil {
		return
	}
	lines := header["Cache-Control"]
	for _, name := range e.rules.TargetedFields {
		if len(header[name]) > 0 {
			lines = header[name]
			break
		}
	}
	cc := field.ParseCacheControl(lines)
	if (cc.StaleWhileRevalidate.Set || cc.StaleIfError.Set) && (cc.SharedMaxAge.Set || cc.MustRevalidate || cc.ProxyRevalidate) {
		e.tell(Event{Kind: Warned, Request: r, Pattern: r.Pattern, Err: errWindowForbidden})
	}
}
