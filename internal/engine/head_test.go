package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

func TestHead(t *testing.T) {
	t.Run("it fetches where the cache is the server's handler", itFetchesWhereTheCacheIsTheServersHandler)
	t.Run("another handler for HEAD changes nothing that is stored", anotherHandlerForHEADChangesNothingThatIsStored)
	t.Run("the run ends with its header", theRunEndsWithItsHeader)
	t.Run("what is not stored looks as without the cache", whatIsNotStoredLooksAsWithoutTheCache)
	t.Run("a proxy that panics after its header does no harm", aProxyThatPanicsAfterItsHeaderDoesNoHarm)
	t.Run("a panic after the header is contained", aPanicAfterTheHeaderIsContained)
	t.Run("conditions and ranges hold where it fetches", conditionsAndRangesHoldWhereItFetches)
	t.Run("a URL may be for HEAD only", aURLMayBeForHEADOnly)
	t.Run("a static file with a range answers", aStaticFileWithARangeAnswers)
	t.Run("a stale response is refreshed where it fetches", aStaleResponseIsRefreshedWhereItFetches)
	t.Run("only-if-cached holds", onlyIfCachedHolds)
	t.Run("HEADs wait for each other", headsWaitForEachOther)
	t.Run("it ends no stream of others", itEndsNoStreamOfOthers)
	t.Run("Explain tells of a HEAD", explainTellsOfAHEAD)
}

// headSite is a handler with a cache, which is the server's own handler or stands behind
// middleware.
type headSite struct {
	t       *testing.T
	edge    *edgecache.Edge
	handler http.Handler
	server  *http.Server // in the context of every request; nil if something stands outside

	mu      sync.Mutex
	methods []string // that the handler was called with
}

func newHeadSite(t *testing.T, cfg edgecache.Config, own bool, handler http.HandlerFunc) *headSite {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	edge, err := edgecache.New(cfg)
	require.NoError(t, err)
	s := &headSite{t: t, edge: edge}
	s.handler = edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.methods = append(s.methods, r.Method)
		s.mu.Unlock()
		handler(w, r)
	}))
	if own {
		s.server = &http.Server{Handler: s.handler}
	}
	return s
}

// ask returns the short status, the status code and the body.
func (s *headSite) ask(method, target string, fields ...string) (word string, a *http.Response) {
	s.t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	ctx := context.WithValue(s.t.Context(), http.LocalAddrContextKey, "") // as net/http has it
	if s.server != nil {
		ctx = context.WithValue(s.t.Context(), http.ServerContextKey, s.server)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r.WithContext(ctx))
	a = w.Result()
	return a.Header.Get("X-Cache"), a
}

// called returns the methods since the last call.
func (s *headSite) called() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.methods = nil }()
	return strings.Join(s.methods, " ")
}

// words returns the short status of each.
func (s *headSite) words(asks ...string) string {
	s.t.Helper()
	var words []string
	for _, method := range asks {
		word, _ := s.ask(method, "/")
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// told is a response with the status fields, whose body has been read.
type told struct {
	*http.Response
	text   string
	broken bool
}

// answerTo asks a server.
func answerTo(t *testing.T, s *httptest.Server, method, path string, header http.Header) told {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, http.NoBody)
	require.NoError(t, err)
	maps.Copy(r.Header, header)
	w, err := s.Client().Transport.RoundTrip(r)
	require.NoError(t, err)
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	return told{w, string(text), err != nil}
}

func cacheOf(t *testing.T, cfg edgecache.Config, next http.Handler) http.Handler {
	t.Helper()
	edge, err := edgecache.New(cfg)
	require.NoError(t, err)
	return edge.Handler(next)
}

// Where nothing stands outside of the cache, a HEAD fetches: people look with curl -I.
func itFetchesWhereTheCacheIsTheServersHandler(t *testing.T) {
	long := strings.Repeat("a long page ", 1000)
	for name, handler := range map[string]http.HandlerFunc{
		"a page that declares its length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(long)))
			_, _ = io.WriteString(w, long)
		},
		"a page that declares its length and type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(long)))
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, long)
		},
		"a short page":          func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") },
		"a long page":           func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, long) },
		"a long page in pieces": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, strings.NewReader(long)) },
		"an empty page":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) },
		"a page of a GET handler": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader(long))
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, two := range []bool{false, true} {
				methods := ""
				server := startServer(t, edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					methods += r.Method + " "
					edgecache.MaxAge(w, time.Minute)
					handler(w, r)
				})), two)
				bare := startServer(t, handler, two)
				plain := answerTo(t, bare, "GET", "/", nil)
				for _, ask := range []struct{ method, want string }{{"HEAD", "MISS"}, {"HEAD", "HIT"}, {"GET", "HIT"}} {
					a := answerTo(t, server, ask.method, "/", nil)
					assert.Equal(t, ask.want, a.Header.Get("X-Cache"))
					assert.Equal(t, fmt.Sprint(len(plain.text)), a.Header.Get("Content-Length"))
					assert.Equal(t, plain.Header.Get("Content-Type"), a.Header.Get("Content-Type"))
					if ask.method == "GET" {
						assert.Equal(t, plain.text, a.text)
					}
				}
				assert.Equal(t, "GET ", methods)
			}
		})
	}
}

