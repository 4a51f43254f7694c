// Package engine takes one request through the cache: it looks for a stored response, otherwise
// runs the handler and decides what happens to its response.
//
// A handler is one place where an [Engine] stands in front of something. Each request gets a
// lookup: what is found for it, and what may be done with that. If nothing stored answers it, it
// becomes an exchange, which waits for the fetch of another request or becomes a fetch itself:
// one run of the handler, for its client, for the waiters and for the cache. A response is what a
// fetch makes while its body still grows; a delivery is how the client of a fetch gets it. A pass
// runs the handler for its client alone.
//
// A hit goes through these files: serve, lookup, deliver (with negotiate for encodings) and
// report. A miss goes through serve, lookup, exchange, fetch, judge (when the header is known),
// stream (while the body grows) and complete. A waiter goes from exchange to collapse. Beside
// these, arrival makes requests ready, head and post serve their methods, revalidate takes in a
// 304, stale answers for a handler that failed, refresh and errand renew responses in the
// background, encode compresses them, invalidate and purge remove them, and l2 speaks to the
// second level.
//
// The handler runs in the goroutine of the request that leads, so that its panic reaches that
// client's server loop. A fetch starts at most one more goroutine, which writes the growing body
// to the client; the fetch waits for it. Refreshes, encoders and writes to the second level have
// goroutines of the Engine, which Close waits for. A request whose body may be empty has one that
// reads its first byte.
//
// These rules hold everywhere:
//   - A ResponseWriter is not used after ServeHTTP returns.
//   - No lock is held over I/O, or while a handler runs.
//   - What is published is immutable: status, header and body of a stored response never change.
//     What memory counts about it, such as uses and failures, is atomic. Only the body of a
//     response in progress grows.
package engine
