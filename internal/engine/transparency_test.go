package engine_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestTransparency(t *testing.T) {
	t.Run("a client does not notice the cache", aClientDoesNotNoticeTheCache)
	t.Run("a client of a random handler sees the same", aClientOfARandomHandlerSeesTheSame)
}

// seen is all that a client notices of an answer.
type seen struct {
	status  int
	header  http.Header
	body    string
	trailer http.Header
	interim []string
	broken  bool
	hit     bool
}

// ours are the fields that may differ: what the cache says, what it must say (RFC 9111, 5.1), and
// the clock.
var ours = []string{"X-Cache", "Cache-Status", "Age", "Date"}

// explicit are the fields that a hit may have beside: a page that is stored has a length, a tag and
// a type.
var explicit = []string{"Content-Length", "Etag", "Content-Type"}

// transports are the two protocols, and how to start a server of each. HTTP/2 frames bodies by
// itself, so it has no use for fields of the connection.
var transports = []struct {
	name string
	two  bool
}{{"HTTP1", false}, {"HTTP2", true}}

func startServer(t *testing.T, h http.Handler, two bool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handlers panic
	if s.EnableHTTP2 = two; two {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// look sends a request and reads the answer to its end.
func look(t *testing.T, s *httptest.Server, method, path string, header http.Header, body io.Reader) seen {
	t.Helper()
	var got seen
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		for _, name := range ours {
			h.Del(name)
		}
		got.interim = append(got.interim, fmt.Sprint(code, h))
		return nil
	}})
	r, err := http.NewRequestWithContext(ctx, method, s.URL+path, body)
	require.NoError(t, err)
	maps.Copy(r.Header, header)
	w, err := s.Client().Transport.RoundTrip(r)
	if err != nil {
		return seen{broken: true, interim: got.interim}
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	got.status, got.header, got.body, got.trailer, got.broken = w.StatusCode, w.Header, string(text), w.Trailer, err != nil
	got.hit = got.header.Get("X-Cache") == "HIT"
	for _, name := range ours {
		got.header.Del(name)
	}
	return got
}

// same compares an answer with that of the handler alone.
func same(t *testing.T, what string, got, want seen) {
	t.Helper()
	for _, difference := range differ(got, want) {
		t.Errorf("%s: %s", what, difference)
	}
}

// differ says how got differs from want.
func differ(got, want seen) (differences []string) {
	differs := func(format string, args ...any) { differences = append(differences, fmt.Sprintf(format, args...)) }
	if got.broken && want.broken && (got.status == 0 || want.status == 0) {
		return nil // how much of a broken answer gets through is a matter of time
	}
	if got.hit {
		got.header, want.header = got.header.Clone(), want.header.Clone()
		for _, name := range explicit {
			if want.header.Get(name) == "" {
				got.header.Del(name)
			}
		}
		want.interim = nil // the handler did not run
		want.trailer = nil // what is sent with a length has none
		got.trailer = nil
		want.header.Del("Trailer")
		got.header.Del("Trailer")
	}
	if got.broken != want.broken || got.status != want.status {
		differs("got status %d, broken %v, want %d, %v", got.status, got.broken, want.status, want.broken)
	}
	if got.body != want.body && !want.broken {
		differs("got body %.300q, want %.300q", got.body, want.body)
	}
	if !maps.EqualFunc(got.header, want.header, slices.Equal) {
		differs("got header\n%v, want\n%v", got.header, want.header)
	}
	if !maps.EqualFunc(got.trailer, want.trailer, slices.Equal) {
		differs("got trailer %v, want %v", got.trailer, want.trailer)
	}
	if !slices.Equal(got.interim, want.interim) {
		differs("got interim answers %q, want %q", got.interim, want.interim)
	}
	return differences
}

