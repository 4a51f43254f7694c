package object

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/rules"
)

func sealed(status int, text string, header ...string) *Object {
	o := &Object{Status: status, Header: http.Header{}, Body: cut(text)}
	for i := 0; i < len(header); i += 2 {
		o.Header.Add(header[i], header[i+1])
	}
	o.Seal()
	return o
}

func TestSealMakesTheLengthExplicit(t *testing.T) {
	require.Equal(t, "4", sealed(200, "page").Header.Get("Content-Length"))
	require.Equal(t, "0", sealed(200, "").Header.Get("Content-Length"))
	require.Equal(t, "4", sealed(200, "page", "Content-Length", "+04").Header.Get("Content-Length"))
	require.Equal(t, "4", sealed(404, "gone").Header.Get("Content-Length"))
	require.Empty(t, sealed(204, "").Header, "RFC 9110, 8.6: a 204 must not have one")
	require.Empty(t, sealed(304, "").Header)
}

func TestSealGivesATagToWhatHasNoValidator(t *testing.T) {
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
		require.Equal(t, tt.made, o.MadeETag, tt.name)
		require.Equal(t, tt.made, IsMade(o.Meta.ETag), tt.name)
		if tt.made {
			require.Equal(t, o.Meta.ETag.String(), o.Header.Get("Etag"), tt.name)
			require.False(t, o.Meta.ETag.Weak, tt.name)
			parsed, ok := field.ParseETag(o.Header.Get("Etag"))
			require.True(t, ok, tt.name)
			require.Equal(t, o.Meta.ETag, parsed, tt.name)
		}
	}
}

func TestMadeTagIsOfTheBytesAndTheirCoding(t *testing.T) {
	plain := http.Header{"Content-Type": {"text/html"}}
	gzip := http.Header{"Content-Encoding": {"gzip"}}
	tag := MakeETag(plain, cut("page"))
	require.Equal(t, tag, MakeETag(http.Header{}, cut("page", 1, 3)), "neither chunks nor other fields count")
	require.NotEqual(t, tag, MakeETag(plain, cut("pagf")))
	require.NotEqual(t, tag, MakeETag(gzip, cut("page")), "RFC 9110, 8.8.3.3")
	require.NotEqual(t, MakeETag(gzip, cut("page")), MakeETag(http.Header{"Content-Encoding": {"g", "zip"}}, cut("page")), "lines are not run together")
	require.Regexp(t, `^"ec-[0-9a-f]{24}"$`, tag.Opaque)
}

func TestIsMadeTellsMadeTagsFromOthers(t *testing.T) {
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
}

func TestCopyHeaderReplacesWhatIsThereAndSharesNothing(t *testing.T) {
	o := sealed(200, "page", "Link", "</a>", "Link", "</b>", "Etag", `"1"`)
	dst := http.Header{"Link": {"</c>"}, "X-Request-Id": {"7"}}
	room := o.CopyHeader(dst, 2)
	require.Equal(t, http.Header{"Link": {"</a>", "</b>"}, "Etag": {`"1"`}, "Content-Length": {"4"}, "X-Request-Id": {"7"}}, dst)
	require.Empty(t, room)
	require.GreaterOrEqual(t, cap(room), 2)

	dst["Link"] = append(dst["Link"], "</d>") // must not run into the next value
	dst["Link"][0] = "</e>"
	room = append(room, "age", "status")
	require.Equal(t, []string{"age", "status"}, room)
	require.Equal(t, []string{`"1"`}, dst["Etag"])
	require.Equal(t, []string{"</a>", "</b>"}, o.Header["Link"])
	again := http.Header{}
	o.CopyHeader(again, 0)
	require.Equal(t, []string{"</a>", "</b>"}, again["Link"])
}

// An empty list says that the handler forbade net/http to add the field.
func TestCopyHeaderKeepsEmptyLists(t *testing.T) {
	o := &Object{Status: 200, Header: http.Header{"Date": nil}}
	o.Seal()
	dst := http.Header{}
	o.CopyHeader(dst, 0)
	values, ok := dst["Date"]
	require.True(t, ok)
	require.Empty(t, values)
}

func TestCopyHeaderAllocatesOnce(t *testing.T) {
	o := sealed(200, "page", "Link", "</a>", "Link", "</b>", "Cache-Control", "max-age=60", "Content-Type", "text/html")
	dst := http.Header{}
	o.CopyHeader(dst, 3)
	if got := testing.AllocsPerRun(100, func() { o.CopyHeader(dst, 3) }); got != 1 {
		t.Errorf("%v allocations, want 1", got)
	}
}

// The memory budget counts bytes, so what an object says of itself must not be less than what it keeps.
func TestSizeIsNotLessThanWhatIsKept(t *testing.T) {
	const objects = 2000
	for _, tt := range []struct {
		name   string
		make   func(i int) *Object
		excess float64 // how much more than what is kept may be charged
	}{
		{"small pages", func(i int) *Object {
			return sealed(200, strconv.Itoa(i), "Cache-Control", "max-age=60", "Content-Type", "text/html")
		}, 2},
		{"pages of a few kilobytes with many fields", func(i int) *Object {
			header := []string{}
			for j := range 30 {
				header = append(header, "X-Field-"+strconv.Itoa(j), strings.Repeat("v", j)+strconv.Itoa(i))
			}
			return sealed(200, strings.Repeat("x", 3000), header...)
		}, 2},
		{"variants", func(i int) *Object {
			o := &Object{Status: 200, Header: http.Header{}, Variant: strings.Repeat("v", 500) + strconv.Itoa(i), Scope: strings.Repeat("s", 500) + strconv.Itoa(i)}
			o.Meta = rules.Meta{Vary: []string{strings.Repeat("n", 100) + strconv.Itoa(i)}}
			o.Seal()
			return o
		}, 2},
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
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestBodyAllowed(t *testing.T) {
	for status, want := range map[int]bool{200: true, 204: false, 304: false, 404: true, 500: true, 103: false, 205: true} {
		require.Equal(t, want, BodyAllowed(status), status)
	}
}
