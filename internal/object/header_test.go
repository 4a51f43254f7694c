package object

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/field"
)

// headers has one of each kind.
var headers = map[string]http.Header{
	"no field":                       {},
	"a well-known name":              {"Content-Type": {"text/html"}},
	"another name":                   {"X-Unheard-Of": {"1"}},
	"names around the well-known":    {"A": {"1"}, "Accept": {"2"}, "Zz": {"3"}, "X-Xss-Protection": {"4"}},
	"values in their order":          {"Link": {"</b>", "</a>", "</b>", ""}},
	"a field without values":         {"Date": {}, "Etag": {`"1"`}, "X-Nothing": {}},
	"a name that is not canonical":   {"etag": {"1"}, "Etag": {"2"}, " ": {"3"}},
	"texts of more than 127 bytes":   {strings.Repeat("X", 300): {strings.Repeat("v", 127), strings.Repeat("v", 128), strings.Repeat("v", 1<<15)}},
	"more than 127 values":           {"Link": slices.Repeat([]string{"v"}, 200), "Via": {"1"}},
	"bytes that are no text":         {"X-\x00\xff": {"\x00\xff\x80"}},
	"as many fields as on the stack": many(32),
	"more":                           many(33),
	"hundreds":                       many(400),
}

func many(n int) http.Header {
	h := http.Header{}
	for i := range n {
		h["X-"+strings.Repeat("n", i)] = []string{strings.Repeat("v", i)}
	}
	return h
}

func TestHeader(t *testing.T) {
	t.Run("Unpack is the reverse of Pack", func(t *testing.T) {
		for name, h := range headers {
			packed := Pack(h)
			if got := packed.Unpack(); !reflect.DeepEqual(got, h) {
				t.Errorf("%s: got %q, want %q", name, got, h)
			}
			if got := packed.Len(); got != len(h) {
				t.Errorf("%s: got %d fields, want %d", name, got, len(h))
			}
			if got := Pack(packed.Unpack()); got != packed {
				t.Errorf("%s: packed again it is another", name)
			}
		}
		var zero Header
		require.Equal(t, http.Header{}, zero.Unpack())
		require.Empty(t, zero.Get("Etag"))
		require.Zero(t, zero.Len())
	})
	t.Run("Get returns the first value of each field", func(t *testing.T) {
		for name, h := range headers {
			packed := Pack(h)
			last := ""
			for field, values := range packed.All() {
				if got := packed.append(nil, field); !slices.Equal(got, h[field]) || !slices.Equal(values, h[field]) {
					t.Errorf("%s: %q: got %q and %q, want %q", name, field, got, values, h[field])
				}
				want := ""
				if len(h[field]) > 0 {
					want = h[field][0]
				}
				if got := packed.Get(field); got != want {
					t.Errorf("%s: %q: got %q, want %q", name, field, got, want)
				}
				if field <= last && last != "" {
					t.Errorf("%s: %q comes after %q", name, field, last)
				}
				last = field
			}
			if got := packed.Get("X-Absent"); got != "" {
				t.Errorf("%s: got %q for what is not there", name, got)
			}
		}
	})
	t.Run("well-known names are sorted and canonical", func(t *testing.T) {
		require.True(t, slices.IsSorted(wellKnown[:]))
		require.Less(t, len(wellKnown), 0x80-30, "they, and the lengths of most others, are to fit a byte")
		for i, name := range wellKnown {
			require.Equal(t, http.CanonicalHeaderKey(name), name)
			require.Equal(t, []byte{byte(i)}, appendName(nil, name))
		}
	})
	t.Run("CopyTo replaces fields and shares nothing", func(t *testing.T) {
		h := Pack(http.Header{"Link": {"</a>", "</b>"}, "Etag": {`"1"`}, "Content-Length": {"4"}})
		dst := http.Header{"Link": {"</c>"}, "X-Request-Id": {"7"}}
		room := h.CopyTo(dst, 2)
		require.Equal(t, http.Header{"Link": {"</a>", "</b>"}, "Etag": {`"1"`}, "Content-Length": {"4"}, "X-Request-Id": {"7"}}, dst)
		require.Empty(t, room)
		require.GreaterOrEqual(t, cap(room), 2)

		dst["Link"] = append(dst["Link"], "</d>") // must not run into the next value
		dst["Link"][0] = "</e>"
		room = append(room, "age", "status")
		require.Equal(t, []string{"age", "status"}, room)
		require.Equal(t, []string{`"1"`}, dst["Etag"])
		require.Equal(t, []string{"</a>", "</b>"}, h.Unpack()["Link"])
		require.GreaterOrEqual(t, cap(Header{}.CopyTo(dst, 3)), 3)
	})
	// An empty list says that the handler forbade net/http to add the field.
	t.Run("CopyTo keeps empty lists", func(t *testing.T) {
		dst := http.Header{}
		Pack(http.Header{"Date": nil}).CopyTo(dst, 0)
		values, ok := dst["Date"]
		require.True(t, ok)
		require.NotNil(t, values)
		require.Empty(t, values)
	})
	t.Run("CopyTo allocates once", func(t *testing.T) {
		h := Pack(http.Header{"Link": {"</a>", "</b>"}, "Cache-Control": {"max-age=60"}, "X-Unheard-Of": {"1"}})
		dst := http.Header{}
		h.CopyTo(dst, 3)
		if got := testing.AllocsPerRun(100, func() { h.CopyTo(dst, 3) }); got != 1 {
			t.Errorf("%v allocations, want 1", got)
		}
		if got := testing.AllocsPerRun(100, func() { _ = h.Get("X-Unheard-Of") }); got != 0 {
			t.Errorf("Get: %v allocations, want none", got)
		}
	})
	t.Run("takes little more than its text", func(t *testing.T) {
		h := http.Header{"Content-Type": {"text/html"}, "Cache-Control": {"max-age=60"}, "X-Unheard-Of": {"1"}}
		text := len("text/html") + len("max-age=60") + len("X-Unheard-Of") + len("1")
		if got, most := len(Pack(h).packed), text+1+3*len(h); got > most {
			t.Errorf("%d bytes for a text of %d, want at most %d", got, text, most)
		}
	})
	// What a response does to the fields of middleware outside takes place in one pass, and costs
	// no allocation more.
	t.Run("CopyTo applies edits", func(t *testing.T) {
		fields := http.Header{"Link": {"</b>", "</c>"}, "Via": {"1.1 b"}, "Cache-Control": {"max-age=1"}, "Server": {"s"}, "A": {"1"}, "Warning": {"1"}}
		edits := field.Edits{
			"Warning": field.Before, "Link": field.Added, "Via": field.Added, "X-Frame-Options": field.Removed, "Cache-Control": field.Overrode,
			"Content-Type": field.Left, "x-odd": field.Removed, "B": field.Added,
		}
		packed := Header{string(appendHeader(nil, fields, edits, &own{}))}
		require.Equal(t, edits, packed.Edits())
		require.Equal(t, field.Added, packed.Edit("Link"))
		require.Zero(t, packed.Edit("Server"))
		require.Equal(t, len(fields), packed.Len())
		require.Equal(t, fields, packed.Unpack())
		require.Equal(t, "max-age=1", packed.Get("Cache-Control"))
		for _, outer := range []http.Header{
			{},
			{"Server": {"t"}},
			{"Link": {"</a>"}, "X-Frame-Options": {"DENY"}, "x-odd": {"1"}, "Content-Type": {"text/css"}, "Cache-Control": {"no-store"}},
			{"Link": {"</a>", "</x>"}, "Via": {"1.0 a"}, "B": {"2"}, "Date": {"now"}, "Warning": {"2", "3"}},
		} {
			want := outer.Clone()
			edits.Apply(want, fields)
			got := outer.Clone()
			room := packed.CopyTo(got, 2)
			require.Equal(t, want, got)
			require.Empty(t, room)
			require.GreaterOrEqual(t, cap(room), 2)
			got["Link"] = append(got["Link"], "</more>")
			require.Equal(t, "1.1 b", got["Via"][len(got["Via"])-1], "one list does not run into the next")
		}
		dst := http.Header{"Link": {"</a>"}}
		if got := testing.AllocsPerRun(100, func() { dst["Link"] = dst["Link"][:1]; packed.CopyTo(dst, 3) }); got != 1 {
			t.Errorf("got %v allocations, want 1", got)
		}
		require.Nil(t, Pack(fields).Edits())
		require.Zero(t, Header{}.Edit("Link"))
		require.Equal(t, Header{}.Len(), Pack(http.Header{"": {"no field"}}).Len())
	})
}

