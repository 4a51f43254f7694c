package edgecache

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
)

// The functions of this file are what a handler says about its response. They touch nothing but w.Header(), so they
// work with every router, and what they write is plain HTTP that browsers and CDNs understand without this package.
// Like w.Header() itself they have no effect after WriteHeader or the first Write, except that an Edge does not keep a page
// that was restricted then, and tells its observer and its logger ([Warned]).
//
// Two rules hold for Cache-Control, whether its directives were set here or written by hand:
//
//   - A restriction wins over a permission, in whichever order they are called. The code that finds out that a page is
//     somebody's own is seldom the code that knows how long such pages keep, and only one of the two mistakes shows one
//     visitor's page to another. To take a restriction back, delete the header.
//   - Of two calls of the same function the later one counts: the handler corrects itself.
//
// Durations are written in whole seconds, rounded down, so that less than a second is 0; negative ones are 0, and more
// than 2^31 seconds (68 years) are 2^31 seconds. MaxAge(w, 60) is 60 nanoseconds: the header tells it, max-age=0,
// max-age-nanoseconds=60, and an Edge its observer and its logger ([Warned]).

// NoStore keeps the response out of every cache (RFC 9111, 5.2.2.5). It removes all directives by which a cache may keep
// it, and restricts a CDN-Cache-Control that is already set as well. For a page that only a CDN may keep, set
// CDN-Cache-Control after NoStore.
func NoStore(w http.ResponseWriter) { restrict(w.Header(), dirNoStore) }

// NoCache lets caches keep the response but not use it again before the handler has been asked whether it still holds
// (RFC 9111, 5.2.2.4); see [NotModified]. It removes MaxAge, SharedMaxAge, Immutable, StaleWhileRevalidate and StaleIfError.
func NoCache(w http.ResponseWriter) { restrict(w.Header(), dirNoCache) }

// Private says that the response is for one visitor: only the browser may keep it, no shared cache (RFC 9111, 5.2.2.7).
// It removes Public and SharedMaxAge; MaxAge then counts for the browser.
func Private(w http.ResponseWriter) { restrict(w.Header(), dirPrivate) }

// Public says that the response is the same for everybody, and may be shared even if it was made for a request with a
// cookie or an Authorization (RFC 9111, 5.2.2.9). It counts together with [CacheFor], too, in either order, and for every
// other cache that is told in a field of its own (RFC 9213). After or before Private, NoStore it has no effect.
func Public(w http.ResponseWriter) { share(w.Header()) }

// share adds public to Cache-Control.
func share(h http.Header) {
	edit(h, func(d *directives) { d.set(dirPublic) })
	shareTargeted(h)
}

// shareTargeted adds the public of Cache-Control, if it is there and no restriction has removed it, to every field that
// some cache obeys in its place, as restrict does with a restriction.
func shareTargeted(h http.Header) {
	if !parseDirectives(lines(h, "Cache-Control")).said().Public {
		return
	}
	for key := range h {
		if field.IsTargeted(key) {
			editField(h, http.CanonicalHeaderKey(field.TrimBlanks(key)), func(d *directives) { d.set(dirPublic) })
		}
	}
}

// MaxAge says how long the response is fresh, in browsers too, which no purge reaches: see [CacheFor] (RFC 9111, 5.2.2.1).
// Whole seconds count, rounded down; less than one, or a negative lifetime, is 0. The later of two calls counts. Call it
// before the first byte of the body. It has no effect together with NoStore or NoCache.
func MaxAge(w http.ResponseWriter, lifetime time.Duration) { permitFor(w, dirMaxAge, lifetime) }

// SharedMaxAge says how long the response is fresh in shared caches, where it takes the place of
// MaxAge (RFC 9111, 5.2.2.10); they do not serve it stale. Like Public it lets them share what was
// made for a request with a cookie. It has no effect together with NoStore, NoCache or Private.
func SharedMaxAge(w http.ResponseWriter, lifetime time.Duration) {
	permitFor(w, dirSharedMaxAge, lifetime)
}

// CacheFor says how long the response is fresh here, and in CDNs that obey CDN-Cache-Control (RFC 9213), while browsers
// ask each time whether it has changed. It is the lifetime for pages that are purged: a purge reaches this cache, and what
// [MaxAge] has left in a browser stays there. Unlike [SharedMaxAge] it shares nothing with requests that carry a cookie;
// together with [Public] it does. It has no effect together with NoStore or Private. It says nothing to an Edge whose
// Config.TargetedHeaders do not have CDN-Cache-Control.
func CacheFor(w http.ResponseWriter, lifetime time.Duration) {
	h := w.Header()
	said := parseDirectives(lines(h, "Cache-Control")).said()
	if said.NoStore || said.Private {
		return
	}
	NoCache(w)
	h.Del(edgeField) // NoCache is for browsers here
	editField(h, edgeField, func(d *directives) {
		d.setSeconds(dirMaxAge, lifetime)
		if said.Public {
			d.set(dirPublic)
		}
	})
}

const edgeField = "Cdn-Cache-Control"

// Immutable says that the response never changes while it is fresh, so that a browser does not ask even when its user
// reloads the page (RFC 8246). It is for URLs that change with their content. It has no effect together with NoStore or
// NoCache.
func Immutable(w http.ResponseWriter) { permit(w, dirImmutable) }