// manners are handlers that do something that a writer in between could spoil. None depends on how
// often it is called.
var manners = map[string]http.HandlerFunc{
	"never writes":           func(http.ResponseWriter, *http.Request) {},
	"writes only its status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
	"writes twice its status": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		w.WriteHeader(http.StatusOK)
		fmt.Fprint(w, "not here")
	},
	"writes no bytes": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) },
	"writes to a 204": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204); expectRefused(w) },
	"writes to a 304": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304); expectRefused(w) },
	"flushes first":   func(w http.ResponseWriter, _ *http.Request) { typed(w); flush(w); fmt.Fprint(w, "page") },
	"flushes often": func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "a")
		flush(w)
		fmt.Fprint(w, "b")
		flush(w)
	},
	"sends a short page":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "page") },
	"sends a page of html": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html><p>page") },
	"sends html in pieces": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<ht"); fmt.Fprint(w, "ml>") },
	"sends a page of 2048": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 2048)) },
	"sends a page of 2049": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 2049)) },
	"sends a large page":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("large ", 30_000)) },
	"sends a page larger than the largest object": func(w http.ResponseWriter, _ *http.Request) {
		for i := range 300 {
			fmt.Fprintf(w, "%01023d\n", i)
		}
	},
	"forbids a type": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		fmt.Fprint(w, "<html>")
	},
	"sends a coded page without a type": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "x-test")
		fmt.Fprint(w, "<html>")
	},
	"changes the header after the status": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Before", "1")
		w.WriteHeader(200)
		w.Header().Set("X-Before", "2")
		w.Header().Set("X-After", "2")
		fmt.Fprint(w, "page")
	},
	"repeats fields": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-Many"] = []string{"1", "2", "2"}
		w.Header().Add("X-Outer", "inner")
		fmt.Fprint(w, "page")
	},
	"removes what is outside": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Del("X-Removable")
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprint(w, "page")
	},
	"says private": func(w http.ResponseWriter, _ *http.Request) { edgecache.Private(w); fmt.Fprint(w, "page") },
	"sets cookies": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		fmt.Fprint(w, "page")
	},
	"declares its length": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "4")
		fmt.Fprint(w, "page")
	},
	"declares too much": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "9")
		fmt.Fprint(w, "page")
	},
	"declares much too much": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "9000")
		fmt.Fprint(w, strings.Repeat("x", 5000))
	},
	"declares too little": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "4")
		fmt.Fprint(w, "page")
		if _, err := fmt.Fprint(w, " and more"); err == nil {
			panic("a write past the length does not fail")
		}
	},
	"declares nonsense": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "many")
		fmt.Fprint(w, "page")
	},
	"declares trailers": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum, X-Missing")
		fmt.Fprint(w, "page")
		flush(w)
		w.Header().Set("X-Sum", "abc")
		w.Header().Set("X-Undeclared", "no")
	},
	"adds trailers": func(w http.ResponseWriter, _ *http.Request) {
		typed(w)
		flush(w)
		fmt.Fprint(w, "page")
		w.Header().Set(http.TrailerPrefix+"X-Late", "def")
	},
	"declares trailers of what is not stored": func(w http.ResponseWriter, _ *http.Request) {
		edgecache.NoStore(w)
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "page")
		flush(w)
		w.Header().Set("X-Sum", "abc")
		w.Header().Set(http.TrailerPrefix+"X-Late", "def")
	},
	"sends early hints": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Add("Link", "</b.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("X-Final", "1")
		fmt.Fprint(w, "page")
	},
	"panics first":          func(http.ResponseWriter, *http.Request) { panic("first") },
	"panics after a flush":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "half"); flush(w); panic("later") },
	"panics after a little": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "half"); panic("later") },
	"panics after a lot": func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Repeat("half", 5000))
		panic("later")
	},
	"aborts": func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "half")
		flush(w)
		panic(http.ErrAbortHandler)
	},
	"leaves its goroutine":          func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "half"); flush(w); runtime.Goexit() },
	"panics with an invalid status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(42) },
	"copies a reader": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, strings.NewReader(strings.Repeat("copied ", 9000)))
	},
	"copies an empty reader": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, strings.NewReader(""))
		w.WriteHeader(http.StatusTeapot)
	},
	"copies a reader that breaks": func(w http.ResponseWriter, _ *http.Request) {
		_, err := io.Copy(w, iotest.ErrReader(io.ErrUnexpectedEOF))
		http.Error(w, fmt.Sprint(err), http.StatusBadGateway)
	},
	"reads through ReadFrom": func(w http.ResponseWriter, _ *http.Request) {
		if from, ok := w.(io.ReaderFrom); ok {
			_, _ = from.ReadFrom(io.LimitReader(strings.NewReader(strings.Repeat("read ", 9000)), 30_000))
			return
		}
		fmt.Fprint(w, strings.Repeat("read ", 6000))
	},
	"sets deadlines": func(w http.ResponseWriter, _ *http.Request) {
		c := http.NewResponseController(w)
		fmt.Fprint(w, c.SetReadDeadline(time.Now().Add(time.Hour)), c.SetWriteDeadline(time.Now().Add(time.Hour)))
	},
	"serves content": func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "page.txt", time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), strings.NewReader(strings.Repeat("content ", 1000)))
	},
	"redirects": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
	"redirects for ever": func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusMovedPermanently)
	},
	"fails":                func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", http.StatusInternalServerError) },
	"echoes the request":   echo,
	"names its connection": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Hop", "1"); fmt.Fprint(w, "page") },
	"sends an event stream": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			flush(w)
		}
	},
	"sends lines of JSON": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		for i := range 3 {
			fmt.Fprintf(w, "{%d}\n", i)
			flush(w)
		}
	},
	"sends sound": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "audio/mpeg")
		fmt.Fprint(w, strings.Repeat("sound", 1000))
	},
	"sends its writes at once": func(w http.ResponseWriter, _ *http.Request) {
		typed(w)
		w.Header().Set("Incremental", "?1")
		fmt.Fprint(w, "one")
		flush(w) // by itself net/http knows nothing of the field
		_, _ = io.Copy(w, strings.NewReader("two"))
	},
	"sends its writes of known length at once": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Incremental", "?1")
		w.Header().Set("Content-Length", "4")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "page")
	},
	"reads its body": func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 100))
		fmt.Fprintf(w, "%d bytes, %v", len(text), err)
	},
	"lets nothing through": func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 10)); err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		}
	},
	"knows its writer": func(w http.ResponseWriter, _ *http.Request) {
		_, flusher := w.(http.Flusher)
		_, hijacker := w.(http.Hijacker)
		_, notifier := w.(closeNotifier)
		_, stringWriter := w.(io.StringWriter)
		_, pusher := w.(http.Pusher)
		fmt.Fprint(w, flusher, hijacker, notifier, stringWriter, pusher)
	},
}