// FuzzHeader: unpack(pack(h)) = h. Each line of text is a name, a tab, and values with tabs
// between.
func FuzzHeader(f *testing.F) {
	for _, h := range headers {
		var lines []string
		for name, values := range h {
			lines = append(lines, strings.Join(append([]string{name}, values...), "\t"))
		}
		f.Add(strings.Join(lines, "\n"), "Etag")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		h := http.Header{}
		for line := range strings.SplitSeq(text, "\n") {
			parts := strings.Split(line, "\t")
			if parts[0] != "" { // which is no field
				h[parts[0]] = parts[1:]
			}
		}
		packed := Pack(h)
		if got := packed.Unpack(); !reflect.DeepEqual(got, h) {
			t.Fatalf("got %q, want %q", got, h)
		}
		if got := packed.append(nil, name); !slices.Equal(got, h[name]) {
			t.Fatalf("%q: got %q, want %q", name, got, h[name])
		}
		d := Draft{Status: 200, Header: h, Body: cut(text), Scope: name, Variant: text}
		d.Meta.Vary = strings.Split(text, "\n")
		o := d.Seal()
		s := o.Selector()
		if s.Scope != name || s.Variant != text || !slices.Equal(s.Vary.Append(nil), d.Meta.Vary) {
			t.Fatalf("got %q, want %q, %q and %q", s, name, text, d.Meta.Vary)
		}
		stored := o.Header().Unpack()
		for name, values := range h {
			if name != "Content-Length" && name != "Etag" && name != "Content-Type" && !slices.Equal(stored[name], values) {
				t.Fatalf("%q: got %q, want %q", name, stored[name], values)
			}
		}
	})
}
