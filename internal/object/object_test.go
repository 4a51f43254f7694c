package object

import (
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/rules"
)

func sealed(status int, text string, header ...string) *Object {
	d := Draft{Status: status, Header: http.Header{}, Body: cut(text)}
	for i := 0; i < len(header); i += 2 {
		d.Header.Add(header[i], header[i+1])
	}
	o := d.Seal()
	return &o
}

func TestSeal(t *testing.T) {
	t.Run("makes the length explicit", func(t *testing.T) {
		require.Equal(t, "4", sealed(200, "page").Header().Get("Content-Length"))
		require.Equal(t, "0", sealed(200, "").Header().Get("Content-Length"))
		require.Equal(t, "4", sealed(200, "page", "Content-Length", "+04").Header().Get("Content-Length"))
		require.Equal(t, "4", sealed(404, "gone").Header().Get("Content-Length"))
		require.Zero(t, sealed(204, "").Header().Len(), "RFC 9110, 8.6: a 204 must not have one")
		require.Zero(t, sealed(304, "").Header().Len())
	})
	t.Run("adds an entity tag if there is no validator", func(t *testing.T) {
		for _, tt := range []struct {
			name   string
			object *Object
			made   bool
		}{
			{"a page without validators gets one", sealed(200, "page"), true},
			{"an empty page gets one", sealed(200, ""), true},
			{"a page with a tag keeps it", sealed(200, "page", "Etag", `"v1"`), false},
			{"a page with a weak tag keeps it", sealed(200, "page", "Etag", `W/"v1"`), false},
			{"a page with a broken tag keeps it", sealed(200, "page", "Etag", `v1`), false},
			{"a page with Last-Modified keeps to that", sealed(200, "page", "Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"), false},
			{"a 404 has no use for one", sealed(404, "gone"), false},
			{"a 204 has nothing to make it of", sealed(204, ""), false},
		} {
			o := tt.object
			tag := o.Validators().ETag
			require.Equal(t, tt.made, o.MadeETag(), tt.name)
			require.Equal(t, tt.made, IsMade(tag), tt.name)
			if tt.made {
				require.Equal(t, tag.String(), o.Header().Get("Etag"), tt.name)
				require.False(t, tag.Weak, tt.name)
				require.False(t, o.Asks(), tt.name)
			}
		}
	})
	t.Run("the tag depends on the bytes and their coding", func(t *testing.T) {
		made := func(b Body, codings ...string) string { return string(appendETag(nil, codings, b)) }
		tag := made(cut("page"))
		require.Equal(t, tag, made(cut("page", 1, 3)), "chunks do not count")
		require.Equal(t, tag, sealed(200, "page", "Content-Language", "en").Header().Get("Etag"), "nor do other fields")
		require.NotEqual(t, tag, made(cut("pagf")))
		require.NotEqual(t, tag, made(cut("page"), "gzip"), "RFC 9110, 8.8.3.3")
		require.NotEqual(t, made(cut("page"), "gzip"), made(cut("page"), "g", "zip"), "lines are not run together")
		require.Regexp(t, `^"ec-[0-9a-f]{24}"$`, tag)
	})
	t.Run("adds a type if there is none", func(t *testing.T) {
		for _, tt := range []struct {
			name   string
			object *Object
			want   string
		}{
			{"a page says by its bytes what it is", sealed(200, "<html>"), "text/html; charset=utf-8"},
			{"so does an error", sealed(404, "gone"), "text/plain; charset=utf-8"},
			{"what is said counts", sealed(200, "<html>", "Content-Type", "text/plain"), "text/plain"},
			{"coded bytes say nothing", sealed(200, "<html>", "Content-Encoding", "gzip"), ""},
			{"nor do none", sealed(200, ""), ""},
		} {
			require.Equal(t, tt.want, tt.object.Header().Get("Content-Type"), tt.name)
		}
		d := Draft{Status: 200, Header: http.Header{"Content-Type": nil}, Body: cut("<html>")}
		o := d.Seal()
		require.Equal(t, []string{}, o.Header().Unpack()["Content-Type"], "the handler forbade it")
	})
	t.Run("does not change the draft", func(t *testing.T) {
		h := http.Header{"Link": {"</a>", "</b>"}, "Content-Length": {"9"}}
		d := Draft{Status: 200, Header: h, Body: cut("page")}
		o := d.Seal()
		require.Equal(t, http.Header{"Link": {"</a>", "</b>"}, "Content-Length": {"9"}}, h)
		h["Link"][0] = "</c>"
		require.Equal(t, "</a>", o.Header().Get("Link"))
	})
	t.Run("allocations", func(t *testing.T) {
		d := Draft{
			Status: 200, Body: cut(strings.Repeat("x", 1<<10)), Scope: "scope", Variant: "variant", Meta: rules.Meta{Vary: []string{"Accept-Encoding", "X-Unheard-Of"}},
			Header: http.Header{"Cache-Control": {"max-age=60"}, "Content-Type": {"text/html"}, "Date": {"Sun, 06 Nov 1994 08:49:37 GMT"}, "X-Unheard-Of": {"1"}},
		}
		if got := testing.AllocsPerRun(100, func() { d.Seal() }); got != 1 {
			t.Errorf("%v allocations, want 1", got)
		}
	})
}

