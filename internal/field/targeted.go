package field

import "strings"

// IsTargeted says whether a response field, in any spelling, has directives for some caches in
// place of Cache-Control: in the form of RFC 9213, told by the suffix that its names have, or
// Surrogate-Control, also of one vendor. The suffix is no reason to obey a field (RFC 9213, 2.4);
// it is one to be careful.
func IsTargeted(name string) bool {
	const cache, surrogate = "-Cache-Control", "Surrogate-Control"
	name = TrimBlanks(name)
	if at := len(name) - len(cache); at > 0 && strings.EqualFold(name[at:], cache) {
		return true
	}
	at := len(name) - len(surrogate)
	return at >= 0 && strings.EqualFold(name[at:], surrogate) && (at == 0 || name[at-1] == '-')
}

// SpeaksToCaches says whether a response field, in any spelling, tells some cache other than by
// Cache-Control and Expires how long to keep the response: one that IsTargeted, or the own field of
// a vendor.
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