// Behind a router GET and HEAD may have different handlers: each with the same cache here.
func anotherHandlerForHEADChangesNothingThatIsStored(t *testing.T) {
	for _, row := range []struct {
		name    string
		control string        // of the GET
		wait    time.Duration // before the HEADs
		hits    int           // before that
		purge   bool
		word    string // of the HEADs
		after   string // of a GET behind them
	}{
		{"nothing is stored", "no-store", 0, 0, false, "MISS", "BYPASS"},
		{"fresh", "max-age=60", 0, 0, false, "HIT", "HIT"},
		{"about to end, in demand", "max-age=60, must-revalidate", 58 * time.Second, 20, false, "HIT", "HIT"},
		{"stale", "max-age=60", 61 * time.Second, 0, false, "EXPIRED", "EXPIRED"},
		{"stale, with a tag", "max-age=60", 61 * time.Second, 0, false, "EXPIRED", "EXPIRED"},
		{"stale, but still served", "max-age=60, stale-while-revalidate=60", 61 * time.Second, 0, false, "STALE", "UPDATING"},
		{"stale, and to stand in for errors", "max-age=60, stale-if-error=60", 61 * time.Second, 0, false, "EXPIRED", "EXPIRED"},
		{"purged softly", "max-age=60", 0, 0, true, "EXPIRED", "EXPIRED"},
	} {
		for _, says := range []struct {
			name   string
			status int
			header http.Header
		}{
			{"a page of its own", 200, http.Header{"Cache-Control": {"max-age=600"}, "X-Kind": {"head"}}},
			{"the same tag", 200, http.Header{"Cache-Control": {"max-age=600"}, "X-Kind": {"head"}, "Etag": {`"1"`}}},
			{"another tag and length", 200, http.Header{"Etag": {`"2"`}, "Content-Length": {"99"}}},
			{"no-store", 200, http.Header{"Cache-Control": {"no-store"}, "Etag": {`"1"`}}},
			{"not modified", 304, http.Header{"Cache-Control": {"max-age=600"}, "Etag": {`"1"`}}},
			{"that it is gone", 410, http.Header{}},
			{"an error", 503, http.Header{}},
		} {
			t.Run(row.name+", HEAD says "+says.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					edge, err := edgecache.New(edgecache.Config{})
					require.NoError(t, err)
					gets := 0
					mux := http.NewServeMux()
					mux.Handle("GET /", edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						gets++
						w.Header().Set("Cache-Control", row.control)
						w.Header().Set("Etag", `"1"`)
						w.Header().Set("X-Kind", "get")
						_, _ = io.WriteString(w, "page")
					})))
					mux.Handle("HEAD /", edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.Method != http.MethodHead {
							t.Errorf("the handler of HEAD got %s", r.Method)
						}
						for name, lines := range says.header {
							w.Header()[name] = lines
						}
						w.WriteHeader(says.status)
					})))
					server := &http.Server{Handler: mux}
					ask := func(method string) *http.Response {
						w := httptest.NewRecorder()
						r := httptest.NewRequest(method, "/", nil)
						mux.ServeHTTP(w, r.WithContext(context.WithValue(t.Context(), http.ServerContextKey, server)))
						synctest.Wait() // what it has started
						return w.Result()
					}
					ask("GET")
					for range row.hits {
						ask("GET")
					}
					time.Sleep(row.wait)
					if row.purge {
						_, err := edge.Soft().Purge(t.Context(), "http://example.com/")
						require.NoError(t, err)
					}
					ran := gets
					for range 2 {
						a := ask("HEAD")
						assert.Equal(t, row.word, a.Header.Get("X-Cache"))
						if row.word == "MISS" || row.word == "EXPIRED" {
							assert.Contains(t, a.Header.Get("Cache-Status"), "detail=head")
							assert.Equal(t, says.status, a.StatusCode)
						}
					}
					assert.Equal(t, ran, gets, "a HEAD starts nothing")
					a := ask("GET")
					assert.Equal(t, row.after, a.Header.Get("X-Cache"))
					assert.Equal(t, "get", a.Header.Get("X-Kind"))
					text, err := io.ReadAll(a.Body)
					require.NoError(t, err)
					assert.Equal(t, "page", string(text))
					require.NoError(t, edge.Close(t.Context()))
				})
			})
		}
	}
}