// typed says the type, which net/http looks for in the bytes that come before the first flush:
// those may be some more with a cache.
func typed(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/plain") }

// cutsOff reports whether a handler of this name makes the server close the connection.
func cutsOff(name string) bool {
	for _, word := range []string{"declares", "panics", "aborts", "leaves"} {
		if strings.HasPrefix(name, word) {
			return true
		}
	}
	return false
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

func expectRefused(w http.ResponseWriter) {
	if _, err := fmt.Fprint(w, "page"); !errors.Is(err, http.ErrBodyNotAllowed) {
		panic(fmt.Sprint("a write where no body is allowed returns ", err))
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	edgecache.NoStore(w)
	fmt.Fprint(w, r.Method, " ", r.Host == "", r.URL, " ", r.RequestURI, " ", r.Proto, " ", r.ContentLength, " ", r.TransferEncoding, " ", r.Pattern, " ", r.PathValue("rest"), "\n")
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintln(w, name, r.Header[name])
	}
}

// around is what stands before every handler: middleware that sets fields, among them one that is
// another each time.
func around(next http.Handler) http.Handler {
	var mu sync.Mutex
	n := 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		id := strconv.Itoa(n)
		mu.Unlock()
		w.Header().Set("X-Request-Id", id)
		w.Header().Set("X-Outer", "outer")
		w.Header().Set("X-Removable", "1")
		next.ServeHTTP(w, r)
	})
}

