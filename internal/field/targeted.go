package field

import "strings"

// IsTargeted reports whether a response field, in any spelling, has directives for some caches in
// place of Cache-Control: its name ends as those of RFC 9213 do, or it is Surrogate-Control, also
// that of a vendor. A cache must not obey a field because of its suffix (RFC 9213, 2.4), but it may
// be careful.
func IsTargeted(name string) bool {
	const cache, surrogate = "-Cache-Control", "Surrogate-Control"
	name = TrimBlanks(name)
	if at := len(name) - len(cache); at > 0 && strings.EqualFold(name[at:], cache) {
		return true
	}
	at := len(name) - len(surrogate)
	return at >= 0 && strings.EqualFold(name[at:], surrogate) && (at == 0 || name[at-1] == '-')
}

// SpeaksToCaches reports whether a response field, in any spelling, tells some cache how long to
// keep the response, other than by Cache-Control and Expires: it is targeted, or a vendor's own
// field.
func SpeaksToCaches(name string) bool {
	if IsTargeted(name) {
		return true
	}
	switch name = TrimBlanks(name); len(name) {
	case len("Edge-Control"): // Akamai
		return strings.EqualFold(name, "Edge-Control")
	case len("X-Accel-Expires"): // nginx, which prefers it to Cache-Control
		return strings.EqualFold(name, "X-Accel-Expires")
	}
	return false
}
