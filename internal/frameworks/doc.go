// Package frameworks holds edgecache to what docs/guide says about routers and frameworks: each is
// mounted as written there, with the framework's own module, and asked by a real client.
package frameworks
