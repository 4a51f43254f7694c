package record

import (
	"maps"
	"net/http"
	"strings"

	"github.com/edgecache-go/edgecache/internal/field"
)

// Yield hands the header over to the client's writer, for a handler that has returned without
// writing. From now on Header is that of the client's writer. The Judge still decides about a
// status that comes later.
func (f *Fill) Yield() {
	f.ReplaceHeader(f.outer)
	f.header, f.yielded = f.outer, true
}

// ReplaceHeader makes dst equal to the handler's header: as it was when the status was set if the
// body is kept, else as it is now. What middleware outside has put into Vary stays, whatever the
// handler did to it, because the response still depends on it.
func (f *Fill) ReplaceHeader(dst http.Header) {
	if f.yielded {
		return // it is the same map
	}
	clear(dst)
	if f.said == nil {
		maps.Copy(dst, f.header)
	}
	for i := range f.said {
		dst[f.said[i].name] = f.said[i].values
	}
	f.UniteVary(dst)
}

// UniteVary adds to h what middleware outside has put into Vary, if it is missing.
func (f *Fill) UniteVary(h http.Header) {
	if len(f.vary) > 0 {
		h["Vary"] = field.UniteVary(f.vary, h["Vary"])
	}
}

// OuterVary is what middleware outside has put into Vary.
func (f *Fill) OuterVary() []string { return f.vary }

// Own returns the fields that the handler itself has set, and what it did to those of middleware
// outside, see Given.
func (f *Fill) Own() (http.Header, field.Edits) { return f.given.own(f.header, f.room.values[:]) }

// Said is what Header had under that name when the handler set its status. It is for kept responses
// only.
func (f *Fill) Said(name string) []string {
	for i := range f.said {
		if f.said[i].name == name {
			return f.said[i].values
		}
	}
	return nil
}

// Trailers adds the handler's trailers to the client's header, where net/http looks for them after
// the body.
func (f *Fill) Trailers() {
	dst := f.w.Header()
	for name := range field.Members(f.header["Trailer"]) {
		name = http.CanonicalHeaderKey(name)
		if values, ok := f.header[name]; ok {
			dst[name] = values
		}
	}
	for name, values := range f.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			dst[name] = values
		}
	}
}

// saidField is a field as it was when the handler set its status.
type saidField struct {
	name   string
	values []string
}
