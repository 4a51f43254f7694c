package field

import "strings"

// IsTargeted says whether a response field, in any spelling, has directives for some caches in place of Cache-Control: in the form of
// RFC 9213, told by the suffix that its names have, or Surrogate-Control. The suffix is no reason to obey a field (RFC
// 9213, 2.4); it is one to be careful.
func IsTargeted(name string) bool {
	const suffix = "-Cache-Control"
	name = TrimBlanks(name)
	at := len(name) - len(suffix)
	return at > 0 && strings.EqualFold(name[at:], suffix) || strings.EqualFold(name, "Surrogate-Control")
}

// SpeaksToCaches says whether a response field, in any spelling, tells some cache other than by Cache-Control and Expires how
// long to keep the response: one that IsTargeted, or the own field of a vendor.
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
