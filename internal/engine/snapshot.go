package engine

import (
	"net/http"
	"reflect"
	"strings"

	"github.com/edgecache-go/edgecache/internal/key"
)

// requestSnapshot is what the header of a request said when its handler began. By that it is decided for whom the page is, not by what the handler has made of the header by then.
type requestSnapshot struct {
	taken bool // else nobody changes the header
	lines []line
	array [16]line // for lines, as a rule
}

// line is one of the lines of a field.
type line struct{ name, value string }

// take notes all lines of h, and reports whether that was possible. It is not for a header with conditions or ranges, which are not for a handler that makes the whole page, nor for a field without any line, which is none but is there, nor for names that are not canonical.
// A copy of the map would do as well, at several times the cost.
func (a *requestSnapshot) take(h http.Header) bool {
	a.lines = a.array[:0]
	for name, values := range h {
		if len(values) == 0 {
			return false
		}
		switch name {
		case "If-None-Match", "If-Modified-Since", "If-Range", "Range":
			return false
		}
		for _, value := range values {
			a.lines = append(a.lines, line{name, value})
		}
	}
	a.taken = true
	return true
}

// writerIgnoresRequest reports whether w is known not to look at its request's header when it writes: the pump writes while the handler may change that header. Those of net/http are; others,
// which middleware outside has put there, may look.
func writerIgnoresRequest(w http.ResponseWriter) bool {
	t := reflect.TypeOf(w)
	return t.Kind() == reflect.Pointer && (t.Elem().PkgPath() == "net/http" || strings.HasPrefix(t.Elem().PkgPath(), "net/http/"))
}

// variant returns which variant of a page the request with the header h is for.
func (a *requestSnapshot) variant(vary []string, h http.Header, fields *key.Fields) string {
	if len(vary) == 0 {
		return ""
	}
	if a.taken {
		h = a.header(vary)
	}
	var buf [256]byte
	return string(key.Values(buf[:0], vary, h, fields))
}

// request returns r, the client's request, as it was when its handler began.
func (a *requestSnapshot) request(r *http.Request) *http.Request {
	if !a.taken {
		return r
	}
	r = r.WithContext(r.Context())
	r.Header = make(http.Header, len(a.lines))
	for _, l := range a.lines {
		r.Header[l.name] = append(r.Header[l.name], l.value)
	}
	return r
}

// header returns those fields that were taken and are named.
func (a *requestSnapshot) header(names []string) http.Header {
	h := make(http.Header, len(names))
	for _, name := range names {
		for _, l := range a.lines {
			if l.name == name {
				h[name] = append(h[name], l.value)
			}
		}
	}
	return h
}