// What is not going to be stored is not made for a HEAD.
func theRunEndsWithItsHeader(t *testing.T) {
	stored := http.Header{"Cache-Control": {"max-age=60"}}
	for _, row := range []struct {
		name   string
		header http.Header
		first  func(w http.ResponseWriter)
		word   string
		detail string
	}{
		{"no-store", http.Header{"Cache-Control": {"no-store"}}, func(w http.ResponseWriter) { w.WriteHeader(200) }, "BYPASS", "no-store"},
		{"a status that is not stored", nil, func(w http.ResponseWriter) { w.WriteHeader(500) }, "BYPASS", "status"},
		{"events", http.Header{"Content-Type": {"text/event-stream"}}, func(w http.ResponseWriter) { w.WriteHeader(200) }, "BYPASS", "stream"},
		{"too large", http.Header{"Cache-Control": {"max-age=60"}, "Content-Length": {"1000000"}}, func(w http.ResponseWriter) { w.WriteHeader(200) }, "BYPASS", "too-large"},
		{"too large without a length", stored, func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, 200<<10)) }, "BYPASS", "too-large"},
		{"a flush without a length", stored, func(w http.ResponseWriter) { fmt.Fprint(w, "first"); flush(w) }, "MISS", "head"},
	} {
		t.Run(row.name, func(t *testing.T) {
			ended := make(chan error, 1)
			server := startServer(t, cacheOf(t, edgecache.Config{MaxObjectBytes: 100 << 10}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/next" {
					fmt.Fprint(w, "next")
					return
				}
				for name, lines := range row.header {
					w.Header()[name] = lines
				}
				row.first(w)
				select {
				case <-r.Context().Done():
				case <-time.After(10 * time.Second):
					ended <- fmt.Errorf("the context goes on")
					return
				}
				var err error
				for n := 0; err == nil && n < 100<<10; n += 1 << 10 {
					_, err = w.Write(make([]byte, 1<<10))
				}
				ended <- err
			})), false)
			a := answerTo(t, server, "HEAD", "/", nil)
			assert.ErrorIs(t, <-ended, http.ErrBodyNotAllowed)
			assert.Equal(t, row.word, a.Header.Get("X-Cache"))
			assert.Contains(t, a.Header.Get("Cache-Status"), "detail="+row.detail)
			assert.Equal(t, row.header.Get("Content-Length"), a.Header.Get("Content-Length"))
			assert.Equal(t, "next", answerTo(t, server, "GET", "/next", nil).text, "the connection can be used again")
		})
	}
}

