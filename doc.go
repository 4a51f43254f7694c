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
// # Where to start
//
// [Cache] is a cache with all defaults. [New] makes an [Edge], which takes a [Config] and can be
// purged, closed and asked for its [Stats]. [Static] serves static files.
//
// # Header functions
//
// [NoStore], [MaxAge], [Vary], [Tag] and the like touch only w.Header(), so they work with every
// router. They write plain HTTP, which browsers and CDNs understand without this package. Like
// w.Header() itself they have no effect after WriteHeader or the first Write. If a response is
// restricted too late, an Edge does not store it, and tells its observer and its logger ([Warned]).
//
// Two rules hold for Cache-Control, whether these functions or a handler wrote it:
//
//   - A restriction wins over a permission, in whichever order they are set. The code that finds
//     out that a response is for one visitor seldom knows how long such responses stay fresh, and
//     only one of the two mistakes shows a visitor's page to another. To take a restriction back,
//     delete the header field.
//   - If a function is called twice, the last call wins.
//
// Durations are written in whole seconds, rounded down, so less than a second is 0. Negative ones
// are 0, and more than 2^31 seconds (68 years) are 2^31 seconds. MaxAge(w, 60) is 60 nanoseconds:
// the header then says max-age=0, max-age-nanoseconds=60, and an Edge tells its observer and its
// logger ([Warned]).
//
// # Purging
//
// [Edge.Purge] removes stored responses by URL, and [Edge.PurgeTags] by [Tag]. A purge does not
// reach browsers, so give purged responses their lifetime with [CacheFor] instead of [MaxAge].
//
// # Looking inside
//
// [Edge.Explain] says what the cache would do with a request, and [Edge.Stats] counts what it has
// done. Config.Observer receives each decision as an [Event]. Each [Reason] explains itself.
package edgecache
