// Package engine takes one request through the cache: it looks for a stored response, else runs the handler and decides
// what becomes of its response. So far the package has tests only; the code is in the root package.
package engine