// A short response that is not stored has for HEAD what net/http finds out about it.
func whatIsNotStoredLooksAsWithoutTheCache(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"short": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>", "page") },
		"as long as net/http holds back": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<html>"))
			_, _ = w.Write(make([]byte, 2048-6))
		},
		"longer": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(append([]byte("<html>"), make([]byte, 5000)...))
		},
		"longer, of one string": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html>"+strings.Repeat("a", 5000))
		},
		"longer, copied": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, strings.NewReader("<html>"+strings.Repeat("a", 5000)))
		},
		"longer, in pieces": func(w http.ResponseWriter, _ *http.Request) {
			for range 500 {
				fmt.Fprint(w, "<html>", "page")
			}
		},
		"flushed": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>"); flush(w); fmt.Fprint(w, "page") },
		"declared": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "4")
			fmt.Fprint(w, "page")
		},
		"empty":                     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) },
		"without content":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"an error":                  func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) },
		"nothing":                   func(http.ResponseWriter, *http.Request) {},
		"a panic before the header": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		for _, two := range []bool{false, true} {
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				edgecache.NoStore(w)
				handler(w, r)
			})
			bare, cached := startServer(t, h, two), startServer(t, edgecache.Cache(h), two)
			want, got := look(t, bare, "HEAD", "/", nil, nil), look(t, cached, "HEAD", "/", nil, nil)
			same(t, fmt.Sprint(name, ", HTTP/2: ", two), got, want)
		}
	}
}

// ReverseProxy panics when it cannot go on. The client has got its answer by then.
func aProxyThatPanicsAfterItsHeaderDoesNoHarm(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", r.URL.Query().Get("cc"))
		for range 64 {
			_, _ = w.Write(make([]byte, 4<<10))
			flush(w)
		}
	}))
	defer origin.Close()
	target, err := url.Parse(origin.URL)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	var errs strings.Builder
	for _, flushes := range []time.Duration{0, -1} {
		for _, control := range []string{"no-store", "max-age=60"} {
			proxy.FlushInterval = flushes
			edge, err := edgecache.New(edgecache.Config{Logger: slog.New(slog.NewTextHandler(&errs, nil))})
			require.NoError(t, err)
			server := startServer(t, edge.Handler(proxy), false)
			for range 2 {
				conn := answerTo(t, server, "HEAD", "/?cc="+control, nil)
				assert.False(t, conn.broken)
				assert.Equal(t, 200, conn.StatusCode)
			}
			text := answerTo(t, server, "GET", "/?cc="+control, nil)
			assert.Len(t, text.text, 64*4<<10)
			assert.False(t, text.broken)
		}
	}
	assert.Empty(t, errs.String())
}

// A panic of its own, after the header, is told of, and costs the client nothing.
func aPanicAfterTheHeaderIsContained(t *testing.T) {
	for _, control := range []string{"no-store", "max-age=60"} {
		log := make(chan string, 10)
		edge, err := edgecache.New(edgecache.Config{Logger: slog.New(slog.NewTextHandler(lineWriter(log), nil))})
		require.NoError(t, err)
		server := startServer(t, edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", control)
			fmt.Fprint(w, "page")
			flush(w)
			panic("oh")
		})), false)
		a := answerTo(t, server, "HEAD", "/", nil)
		assert.Equal(t, 200, a.StatusCode)
		assert.False(t, a.broken)
		assert.Contains(t, <-log, "oh")
		server.Close() // waits for the handler
		assert.Zero(t, edge.Stats().Entries)
		assert.Zero(t, edge.Stats().Fetches)
	}
}

type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) { w <- string(p); return len(p), nil }

