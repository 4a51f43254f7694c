package key

import "net/http"

// scoped are the request fields by which handlers learn the name under which they are seen.
var scoped = [...]string{
	"Forwarded", "Front-End-Https", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Proto",
	"X-Forwarded-Scheme", "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Host", "X-Original-Host",
}

// Scope appends what reaches a handler unkeyed and therefore separates the variants of one URL.
func Scope(dst []byte, r *http.Request) []byte {
	for _, name := range scoped {
		for _, line := range r.Header[name] {
			dst = appendText(dst, name)
			dst = appendText(dst, line)
		}
	}
	return dst
}
