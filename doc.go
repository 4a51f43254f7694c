// Package edgecache puts a shared HTTP cache (RFC 9111) in front of a handler, in the same process:
// what a CDN does for a site, by one line.
//
//	http.ListenAndServe(":8080", edgecache.Cache(mux))
//
// Every page that answers a GET is cached for everybody unless its header forbids that: a page that
// says nothing for two minutes, one that says how long for that long. Handlers say it with
// [NoStore], [MaxAge] and the other functions of this package, or with the headers that these set;
// [Policy] says it for a handler, a route, or the whole application. Every answer says in X-Cache
// and in Cache-Status (RFC 9211) whether it came from the cache, and why not.
//
// What was made for a visitor with a cookie or an Authorization stays theirs unless the response
// says public or s-maxage. Responses with Set-Cookie are never stored. Pages reach the first client
// while the handler writes them; what is not cached passes through untouched, WebSockets and event
// streams included.
package edgecache
