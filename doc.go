// Package edgecache puts a shared HTTP cache (RFC 9111) in front of a handler, in the same process.
// It does for a site what a CDN does, with one line:
//
//	http.ListenAndServe(":8080", edgecache.Cache(mux))
//
// A response to a GET is cached for all clients unless its header forbids it: for as long as the
// header says, or for two minutes if the header says nothing about caching. Handlers say so with
// [NoStore], [MaxAge] and the other functions of this package, or by setting the same header fields
// themselves. A [Policy] says so for a handler, a route or a whole application. Each response
// carries X-Cache and Cache-Status (RFC 9211), which tell whether it came from the cache, and if
// not, why.
//
// A response to a request with a cookie or an Authorization is not shared unless it says public or
// s-maxage. A response with Set-Cookie is not stored unless [Config] says otherwise. The first
// client receives a response while the handler writes it. Whatever is not cached passes through
// unchanged, including WebSockets and event streams.
//
// Where to start: [Cache] is a cache with all defaults. [New] makes an [Edge], which takes a
// [Config] and can be purged, closed and asked for its [Stats]. [Static] serves static files.
package edgecache