func conditionsAndRangesHoldWhereItFetches(t *testing.T) {
	for _, refused := range []bool{false, true} {
		var seen http.Header
		var called []string
		s := newHeadSite(t, edgecache.Config{}, true, func(w http.ResponseWriter, r *http.Request) {
			seen = r.Header.Clone()
			w.Header().Set("Etag", `"1"`)
			w.Header().Set("Cache-Control", "max-age=60")
			if refused {
				edgecache.NoStore(w)
			}
			http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader("page"))
		})
		for range 2 {
			_, a := s.ask("HEAD", "/a", "Range", "bytes=1-2", "If-Range", `"1"`)
			assert.Equal(t, 200, a.StatusCode, "ranges are of GET only (RFC 9110, 14.2)")
			assert.Equal(t, "4", a.Header.Get("Content-Length"))
			_, a = s.ask("HEAD", "/b", "If-None-Match", `"1"`)
			assert.Equal(t, 304, a.StatusCode)
			assert.Empty(t, a.Header.Get("Content-Length"))
			assert.Empty(t, seen)
			called = append(called, s.called())
		}
		if refused {
			assert.Equal(t, []string{"GET GET", "GET GET"}, called)
		} else {
			assert.Equal(t, []string{"GET GET", ""}, called)
		}
	}
}

// A URL may be for HEAD only.
func aURLMayBeForHEADOnly(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("HEAD /up", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Method", r.Method)
		w.Header().Set("X-Range", r.Header.Get("Range"))
		w.Header().Set("Etag", `"1"`)
	})
	mux.HandleFunc("POST /only", func(http.ResponseWriter, *http.Request) {})
	edge := emptyEdge(t)
	server := startServer(t, edge.Handler(mux), false)
	for range 2 {
		a := answerTo(t, server, "HEAD", "/up", http.Header{"Range": {"bytes=1-"}})
		assert.Equal(t, 200, a.StatusCode)
		assert.Equal(t, "HEAD", a.Header.Get("X-Method"))
		assert.Equal(t, "MISS", a.Header.Get("X-Cache"))
		assert.Contains(t, a.Header.Get("Cache-Status"), "detail=head")
		assert.Equal(t, 304, answerTo(t, server, "HEAD", "/up", http.Header{"If-None-Match": {`"1"`}}).StatusCode)
		assert.Equal(t, 405, answerTo(t, server, "HEAD", "/only", nil).StatusCode)
		assert.Equal(t, 405, answerTo(t, server, "GET", "/up", nil).StatusCode)
	}
	assert.Zero(t, edge.Stats().Entries)
	assert.Zero(t, edge.Stats().Fetches)
}

// Static files see ranges that a fetch takes off, but not those of a HEAD.
func aStaticFileWithARangeAnswers(t *testing.T) {
	static, err := edgecache.Static(fstest.MapFS{"a.txt": {Data: []byte("0123456789")}}, edgecache.StaticOptions{})
	require.NoError(t, err)
	server := startServer(t, edgecache.Cache(static), false)
	want := look(t, startServer(t, static, false), "HEAD", "/static/a.txt", http.Header{"Range": {"bytes=1-2"}}, nil)
	got := look(t, server, "HEAD", "/static/a.txt", http.Header{"Range": {"bytes=1-2"}}, nil)
	assert.Equal(t, 200, got.status)
	assert.Equal(t, "10", got.header.Get("Content-Length"))
	same(t, "HEAD", got, want)
}

func aStaleResponseIsRefreshedWhereItFetches(t *testing.T) {
	for _, row := range []struct {
		name    string
		control string
		fails   bool
		words   string // of HEAD, HEAD, GET
		called  string
	}{
		{"it is confirmed by a GET", "max-age=60", false, "REVALIDATED HIT HIT", "GET"},
		{"it is served while a GET refreshes it", "max-age=60, stale-while-revalidate=60", false, "UPDATING HIT HIT", "GET"},
		{"it stands in for an error", "max-age=60, stale-if-error=60", true, "STALE STALE STALE", "GET GET GET"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failing := false
				s := newHeadSite(t, edgecache.Config{}, true, func(w http.ResponseWriter, r *http.Request) {
					if failing {
						http.Error(w, "no", http.StatusServiceUnavailable)
						return
					}
					w.Header().Set("Cache-Control", row.control)
					if !edgecache.NotModified(w, r, edgecache.ETag("1")) {
						_, _ = io.WriteString(w, "page")
					}
				})
				require.Equal(t, "MISS", s.words("GET"))
				time.Sleep(61 * time.Second)
				s.called()
				failing = row.fails
				words := s.words("HEAD")
				synctest.Wait()
				assert.Equal(t, row.words, words+" "+s.words("HEAD", "GET"))
				assert.Equal(t, row.called, s.called())
				require.NoError(t, s.edge.Close(t.Context()))
			})
		})
	}
}

