package engine_test

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestRequest(t *testing.T) {
	t.Run("absurd requests get what the handler alone would answer", absurdRequestsGetWhatTheHandlerAloneWouldAnswer)
	t.Run("an upgrade that is not needed does not keep a request from the cache (RFC 9110, 7.8)", anUpgradeThatIsNotNeededDoesNotKeepARequestFromTheCache)
	t.Run("fields that Connection names are taken off before the lookup (RFC 9110, 7.6.1)", fieldsThatConnectionNamesAreTakenOffBeforeTheLookup)
	t.Run("a Connection that names a deciding field is passed on", aConnectionThatNamesADecidingFieldIsPassedOn)
	t.Run("a body that turns out to be empty does not count", aBodyThatTurnsOutToBeEmptyDoesNotCount)
	t.Run("a body of unknown length reaches the handler whole", aBodyOfUnknownLengthReachesTheHandlerWhole)
	t.Run("a body that does not come is not waited for", aBodyThatDoesNotComeIsNotWaitedFor)
	t.Run("a panic of the body is the panic of its request", aPanicOfTheBodyIsThePanicOfItsRequest)
	t.Run("an HTTP2 request with an empty body is served from the cache", anHTTP2RequestWithAnEmptyBodyIsServedFromTheCache)
}

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

// absurdities are kept one step past every limit of the parsers, and at sizes that net/http lets
// through when its own limit is raised.
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
func absurdRequestsGetWhatTheHandlerAloneWouldAnswer(t *testing.T) {
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

// partsDiffer leaves the number of fields out: a fetch takes conditions and ranges off.
func partsDiffer(got, want string) bool {
	first := strings.Split(got, ", ")
	second := strings.Split(want, ", ")
	return len(first) != len(second) || first[0] != second[0] || first[2] != second[2]
}

// What a request costs on top of reading it over a connection, which both ways pay alike: compare
// alone, hit and pass (a page that is not stored) of each absurdity with those of the plain
// request.
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

// RFC 9110, 7.8: Upgrade may be ignored, and says nothing without the connection option, nor that
// without it.
func anUpgradeThatIsNotNeededDoesNotKeepARequestFromTheCache(t *testing.T) {
	for _, fields := range [][]string{
		{"Connection", "upgrade"},
		{"Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "HTTP2-Settings", "AAEAAEAA"},
		{"Connection", "Upgrade", "Upgrade", "TLS/1.2"},
		{"Connection", "close, X-Custom", "X-Custom", "1"},
	} {
		var seen http.Header
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			seen = r.Header.Clone()
			fmt.Fprint(w, "page")
		})
		harness.Want(t, s.Get("/", fields...), "MISS", 200, "page")
		for _, name := range []string{"Upgrade", "Http2-Settings", "X-Custom"} {
			assert.NotContains(t, seen, name, "the handler makes a page for all")
		}
		harness.Want(t, s.Get("/", fields...), "HIT", 200, "page")
		harness.Want(t, s.Get("/"), "HIT", 200, "page")
		r := httptest.NewRequest("GET", "/", nil)
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		assert.Equal(t, edgecache.Hit, s.Edge.Explain(r).Status)
	}
}

// RFC 9110, 7.6.1: what Connection names is not for the handler, so it decides about nothing.
func fieldsThatConnectionNamesAreTakenOffBeforeTheLookup(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Language, X-Kind")
		w.Header().Set("Cache-Control", "max-age=600")
		fmt.Fprintf(w, "%q %q", r.Header.Get("Accept-Language"), r.Header.Get("X-Kind"))
	}))
	defer origin.Close()
	target, err := url.Parse(origin.URL)
	require.NoError(t, err)
	for name, handler := range map[string]http.Handler{
		"in front of a proxy":   httputil.NewSingleHostReverseProxy(target),
		"in front of a handler": origin.Config.Handler,
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(edgecache.Cache(handler))
			defer server.Close()
			named := http.Header{"Accept-Language": {"de"}, "X-Kind": {"a"}, "Connection": {"Accept-Language, x-kind"}}
			assert.Equal(t, `MISS "" ""`, askServer(t, server, named))
			assert.Equal(t, `HIT "" ""`, askServer(t, server, named))
			assert.Equal(t, `HIT "" ""`, askServer(t, server, http.Header{}))
			assert.Equal(t, `MISS "de" "a"`, askServer(t, server, http.Header{"Accept-Language": {"de"}, "X-Kind": {"a"}}))
		})
	}
}

