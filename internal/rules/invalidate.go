package rules

import "net/http"

// Target is a URL in the parts that the key is made of.
type Target struct{ Scheme, Host, Target string }

// Invalidates says whether a response with this status to a request with this method makes what is stored for its URL invalid (RFC 9111, 4.4).
func Invalidates(method string, status int) bool { return true }

// InvalidationTargets returns the URLs, beside that of r, which a successful unsafe request makes invalid: those in
// Location and Content-Location, if they are of the same origin (RFC 9111, 4.4). At most max, no duplicates.
func InvalidationTargets(r *http.Request, h http.Header, max int) []Target { return nil }
