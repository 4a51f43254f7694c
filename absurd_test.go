package edgecache_test

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// absurdity is a request, or a response, that no sane program makes.
type absurdity struct {
	method   string
	target   string
	host     string
	request  http.Header
	response http.Header
}

func repeated(n int, format string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(parts, ", ")
}

func manyFields(n, size int) http.Header {
	h := make(http.Header, n)
	for i := range n {
		h.Set(fmt.Sprintf("X-Field-%d", i), strings.Repeat("v", size))
	}
	return h
}

// absurdities are kept one step past every limit of the parsers, and at sizes that net/http lets through when its own limit is raised.
var absurdities = map[string]absurdity{
	"a plain request":             {}, // what the others are compared with
	"1 MiB of headers":            {request: manyFields(1024, 1000)},
	"1 MiB in one field":          {request: http.Header{"X-Field": {strings.Repeat("v", 1<<20)}}},
	"1000 lines of one field":     {request: http.Header{"X-Field": strings.Split(strings.Repeat("v,", 1000), ",")}},
	"10 000 query pairs":          {target: "/?" + strings.ReplaceAll(repeated(10_000, "k%d=v"), ", ", "&")},
	"a path of 100 KB":            {target: "/" + strings.Repeat("segment/", 12_500)},
	"a path of 100 000 slashes":   {target: strings.Repeat("/", 100_000)},
	"NUL in the path":             {target: "/%00%00"},
	"an encoded slash":            {target: "/a%2fb%2F"},
	"absolute-form":               {target: "http://a.test/x"},
	"absolute-form of HTTPS":      {target: "https://a.test/x"},
	"absolute-form and Host":      {target: "http://a.test/x", host: "b.test"},
	"a host of dots":              {host: "...."},
	"a host that is none":         {host: "a.test:port:80"},
	"a cookie of 100 KB":          {request: http.Header{"Cookie": {"session=" + strings.Repeat("v", 100_000)}}},
	"10 000 cookies":              {request: http.Header{"Cookie": {strings.ReplaceAll(repeated(10_000, "_ga_%d=v"), ", ", "; ")}}},
	"10 000 directives asked":     {request: http.Header{"Cache-Control": {repeated(10_000, "x%d=1")}}},
	"10 000 entity tags":          {request: http.Header{"If-None-Match": {repeated(10_000, `"t%d"`)}}},
	"10 000 types":                {request: http.Header{"Accept": {repeated(10_000, "text/t%d;q=0.5")}}, response: http.Header{"Vary": {"Accept"}}},
	"10 000 codings":              {request: http.Header{"Accept-Encoding": {repeated(10_000, "c%d;q=0.5")}}, response: http.Header{"Vary": {"Accept-Encoding"}}},
	"10 000 languages":            {request: http.Header{"Accept-Language": {repeated(10_000, "l%d")}}, response: http.Header{"Vary": {"Accept-Language"}}},
	"1300 ranges":                 {request: http.Header{"Range": {"bytes=" + strings.ReplaceAll(repeated(1300, "%d-"), " ", "")}}},
	"a range past all numbers":    {request: http.Header{"Range": {"bytes=99999999999999999999-"}}},
	"an open quote":               {request: http.Header{"Cache-Control": {`no-cache="` + strings.Repeat(`\"`, 50_000)}}},
	"10 000 proxies":              {request: http.Header{"Forwarded": {repeated(10_000, "for=10.0.0.%d;host=h")}}},
	"10 000 proxied addresses":    {request: http.Header{"X-Forwarded-For": {repeated(10_000, "10.0.0.%d")}}},
	"a date of 100 KB":            {request: http.Header{"If-Modified-Since": {strings.Repeat("Sat, ", 20_000)}}},
	"Vary of 1000 names":          {response: http.Header{"Vary": {repeated(1000, "X-%d")}}},
	"a lifetime past all numbers": {response: http.Header{"Cache-Control": {"max-age=99999999999999999999"}}},
	"a negative lifetime":         {response: http.Header{"Cache-Control": {"max-age=-99999999999999999999"}}},
	"an age past all numbers":     {response: http.Header{"Age": {"99999999999999999999"}}},
	"10 000 directives":           {response: http.Header{"Cache-Control": {repeated(10_000, "x%d=1")}}},
	"10 000 tags":                 {response: http.Header{"Cache-Groups": {repeated(10_000, `"t%d"`)}}},
	"a response of 1000 fields":   {response: manyFields(1000, 100)},
	"an entity tag of 100 KB":     {response: http.Header{"Etag": {`"` + strings.Repeat("t", 100_000) + `"`}}},
	"an open quote in a response": {response: http.Header{"Cache-Control": {`private="` + strings.Repeat(`\"`, 50_000)}}},
	"100 KB in CDN-Cache-Control": {response: http.Header{"Cdn-Cache-Control": {strings.Repeat("a;b;c, ", 14_000) + "max-age=1"}}},
	"a method of 10 KB":           {method: strings.Repeat("M", 10_000)},
}