// A request that would become another one without what Connection names reaches the handler as it
// came.
func aConnectionThatNamesADecidingFieldIsPassedOn(t *testing.T) {
	for _, field := range []string{"Cookie", "Authorization", "X-Api-Key", "X-Forwarded-Host", "Forwarded", "X-Forwarded-For", "If-None-Match", "Cache-Control"} {
		var seen string
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			seen = r.Header.Get(field)
			w.Header().Set("Cache-Control", "public, max-age=60")
			fmt.Fprint(w, "page")
		})
		for range 2 {
			harness.Want(t, s.Get("/", "Connection", field, field, "for=a"), "DYNAMIC", 200, "page")
			assert.Equal(t, "for=a", seen, field)
		}
		assert.Zero(t, s.Edge.Stats().Entries)
	}
}

// bodyFunc is a body.
type bodyFunc func(p []byte) (int, error)

func (f bodyFunc) Read(p []byte) (int, error) { return f(p) }
func (f bodyFunc) Close() error               { return nil }

// unread is a request whose body has no length, as from HTTP/2 and HTTP/3.
func unread(method string, body io.ReadCloser) *http.Request {
	r := httptest.NewRequest(method, "/", nil)
	r.Body, r.ContentLength = body, -1
	return r
}

func aBodyThatTurnsOutToBeEmptyDoesNotCount(t *testing.T) {
	for _, method := range []string{"GET", "HEAD"} {
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			fmt.Fprint(w, r.ContentLength, " ", string(text))
		})
		harness.Want(t, s.Get("/"), "MISS", 200, "0 ")
		for range 2 {
			w := httptest.NewRecorder()
			r := unread(method, io.NopCloser(strings.NewReader("")))
			s.Handler.ServeHTTP(w, r)
			assert.Equal(t, "HIT", w.Header().Get("X-Cache"))
		}
		w := httptest.NewRecorder()
		r := unread("GET", io.NopCloser(strings.NewReader("")))
		r.URL.Path, r.RequestURI = "/other", "/other"
		s.Handler.ServeHTTP(w, r)
		assert.Equal(t, "MISS", w.Header().Get("X-Cache"))
		assert.Equal(t, "0 ", w.Body.String(), "the handler is not told of a body that there is not")
	}
}

func aBodyOfUnknownLengthReachesTheHandlerWhole(t *testing.T) {
	broken := errors.New("broken")
	once := func(p []byte, n int, err error) bodyFunc {
		given := false
		return func(dst []byte) (int, error) {
			if given {
				return 0, io.EOF
			}
			given = true
			return copy(dst, p[:n]), err
		}
	}
	for _, row := range []struct {
		name string
		body io.ReadCloser
		edit func(r *http.Request)
		want string
	}{
		{"a byte", io.NopCloser(strings.NewReader("a")), nil, "a <nil>"},
		{"more", io.NopCloser(strings.NewReader("a longer one")), nil, "a longer one <nil>"},
		{"a byte that comes with the end", once([]byte("a"), 1, io.EOF), nil, "a <nil>"},
		{"one that breaks off before it begins", once(nil, 0, broken), nil, " broken"},
		{"nothing at first", once(nil, 0, nil), nil, " <nil>"},
		{"one that the client sends when it is asked to", io.NopCloser(strings.NewReader("")), func(r *http.Request) { r.Header.Set("Expect", "100-continue") }, " <nil>"},
		{"one with trailers", io.NopCloser(strings.NewReader("")), func(r *http.Request) { r.Trailer = http.Header{"X-A": nil} }, " <nil>"},
		{"one in chunks", io.NopCloser(strings.NewReader("")), func(r *http.Request) { r.TransferEncoding = []string{"chunked"} }, " <nil>"},
		{"none at all", nil, nil, " <nil>"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				var text []byte
				var err error
				if r.Body != nil {
					text, err = io.ReadAll(r.Body)
				}
				fmt.Fprint(w, string(text), " ", err)
			})
			harness.Want(t, s.Get("/"), "MISS", 200, " <nil>")
			r := unread("GET", row.body)
			if row.edit != nil {
				row.edit(r)
			}
			w := httptest.NewRecorder()
			s.Handler.ServeHTTP(w, r)
			assert.Equal(t, row.want, w.Body.String())
			assert.Equal(t, "DYNAMIC", w.Header().Get("X-Cache"))
			assert.Contains(t, w.Header().Get("Cache-Status"), "detail=request-body")
		})
	}
}

