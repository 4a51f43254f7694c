package settings

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/mistake"
	"github.com/edgecache-go/edgecache/internal/pattern"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// list collects mistakes while fields are resolved.
type list struct{ mistake.List }

func (l *list) duration(name string, d *time.Duration, byDefault time.Duration) {
	switch {
	case *d < 0:
		l.Add(name, *d, "want 0 (default) or more")
	case 0 < *d && *d < time.Millisecond:
		l.Add(name, *d, "want a time.Duration with its unit, such as 60*time.Second")
	case *d == 0:
		*d = byDefault
	}
}

func (l *list) statusHeader(name string) string {
	switch name {
	case "":
		name = StatusHeader
	case "-":
	default:
		if !field.IsToken(name) {
			l.Add("StatusHeader", name, `want the name of a header field such as "X-Cache", or "-" for none`)
		}
		name = http.CanonicalHeaderKey(name)
	}
	if isReserved(name) {
		l.Add("StatusHeader", name, "want a field that has no other meaning in a response")
	}
	return name
}

// isReserved reports whether a status field of this name would change what the response means.
func isReserved(name string) bool {
	switch name {
	case "Age", "Cache-Control", "Cache-Status", "Cdn-Cache-Control", "Connection", "Date", "Etag", "Expires", "Last-Modified", "Location",
		"Pragma", "Set-Cookie", "Trailer", "Transfer-Encoding", "Upgrade", "Vary":
		return true
	}
	return strings.HasPrefix(name, "Content-")
}

func (l *list) statusName(name string) string {
	switch name {
	case "":
		return StatusName
	case "-":
	default:
		if !isStructuredToken(name) {
			l.Add("StatusName", name, `want a structured-field token (a letter, then letters, digits and any of !#$%&'*+-.^_|~:/), or "-" for none`)
		}
	}
	return name
}

// isStructuredToken reports whether s is an sf-token (RFC 9651, 3.3.4).
func isStructuredToken(s string) bool {
	if s == "" || !(s[0] == '*' || 'a' <= s[0]|0x20 && s[0]|0x20 <= 'z') {
		return false
	}
	for i := range len(s) {
		if s[i] != ':' && s[i] != '/' && !field.IsToken(s[i:i+1]) {
			return false
		}
	}
	return true
}

func (l *list) targeted(names []string) []string {
	if names == nil {
		names = []string{"CDN-Cache-Control"}
	}
	names = slices.Clone(names)
	for i, name := range names {
		if !field.IsToken(name) {
			l.Add(fmt.Sprintf("TargetedHeaders[%d]", i), name, `want the name of a header field such as "CDN-Cache-Control"`)
		}
		names[i] = http.CanonicalHeaderKey(name)
	}
	return names
}

func (l *list) credentials(names []string) []string {
	names = append(make([]string, 0, len(names)), names...)
	for i, name := range names {
		prefix := strings.TrimSuffix(name, "*")
		if !field.IsToken(prefix) || strings.Contains(prefix, "*") {
			l.Add(fmt.Sprintf("CredentialHeaders[%d]", i), name,
				`want the name of a header field such as "X-Api-Key", or its beginning and a * such as "X-Consumer-*"`)
		}
		names[i] = key.Canonical(prefix) + name[len(prefix):]
	}
	return names
}

func (l *list) except(patterns []string) []string {
	if patterns == nil {
		patterns = DefaultExcept()
	}
	patterns = slices.Clone(patterns)
	pattern.NewSet(patterns, func(i int, reason string) {
		l.Add(fmt.Sprintf("Except[%d]", i), patterns[i], `want a pattern for http.ServeMux such as "/healthz" or "/debug/": `+reason)
	})
	return patterns
}

func (l *list) ignoredCookies(names []string) []string {
	if names == nil {
		names = DefaultIgnoreCookies()
	}
	names = slices.Clone(names)
	for i, name := range names {
		at := fmt.Sprintf("IgnoreCookies[%d]", i)
		if name == "*" {
			l.Add(at, name, "want names; to ignore every cookie set InsecureShareCookies")
		} else if !field.IsToken(name) || strings.Contains(strings.TrimSuffix(name, "*"), "*") {
			l.Add(at, name, `want the name of a cookie such as "_ga", or its beginning and a * such as "_ga_*"`)
		}
	}
	return names
}

func (l *list) ignoredFields(names []string) []string {
	names = slices.Clone(names)
	for i, name := range names {
		prefix := strings.TrimSuffix(name, "*")
		names[i] = key.Canonical(prefix) + name[len(prefix):]
		at := fmt.Sprintf("IgnoreFields[%d]", i)
		switch {
		case !field.IsToken(prefix) || strings.Contains(prefix, "*"):
			l.Add(at, name, `want the name of a header field such as "HX-Current-URL", or its beginning and a * such as "X-Acme-*"`)
		case !rules.Ignorable(names[i]):
			l.Add(at, name, "want a field that neither the connection nor the cache needs, unlike Host, Range, Authorization and Cookie (for cookies see IgnoreCookies)")
		}
	}
	return names
}

func (l *list) dropped(names []string) []string {
	if names == nil {
		names = rules.DefaultDropFields()
	}
	names = slices.Clone(names)
	for i, name := range names {
		at := fmt.Sprintf("DropHeaders[%d]", i)
		names[i] = http.CanonicalHeaderKey(name)
		switch {
		case name == "*" || !field.IsToken(name) || strings.Contains(strings.TrimSuffix(name, "*"), "*"):
			l.Add(at, name, `want the name of a header field such as "X-Request-Id", or its beginning and a * such as "X-B3-*"`)
		case rules.Needed(names[i]):
			l.Add(at, name, "want a field that a response can be stored without")
		}
	}
	return names
}