// MustRevalidate says that once it is stale the response must not be used without asking, not even when the handler
// fails (RFC 9111, 5.2.2.2). It removes StaleWhileRevalidate and StaleIfError. It permits nothing
// here. Other shared caches may take it for leave to keep what was made for a request with an
// Authorization (RFC 9111, 3.5): say Private where they stand in front.
func MustRevalidate(w http.ResponseWriter) { permit(w, dirMustRevalidate) }

// StaleWhileRevalidate says for how long after its lifetime the response may still be served while
// a new one is being made (RFC 5861, 3). It has no effect together with NoStore, NoCache,
// MustRevalidate or SharedMaxAge.
func StaleWhileRevalidate(w http.ResponseWriter, window time.Duration) {
	permitFor(w, dirStaleWhileRevalidate, window)
}

// StaleIfError says for how long after its lifetime the response may still be served when making a
// new one fails (RFC 5861, 4). It has no effect together with NoStore, NoCache, MustRevalidate or
// SharedMaxAge.
func StaleIfError(w http.ResponseWriter, window time.Duration) {
	permitFor(w, dirStaleIfError, window)
}

func permit(w http.ResponseWriter, directive string) {
	edit(w.Header(), func(d *directives) { d.set(directive) })
}

func permitFor(w http.ResponseWriter, directive string, d time.Duration) {
	edit(w.Header(), func(dd *directives) { dd.setSeconds(directive, d) })
}

// Vary adds request fields on which the response depends (RFC 9110, 12.5.5); those that are there already stay, none is
// doubled, and "*" (depends on more than the request says: never reused) absorbs all others. A name may be a list
// such as "Accept, Cookie". What cannot be the name of a field counts as "*": the page is then reused too seldom, not
// wrongly.
func Vary(w http.ResponseWriter, names ...string) { addVary(w.Header(), names) }

func addVary(h http.Header, names []string) {
	had := slices.Collect(field.Members(lines(h, "Vary")))
	all := had
	for name := range field.Members(names) {
		if !field.IsToken(name) {
			name = "*"
		}
		if !slices.ContainsFunc(all, func(s string) bool { return strings.EqualFold(s, name) }) {
			all = append(all, http.CanonicalHeaderKey(name))
		}
	}
	switch {
	case slices.Contains(all, "*"):
		h["Vary"] = []string{"*"}
	case len(all) > len(had):
		h["Vary"] = []string{strings.Join(all, ", ")}
	}
}

// Tag puts the response into groups that can be purged together: by Edge.PurgeTags, and by [Invalidate] in a response
// (RFC 9875, 2). Tags are compared byte by byte; empty ones are left out. A tag is sent as it is as long as it is ASCII;
// other bytes are percent-encoded, and of a tag longer than 1024 bytes a hash takes the place of the end. PurgeTags and
// Invalidate do the same, so every tag finds its pages. A response can carry 1024 tags and 64 KiB of them; one that
// needs more could not be purged, so it is not stored: see [NoStore]. Clients see the tags, unless Config.HideTags is set.
func Tag(w http.ResponseWriter, tags ...string) { addTags(w.Header(), tags) }

func addTags(h http.Header, tags []string) {
	if !addGroups(h, "Cache-Groups", tags) {
		restrict(h, dirNoStore)
	}
}

// Invalidate tells caches that what carries any of these tags is outdated (RFC 9875, 3): the pages that the request has
// changed. It works on responses to unsafe methods only, such as POST. The result is false, and the header unchanged,
// if the response would name more than 1024 tags or 64 KiB of them; use Edge.PurgeTags then.
func Invalidate(w http.ResponseWriter, tags ...string) bool {
	return addGroups(w.Header(), groupInvalidation, tags)
}

const groupInvalidation = "Cache-Group-Invalidation"

// addGroups adds tags to a field that is a List of Strings, or returns false if no reader would take the result.
func addGroups(h http.Header, name string, tags []string) bool {
	had := lines(h, name)
	groups, ok := field.ParseStringList(had)
	text := strings.Join(had, ", ") // as written, with any parameters
	if !ok {
		text = "" // nobody can read it (RFC 9651, 4.2), and behind it nobody could read ours
	}
	count := len(groups)
	for _, tag := range tags {
		group := groupName(tag)
		if group == "" || slices.Contains(groups, group) {
			continue
		}
		groups = append(groups, group)
		if text != "" {
			text += ", "
		}
		text += quoteGroup(group)
	}
	if len(groups) > field.MaxStrings || len(text) > field.MaxStructured {
		return false
	}
	if len(groups) > count {
		h[name] = []string{text}
	}
	return true
}

// groupName returns the text by which a tag is known in headers and to purges. It is printable ASCII of at most
// field.MaxStringLength bytes, and its own groupName. Two tags can get one name, "é" and "%C3%A9" for instance: then a purge
// takes more than was asked, never less.
func groupName(tag string) string {
	const hexDigits = "0123456789ABCDEF"
	if strings.IndexFunc(tag, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
		var b strings.Builder
		for i := range len(tag) {
			if c := tag[i]; c < ' ' || c > '~' {
				b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
			} else {
				b.WriteByte(c)
			}
		}
		tag = b.String()
	}
	if len(tag) > field.MaxStringLength {
		sum := sha256.Sum256([]byte(tag))
		end := "~" + hex.EncodeToString(sum[:16])
		tag = tag[:field.MaxStringLength-len(end)] + end
	}
	return tag
}

var quoting = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// quoteGroup writes a String (RFC 9651, 4.1.6).
func quoteGroup(group string) string { return `"` + quoting.Replace(group) + `"` }
