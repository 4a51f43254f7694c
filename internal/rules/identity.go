package rules

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// identityWords are the words in the name of a request field that say that the field identifies its
// sender. Applications make up names, so no list has them all, but they are made of these words.
var identityWords = newWordIndex(
	"account", "auth", "bearer", "cert", "claim", "company", "cookie", "credential", "customer", "email", "identity",
	"jwt", "key", "login", "member", "oidc", "org", "passwd", "password", "principal", "saml", "secret", "sessid", "session",
	"signature", "sso", "subject", "team", "tenant", "token", "uid", "user", "workspace",
)

// identifying reports whether the canonical name of a request field says that the field identifies
// its sender: a part of it, between dashes, begins or ends with one of identityWords. Names that
// browsers, proxies, content delivery networks and tracers send with every request do not count.
func identifying(name string) bool {
	if harmless(name) {
		return false
	}
	for rest := name; rest != ""; {
		part := rest
		if at := strings.IndexByte(rest, '-'); at >= 0 {
			part, rest = rest[:at], rest[at+1:]
		} else {
			rest = ""
		}
		if part = withoutAgent(part, rest); identityWords.mark(part) || identityWords.marksEnd(part) {
			return true
		}
	}
	return false
}

// withoutAgent returns a part of a name without the "user" of a user agent or of a client's
// address, which identify no user: User-Agent, X-Device-User-Agent, X-Ms-Useragent, X-Proxyuser-Ip.
// rest is what follows the part.
func withoutAgent(part, rest string) string {
	const user, userAgent = "user", "useragent"
	switch {
	case endsWith(part, userAgent):
		return part[:len(part)-len(userAgent)]
	case endsWith(part, user) && (begins(rest, "Agent") || begins(rest, "Ip")):
		return part[:len(part)-len(user)]
	}
	return part
}

// begins reports whether the first part of a name is the given one.
func begins(name, part string) bool {
	return strings.HasPrefix(name, part) && (len(name) == len(part) || name[len(part)] == '-')
}

// marksEnd reports whether part, of a canonical name, ends with a word in another form: plural,
// numbered, or as the name of an id (Mytokens, Companies, Mytoken2, Currentuserid).
func (x *wordIndex) marksEnd(part string) bool {
	stem := strings.TrimRight(part, "0123456789")
	for range 2 { // with and without an id
		one := strings.TrimSuffix(stem, "s")
		singular, plural := strings.CutSuffix(one, "ie")
		if x.mark(stem) || x.mark(one) || plural && x.mark(singular+"y") {
			return true
		}
		before, id := strings.CutSuffix(one, "id")
		if !id {
			break
		}
		stem = before
	}
	return false
}

// harmless reports whether a name with such a word in it is known to identify no user.
func harmless(name string) bool {
	// Sec- is for browsers: no script can set these (Fetch standard, 2.2.2).
	if strings.HasPrefix(name, "Sec-") {
		return true
	}
	switch strings.TrimPrefix(name, "X-") {
	case "Idempotency-Key", "Idempotency-Token", "Idempotent-Key", "Idempotencykey", // of one request
		"Request-Uuid", "Request-Guid", "Requestuuid", "Requestguid", "Correlation-Uuid", "Correlation-Guid", "Log-Uuid", "Nws-Log-Uuid",
		"Trace-Uuid", "Trace-Guid", "Transaction-Uuid", "Transaction-Guid", "Message-Uuid", "Message-Guid", "Span-Uuid", "Event-Uuid":
		return true
	}
	switch name {
	case "Accept-Signature", // asks for one (RFC 9421, 5.1)
		"X-Vercel-Internal-Intra-Session", // of a platform with itself
		// The site's owner, as its platform tells with each request.
		"X-Appengine-Auth-Domain", "X-Nf-Account-Id", "X-Nf-Account-Tier",
		"X-Vercel-Oidc-Token", "X-Vercel-Proxy-Signature", "X-Vercel-Proxy-Signature-Ts":
		return true
	}
	return false
}

// endsWith reports whether a part of a canonical name, whose first letter may be a capital, ends
// with a word in lower case.
func endsWith(part, word string) bool {
	at := len(part) - len(word)
	return at >= 0 && part[at+1:] == word[1:] && part[at]|0x20 == word[0]
}

// wordIndex finds the words that a text begins or ends with by its first and last letter.
type wordIndex struct {
	words    []string
	from, to [26][]string
}

func newWordIndex(words ...string) *wordIndex {
	x := &wordIndex{words: words}
	for _, w := range words {
		first, last := &x.from[w[0]-'a'], &x.to[w[len(w)-1]-'a']
		*first, *last = append(*first, w), append(*last, w)
	}
	return x
}

