// Package model holds tests that play random histories of requests against the cache and compare
// every response with what an oracle allows. It has no other code.
package model
