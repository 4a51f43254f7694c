package rules

import (
	"net/http"
	"slices"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
)

// forbidsInference reports whether something in a response that gives no lifetime keeps this cache
// from inferring one: its author told other caches what to do, perhaps not to keep it; it does
// something to the browser of one visitor; or it carries a user's token, which a response for
// everyone does not. A field that is not stored does not count. obeyed says that a targeted field
// was obeyed.
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

// tokenWords are the words in the name of a response field that say that its value lets its bearer
// act for a user. They count at the beginning and at the end of a part: X-Csrftoken, Sessionid.
var tokenWords = newWordIndex(
	"apikey", "bearer", "cookie", "credential", "csrf", "jwt", "nonce", "oauth", "password", "saml", "secret", "sessid", "session", "token", "xsrf",
)

// carriesToken reports whether the value of a response field lets its bearer act for a user, or
// tells who that is, by the words of its name. The words are fewer than identityWords:
// Surrogate-Key, Public-Key-Pins and Signature are on responses for everyone. Set-Cookie has a rule
// of its own.
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