func onlyIfCachedHolds(t *testing.T) {
	for _, own := range []bool{false, true} {
		s := newHeadSite(t, edgecache.Config{HonorRequestDirectives: true}, own, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "page") })
		_, a := s.ask("HEAD", "/", "Cache-Control", "only-if-cached")
		assert.Equal(t, http.StatusGatewayTimeout, a.StatusCode)
		assert.Empty(t, s.called())
	}
}

// HEADs wait for each other, but a GET does not for a HEAD, whose run may be ended early.
func headsWaitForEachOther(t *testing.T) {
	for _, row := range []struct {
		name   string
		finish func(w http.ResponseWriter)
		others string
		calls  string
	}{
		{"a page", func(w http.ResponseWriter) { fmt.Fprint(w, strings.Repeat("page", 1000)) }, "HIT", "GET GET"},
		{"a page with a length", func(w http.ResponseWriter) { w.Header().Set("Content-Length", "4"); fmt.Fprint(w, "page") }, "HIT", "GET GET"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newHeadSite(t, edgecache.Config{}, true, func(w http.ResponseWriter, _ *http.Request) {
					time.Sleep(time.Second)
					edgecache.MaxAge(w, time.Minute)
					row.finish(w)
				})
				var wg sync.WaitGroup
				words, lengths := make([]string, 5), make([]string, 5)
				for i := range words {
					wg.Go(func() {
						var a *http.Response
						words[i], a = s.ask("HEAD", "/")
						lengths[i] = a.Header.Get("Content-Length")
						text, _ := io.ReadAll(a.Body)
						assert.Empty(t, text)
					})
				}
				var text []byte
				wg.Go(func() {
					_, a := s.ask("GET", "/")
					text, _ = io.ReadAll(a.Body)
				})
				wg.Wait()
				miss := 0
				for i, word := range words {
					if word == "MISS" {
						miss++
					} else {
						assert.Equal(t, row.others, word)
					}
					assert.Equal(t, fmt.Sprint(len(text)), lengths[i])
				}
				assert.Equal(t, 1, miss)
				assert.Equal(t, row.calls, s.called())
			})
		})
	}
}

// A GET that comes while a HEAD has a stream made gets all of it.
func itEndsNoStreamOfOthers(t *testing.T) {
	headed := make(chan struct{})
	server := startServer(t, edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.MaxAge(w, time.Minute)
		fmt.Fprintln(w, "one")
		flush(w)
		select {
		case <-headed:
		case <-r.Context().Done():
			return
		}
		fmt.Fprintln(w, "two")
	})), false)
	w := open(t, server, newGet(t, server.URL))
	lines := bufio.NewReader(w.Body)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "one\n", line)
	a := answerTo(t, server, "HEAD", "/", nil)
	assert.Equal(t, "MISS", a.Header.Get("X-Cache"))
	close(headed)
	line, err = lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "two\n", line)
	assert.Equal(t, "HIT", answerTo(t, server, "HEAD", "/", nil).Header.Get("X-Cache"))
}

func explainTellsOfAHEAD(t *testing.T) {
	for _, own := range []bool{false, true} {
		s := newHeadSite(t, edgecache.Config{}, own, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60, stale-while-revalidate=60")
			fmt.Fprint(w, "page")
		})
		r := httptest.NewRequest("HEAD", "/", nil)
		if own {
			r = r.WithContext(context.WithValue(t.Context(), http.ServerContextKey, s.server))
		}
		x := s.edge.Explain(r)
		assert.Equal(t, edgecache.Miss, x.Status)
		assert.Equal(t, map[bool]string{true: "uri-miss", false: "head"}[own], x.Reason.String())
		s.words("GET")
		assert.Equal(t, edgecache.Hit, s.edge.Explain(r).Status)
	}
}