// text is the request as it comes over a connection.
func (a *absurdity) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", cmp.Or(a.method, "GET"), cmp.Or(a.target, "/"), cmp.Or(a.host, "a.test"))
	_ = a.request.Write(&b) // a Builder never fails
	return b.String() + "\r\n"
}

func readRequest(t testing.TB, text string) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	require.NoError(t, err)
	return r
}

func (a *absurdity) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	typed(w)
	maps.Copy(w.Header(), a.response.Clone())
	fmt.Fprintf(w, "%s %d bytes of target, %d fields, %s", r.Method[:3], len(r.RequestURI), len(r.Header), strings.Repeat("page ", 200))
}

// An absurd request gets what the handler alone would answer: the first time, and from the store.
func TestAbsurdRequests(t *testing.T) {
	for name, a := range absurdities {
		t.Run(name, func(t *testing.T) {
			want := httptest.NewRecorder()
			a.ServeHTTP(want, readRequest(t, a.text()))
			cached := edgecache.Cache(&a)
			for i := range 3 {
				got := httptest.NewRecorder()
				cached.ServeHTTP(got, readRequest(t, a.text()))
				require.Len(t, got.Header()["X-Cache"], 1)
				if got.Code == http.StatusPartialContent || got.Code == http.StatusRequestedRangeNotSatisfiable {
					require.Contains(t, a.request, "Range")
					continue
				}
				if got.Code != want.Code || partsDiffer(got.Body.String(), want.Body.String()) {
					t.Errorf("time %d: got %d %.100q, want %d %.100q", i, got.Code, got.Body, want.Code, want.Body)
				}
				for field, values := range want.Header() {
					if field != "Age" && !slices.Equal(got.Header()[field], values) {
						t.Errorf("time %d: %s: got %.100q, want %.100q", i, field, got.Header()[field], values)
					}
				}
			}
		})
	}
}

// partsDiffer leaves the number of fields out: a fill takes conditions and ranges off.
func partsDiffer(got, want string) bool {
	first := strings.Split(got, ", ")
	second := strings.Split(want, ", ")
	return len(first) != len(second) || first[0] != second[0] || first[2] != second[2]
}

// What a request costs on top of reading it over a connection, which both ways pay alike: compare alone, hit and pass (a page that is not stored) of each absurdity with those of the plain request.
func BenchmarkAbsurd(b *testing.B) {
	for _, name := range slices.Sorted(maps.Keys(absurdities)) {
		a := absurdities[name]
		text := a.text()
		run := func(h http.Handler) func(*testing.B) {
			return func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					r := readRequest(b, text)
					h.ServeHTTP(&harness.Sink{Fields: http.Header{}}, r)
				}
			}
		}
		b.Run(name+"/alone", run(&a))
		b.Run(name+"/hit", run(edgecache.Cache(&a)))
		b.Run(name+"/pass", run(edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			edgecache.NoStore(w)
			a.ServeHTTP(w, r)
		}))))
	}
}
