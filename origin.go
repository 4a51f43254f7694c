package edgecache

import "net/http"

// originErrorField marks an answer that stands for no answer at all. It never leaves the cache.
const originErrorField = "Edgecache-Origin-Error"

// OriginError says that the answer being written only reports that there is none: the origin refused the connection,
// reset it, or spoke nonsense. Call it before WriteHeader, typically in the ErrorHandler of an httputil.ReverseProxy, and
// write the error page for the case that nothing better exists, with a status such as 502.
//
// The cache never stores such an answer. It serves a stored page that is past its time instead, where that is allowed
// (RFC 9111, 4.2.4): for Config.StaleIfUnreachable, unless the page said must-revalidate, proxy-revalidate, s-maxage or
// no-cache. An answer that breaks off in the middle needs no word: a handler that panics with http.ErrAbortHandler, as
// ReverseProxy does, or writes less than its Content-Length, is understood. So is a client that leaves: what the handler
// does when its context was cancelled for that counts as no failure, whatever it says.
//
// Without a cache around it, OriginError adds one response field that means nothing.
func OriginError(w http.ResponseWriter) { w.Header()[originErrorField] = []string{"1"} }