// mark reports whether part, of a canonical name, begins or ends with a word.
func (x *wordIndex) mark(part string) bool {
	if part == "" {
		return false
	}
	if first := part[0] | 0x20 - 'a'; first < 26 {
		for _, w := range x.from[first] {
			if len(part) >= len(w) && part[1:len(w)] == w[1:] {
				return true
			}
		}
	}
	if last := part[len(part)-1] | 0x20 - 'a'; last < 26 {
		for _, w := range x.to[last] {
			if endsWith(part, w) {
				return true
			}
		}
	}
	return false
}

// DefaultCredentialFields returns the request fields, beside Authorization and Cookie, by which
// applications and authenticating proxies commonly recognise their users. A name that ends in *
// stands for all names with that prefix. The caller owns the slice.
func DefaultCredentialFields() []string {
	return []string{
		// Keys and tokens that clients send.
		"Proxy-Authorization", "X-Serverless-Authorization", "X-Api-Key", "Api-Key", "Apikey", "X-Apikey", "X-Auth-Token", "X-Access-Token", "X-Session-Token",
		"X-Session-Id", "X-Csrf-Token", "X-Xsrf-Token", "X-Amz-Security-Token", "X-Goog-Api-Key", "Private-Token", "X-Vault-Token", "Dpop",
		"Signature", "Sec-Token-Binding", "Sec-Session-*", "Sec-Secure-Session-*",

		// The user, according to a proxy in front.
		"Remote-User", "Remote-Name", "Remote-Email", "Remote-Group", "Remote-Groups", "X-Remote-User", "X-Remote-Name", "X-Remote-Group", "X-Remote-Groups",
		"X-Remote-Extra-*", "Impersonate-*",
		"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Group", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token",
		"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Access-Token", "X-Authenticated-User", "X-Webauth-User", "X-User-Id",
		"X-Authentik-Username", "X-Token-User-Name", "X-Vouch-User", "X-Pomerium-Jwt-Assertion", "X-Userinfo", "X-Consumer-*", "Oidc-Claim-*",
		"X-Pomerium-Claim-*", "X-Vouch-Idp-Claims-*", "Sm-Universalid", "Iv-Groups", "Iv-Creds", "Eppn", "Persistent-Id", "X-Spiffe-Id",
		"Cf-Access-*", "X-Goog-Iap-Jwt-Assertion", "X-Goog-Authenticated-User-Email",
		"X-Amzn-Oidc-Data", "X-Amzn-Oidc-Identity", "X-Amzn-Oidc-Accesstoken", "X-Ms-Client-Principal", "X-Ms-Client-Principal-Id",
		"X-Ms-Token-Aad-Access-Token", "X-Replit-User-Id", "Tailscale-User-*", "X-Tailscale-*",
		"X-Msisdn", "X-Up-Calling-Line-Id", // of mobile networks

		// Client certificates that a proxy checked (RFC 9440 and what came before).
		"Client-Cert", "X-Client-Cert", "X-Client-Dn", "X-Client-S-Dn", "X-Client-Verify", "X-Tls-Client-*", "X-Ssl-Client-*", "Ssl-Client-*",
		"X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-*", "X-Arr-Clientcert",
	}
}

// NameCredential returns the name of what makes a request credentialed, never its value:
// "Authorization", "client certificate", "Cookie: session" or a field such as "X-Api-Key",
// whichever the request carries first in this order. A cookie without a proper name is "Cookie".
func (o *Options) NameCredential(r *http.Request) string {
	cookie, credential, authorization := "", "", ""
	for name, lines := range r.Header {
		kind, canonical := o.field(name)
		switch {
		case len(lines) == 0:
		case kind&kindRole == kindAuthorization:
			authorization = canonical
		case kind&kindRole == kindCookie && !o.InsecureShareCookies:
			for _, line := range lines {
				if name, found := o.ignoredCookies().Name(line); found && cookie == "" {
					if cookie = "Cookie"; name != "" {
						cookie = "Cookie: " + name
					}
				}
			}
		case kind&kindCredential != 0 && slices.ContainsFunc(lines, notBlank):
			if name = clipped(canonical); credential == "" || name < credential {
				credential = name // the same one each time, if there are several
			}
		}
	}
	certificate := ""
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		certificate = "client certificate"
	}
	return cmp.Or(authorization, certificate, cookie, credential)
}

// maxCredentialName bounds the part of a field's name that is shown, in bytes: a client that makes
// up names cannot fill logs.
const maxCredentialName = 64

func clipped(name string) string { return name[:min(len(name), maxCredentialName)] }
