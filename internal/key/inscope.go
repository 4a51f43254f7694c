package key

import "strings"

// InScope reports whether a request field is part of the scope, so that a request made for a stored page must carry it. name is canonical.
func InScope(name string) bool { return isScoped(name) }

// Mentions reports whether a scope may tell of the host, which is in lower case: in X-Forwarded-Host, for instance. It is for purging, so it errs on the side of true:
// a host that is part of another one, and a scope that was too long to be kept as text, count.
func Mentions(scope, host string) bool {
	if scope == "" {
		return false
	}
	return strings.HasPrefix(scope, "\x00"+string(rune(kindScopeSum))) || strings.Contains(strings.ToLower(scope), host)
}
