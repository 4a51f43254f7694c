package rules

import (
	"net/http"
	"slices"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
)

// forbidsInference says whether something in a response that gives no lifetime keeps this cache
// from inferring one. Its author told other caches what to do, perhaps not to keep it. Or it does
// something to the browser of one visitor. Or it carries somebody's token, which a response that is
// the same for everybody does not; a field that is not stored is nobody's. obeyed says that a
// targeted field has been obeyed.
//
// RFC 9111, 4.2.2 leaves it to the cache when to use a heuristic.
func (m *Meta) forbidsInference(o *Options, obeyed bool, h http.Header) bool {
	for name, lines := range h {
		switch {
		case name == "Clear-Site-Data":
			return true
		case field.SpeaksToCaches(name):
			if !obeyed || !slices.Contains(o.TargetedFields, name) {
				return true
			}
		case carriesToken(name) && slices.ContainsFunc(lines, notBlank) && !slices.Contains(m.Strip, name):
			return true
		}
	}
	return false
}

// tokenWords are words by which the name of a response field says that its value lets its bearer
// act for somebody. They count at the beginning and at the end of a part: X-Csrftoken, Sessionid.
var tokenWords = newWordIndex(
	"apikey", "bearer", "cookie", "credential", "csrf", "jwt", "nonce", "oauth", "password", "saml", "secret", "sessid", "session", "token", "xsrf",
)

// carriesToken says whether the value of a response field lets its bearer act for somebody, or
// tells who that is, by the words of its name. They are fewer than identityWords: Surrogate-Key,
// Public-Key-Pins and Signature are on pages for everybody. Of Set-Cookie it knows nothing: that
// has a rule of its own.
func carriesToken(name string) bool {
	if name == "Set-Cookie" || name == "Set-Cookie2" {
		return false
	}
	before := ""
	for rest := key.Canonical(name); rest != ""; {
		part := rest
		if at := strings.IndexByte(rest, '-'); at >= 0 {
			part, rest = rest[:at], rest[at+1:]
		} else {
			rest = ""
		}
		switch part {
		case "Auth", "Authorization", "Authentication", "Authenticate", "Authenticated", // Author is none of them
			"Sid", "Otp", "User", "Userid", "Username", "Login", "Email":
			return true
		case "Key":
			if before == "Api" || before == "Access" || before == "Auth" || before == "Private" {
				return true
			}
		case "Control":
			if before == "Access" {
				return false // CORS has Access-Control-Allow-Credentials
			}
		}
		if tokenWords.mark(part) {
			return true
		}
		before = part
	}
	return false
}
