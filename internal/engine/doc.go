// Package engine takes one request through the cache: it looks for a stored response, else runs the
// handler and decides what becomes of its response.
package engine