func TestObject(t *testing.T) {
	t.Run("has the selector of its draft", func(t *testing.T) {
		for _, want := range [][]string{nil, {"Accept-Encoding"}, {"Accept", "X-Unheard-Of"}, slices.Repeat([]string{"X-Unheard-Of"}, 64)} {
			d := Draft{Status: 200, Body: cut("page"), Scope: strings.Repeat("s", 200), Variant: "variant", Meta: rules.Meta{Vary: want}}
			o := d.Seal()
			got := o.Selector()
			require.Equal(t, "variant", got.Variant)
			require.Equal(t, strings.Repeat("s", 200), got.Scope)
			require.Equal(t, want, got.Vary.Append(nil))
			require.Equal(t, 3, o.Header().Len())
			again := d.Seal()
			require.Equal(t, got, again.Selector())
		}
	})
	t.Run("IsMade recognises tags of Seal", func(t *testing.T) {
		for opaque, want := range map[string]bool{
			`"ec-0123456789abcdef01234567"`:  true,
			`"ec-0123456789abcdef0123456"`:   false,
			`"ec-0123456789abcdef012345678"`: false,
			`"xx-0123456789abcdef01234567"`:  false,
			`"v1"`:                           false,
			`""`:                             false,
			``:                               false,
		} {
			require.Equal(t, want, IsMade(field.ETag{Opaque: opaque}), opaque)
		}
	})
	// The memory budget counts bytes, so what an object says of itself must not be less than what
	// it keeps.
	t.Run("its size is not less than what it keeps", func(t *testing.T) {
		const objects = 2000
		for _, tt := range []struct {
			name   string
			make   func(i int) *Object
			excess float64 // how much more than what is kept may be charged
		}{
			{"small pages", func(i int) *Object {
				return sealed(200, strconv.Itoa(i), "Cache-Control", "max-age=60", "Content-Type", "text/html")
			}, 1.2},
			{"pages of a few kilobytes with many fields", func(i int) *Object {
				header := []string{}
				for j := range 30 {
					header = append(header, "X-Field-"+strconv.Itoa(j), strings.Repeat("v", j)+strconv.Itoa(i))
				}
				return sealed(200, strings.Repeat("x", 3000), header...)
			}, 1.2},
			{"variants", func(i int) *Object {
				d := Draft{Status: 200, Variant: strings.Repeat("v", 500) + strconv.Itoa(i), Scope: strings.Repeat("s", 500) + strconv.Itoa(i)}
				d.Meta.Vary = []string{strings.Repeat("n", 100) + strconv.Itoa(i)}
				o := d.Seal()
				return &o
			}, 1.2},
		} {
			kept := make([]*Object, objects)
			charged := int64(0)
			before := heap()
			for i := range kept {
				kept[i] = tt.make(i)
				charged += kept[i].Size()
			}
			used := float64(heap() - before)
			runtime.KeepAlive(kept)
			if got := float64(charged); got < used || got > used*tt.excess {
				t.Errorf("%s: %.0f bytes are charged for %.0f", tt.name, got/objects, used/objects)
			}
		}
	})
	t.Run("BodyAllowed", func(t *testing.T) {
		for status, want := range map[int]bool{200: true, 204: false, 304: false, 404: true, 500: true, 103: false, 205: true} {
			require.Equal(t, want, BodyAllowed(status), status)
		}
	})
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools hold goes with the second
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