// A client that sends its body when it has got an answer, or never, waits for a second.
func aBodyThatDoesNotComeIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "first ")
			text, _ := io.ReadAll(r.Body)
			fmt.Fprint(w, string(text))
		}))
		body, pipe := io.Pipe()
		began, w := time.Now(), httptest.NewRecorder()
		go func() {
			time.Sleep(5 * time.Second)
			fmt.Fprint(pipe, "at last")
			pipe.Close()
		}()
		h.ServeHTTP(w, unread("GET", body))
		assert.Equal(t, "first at last", w.Body.String())
		assert.Equal(t, 5*time.Second, time.Since(began))

		// A client that leaves does not even wait for that.
		ctx, cancel := context.WithCancel(t.Context())
		body, pipe = io.Pipe()
		ran := false
		h = edgecache.Cache(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true }))
		cancel()
		began = time.Now()
		h.ServeHTTP(httptest.NewRecorder(), unread("GET", body).WithContext(ctx))
		assert.True(t, ran)
		assert.Zero(t, time.Since(began))
		pipe.Close()
	})
}

// The panic of a body, as of middleware outside that counts it, belongs to the request.
func aPanicOfTheBodyIsThePanicOfItsRequest(t *testing.T) {
	h := edgecache.Cache(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) }))
	body := bodyFunc(func([]byte) (int, error) { panic("too much") })
	assert.PanicsWithValue(t, "too much", func() { h.ServeHTTP(httptest.NewRecorder(), unread("GET", body)) })
}

func anHTTP2RequestWithAnEmptyBodyIsServedFromTheCache(t *testing.T) {
	s := httptest.NewUnstartedServer(edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, r.Proto, " ", string(text))
	})))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	ask := func(body string) string {
		// The client cannot tell the length of such a reader.
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL, io.MultiReader(strings.NewReader(body)))
		require.NoError(t, err)
		w, err := s.Client().Do(r)
		require.NoError(t, err)
		defer w.Body.Close()
		text, err := io.ReadAll(w.Body)
		require.NoError(t, err)
		return w.Header.Get("X-Cache") + " " + string(text)
	}
	assert.Equal(t, "MISS HTTP/2.0 ", ask(""))
	assert.Equal(t, "HIT HTTP/2.0 ", ask(""))
	assert.Equal(t, "DYNAMIC HTTP/2.0 body", ask("body"))
}

// askServer sends one request with raw header lines over a real connection and returns the short
// status and the body.
func askServer(t *testing.T, server *httptest.Server, header http.Header) string {
	t.Helper()
	r, err := http.NewRequest("GET", server.URL+"/", nil)
	require.NoError(t, err)
	r.Header = header
	answer, err := server.Client().Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.Header.Get("X-Cache") + " " + string(text)
}

// stuck is a client that reads nothing until it is let go.
type stuck struct {
	*httptest.ResponseRecorder
	letGo, blocked chan struct{}
	once           sync.Once
}

func newStuck(letGo chan struct{}) *stuck {
	return &stuck{ResponseRecorder: httptest.NewRecorder(), letGo: letGo, blocked: make(chan struct{})}
}

func (s *stuck) Write(p []byte) (int, error) {
	s.once.Do(func() { close(s.blocked) })
	<-s.letGo
	return s.ResponseRecorder.Write(p)
}