// transparentCache takes objects of up to 200 KiB.
func transparentCache(t *testing.T, next http.Handler, honors bool) http.Handler {
	t.Helper()
	edge, err := edgecache.New(edgecache.Config{MaxObjectBytes: 200 << 10, HonorRequestDirectives: honors, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return edge.Handler(next)
}

func routed(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/page/{rest...}", next)
	return mux
}

var approaches = []struct {
	name   string
	method string
	header http.Header
	body   string
	rare   bool // left out of a short run
}{
	{"plainly", "GET", http.Header{}, "", false},
	{"by HEAD", "HEAD", http.Header{}, "", true},
	{"with a cookie", "GET", http.Header{"Cookie": {"session=1"}}, "", true},
	{"by POST", "POST", http.Header{}, strings.Repeat("sent ", 30), false},
	{"by POST, which asks first", "POST", http.Header{"Expect": {"100-continue"}}, strings.Repeat("sent ", 30), true},
	{"by a GET with a body", "GET", http.Header{}, "sent", true},
	{"by OPTIONS", "OPTIONS", http.Header{}, "", true},
	{"with no-store", "GET", http.Header{"Cache-Control": {"no-store"}}, "", true},
}

// A client must not notice the cache, however it comes and whatever the handler does: not the first
// time, and not when the page is stored.
func aClientDoesNotNoticeTheCache(t *testing.T) {
	for _, protocol := range transports {
		for name, handler := range manners {
			t.Run(protocol.name+"/a handler that "+name, func(t *testing.T) {
				t.Parallel()
				if protocol.two && name == "declares too little" {
					t.Skip("the HTTP/2 server resets the stream although what was declared came whole; behind the cache the client gets that")
				}
				for _, a := range approaches {
					if a.body != "" && cutsOff(name) {
						continue // net/http resets a connection whose body is not read, or waits for the rest of it: what arrives before is chance
					}
					if testing.Short() && a.rare {
						continue
					}
					honors := a.header.Get("Cache-Control") != "" // else its handler does not see the field
					bare := startServer(t, around(routed(handler)), protocol.two)
					cached := startServer(t, around(transparentCache(t, routed(handler), honors)), protocol.two)
					inner := startServer(t, around(routed(transparentCache(t, handler, honors))), protocol.two)
					var body func() io.Reader = func() io.Reader { return nil }
					if a.body != "" {
						body = func() io.Reader { return strings.NewReader(a.body) }
					}
					for i := range 3 {
						want := look(t, bare, a.method, "/page/one", a.header, body())
						if a.header.Get("Cookie") != "" && want.header != nil && want.header["Cache-Control"] == nil && want.status != http.StatusSwitchingProtocols {
							want.header.Set("Cache-Control", "private") // all that a cookie changes
						}
						same(t, fmt.Sprintf("%s, time %d", a.name, i), look(t, cached, a.method, "/page/one", a.header, body()), want)
						same(t, fmt.Sprintf("%s, the cache inside, time %d", a.name, i), look(t, inner, a.method, "/page/one", a.header, body()), want)
					}
					for _, s := range []*httptest.Server{bare, cached, inner} {
						s.Close()
						s.Config.Handler = nil // a cleanup keeps the server until all handlers are through
					}
				}
			})
		}
	}
}

// step is one thing that a handler does with its writer.
type step struct {
	name string
	do   func(http.ResponseWriter)
}

// steps draws a handler.
func drawSteps(d harness.Dice) []step {
	var all []step
	add := func(do func(http.ResponseWriter), name string, args ...any) {
		all = append(all, step{fmt.Sprintf(name, args...), do})
	}
	add(typed, "type")
	if d.OneIn(4) {
		add(func(w http.ResponseWriter) { w.Header().Set("Trailer", "X-Field") }, "trailer")
	}
	length := 0 // of all that is written
	declares, more := d.OneIn(4), harness.Pick(d, 0, 0, 7)
	if declares { // never too little: then HTTP/2 differs, see manners
		add(func(w http.ResponseWriter) { w.Header().Set("Content-Length", fmt.Sprint(length+more)) }, "length and %d", more)
	}
	for range d.IntN(8) {
		switch d.IntN(8) {
		case 0:
			add(flush, "flush")
		case 1:
			value := d.IntN(9)
			add(func(w http.ResponseWriter) { w.Header().Set("X-Field", fmt.Sprint(value)) }, "field %d", value)
		case 2:
			word := harness.Pick(d, "no-store", "private", "public", "max-age=60", "no-cache", "max-age=0")
			add(func(w http.ResponseWriter) { w.Header().Set("Cache-Control", word) }, "%s", word)
		case 3:
			status := harness.Pick(d, 200, 201, 204, 304, 404, 500, 503, 200)
			add(func(w http.ResponseWriter) { w.WriteHeader(status) }, "status %d", status)
		case 4:
			add(func(w http.ResponseWriter) { w.WriteHeader(http.StatusProcessing) }, "interim")
		case 5:
			n := harness.Pick(d, 0, 1, 5000)
			add(func(w http.ResponseWriter) { _, _ = io.Copy(w, strings.NewReader(strings.Repeat("c", n))) }, "copy %d", n)
			length += n
		default:
			n := harness.Pick(d, 0, 1, 5, 10, 2038, 2048, 9000)
			add(func(w http.ResponseWriter) { fmt.Fprint(w, strings.Repeat("w", n)) }, "write %d", n)
			length += n
		}
	}
	if !declares && d.OneIn(10) {
		add(func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, "abort")
	}
	return all
}

// Whatever a handler does, in whichever order, its client sees the same.
func aClientOfARandomHandlerSeesTheSame(t *testing.T) {
	first, n := harness.Batches(t, 150, 3000)
	for seed := first; seed < first+n; seed++ {
		steps := drawSteps(harness.NewDice(seed))
		var names []string
		for _, s := range steps {
			names = append(names, s.name)
		}
		handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for _, s := range steps {
				s.do(w)
			}
		})
		for _, protocol := range transports {
			bare, cached := startServer(t, around(handler), protocol.two), startServer(t, around(transparentCache(t, handler, false)), protocol.two)
			for _, method := range []string{"HEAD", "GET", "GET", "HEAD", "POST"} {
				want, got := look(t, bare, method, "/", nil, nil), look(t, cached, method, "/", nil, nil)
				same(t, fmt.Sprintf("EDGECACHE_SEED=%d: %s %s of %s", seed, protocol.name, method, strings.Join(names, ", ")), got, want)
			}
			bare.Close()
			cached.Close()
			if t.Failed() {
				return
			}
		}
	}
}
