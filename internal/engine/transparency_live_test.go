package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

func TestTransparencyOfConnections(t *testing.T) {
	t.Run("flushed bytes arrive while the handler waits", flushedBytesArriveWhileTheHandlerWaits)
	t.Run("the header arrives by a flush alone", theHeaderArrivesByAFlushAlone)
	t.Run("the handler learns that its client has left", theHandlerLearnsThatItsClientHasLeft)
	t.Run("a connection can be hijacked", aConnectionCanBeHijacked)
	t.Run("a handler may read and write in turn", aHandlerMayReadAndWriteInTurn)
	t.Run("a write deadline breaks the response off", aWriteDeadlineBreaksTheResponseOff)
	t.Run("the pattern reaches both sides", thePatternReachesBothSides)
	t.Run("the request ID is that of the request", theRequestIDIsThatOfTheRequest)
	t.Run("forms reach both sides", formsReachBothSides)
	t.Run("refreshes hold up no connection", refreshesHoldUpNoConnection)
}

// bothWays runs a test on the handler alone, which proves the test, and behind the cache.
func bothWays(t *testing.T, handler http.Handler, test func(t *testing.T, s *httptest.Server)) {
	for _, protocol := range transports {
		t.Run(protocol.name+"/alone", func(t *testing.T) { test(t, startServer(t, handler, protocol.two)) })
		t.Run(protocol.name+"/cached", func(t *testing.T) { test(t, startServer(t, edgecache.Cache(handler), protocol.two)) })
	}
}

func open(t *testing.T, s *httptest.Server, r *http.Request) *http.Response {
	t.Helper()
	w, err := s.Client().Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { w.Body.Close() })
	return w
}

func newGet(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	require.NoError(t, err)
	return r
}

// What is flushed must be with the client while the handler waits: each line releases the next one.
func flushedBytesArriveWhileTheHandlerWaits(t *testing.T) {
	for name, prepare := range map[string]func(http.Header){
		"a page that is stored":         func(http.Header) {},
		"a page that is not":            func(h http.Header) { h.Set("Cache-Control", "no-store") },
		"an event stream":               func(h http.Header) { h.Set("Content-Type", "text/event-stream") },
		"a page with a declared length": func(h http.Header) { h.Set("Content-Length", "21") },
	} {
		t.Run(name, func(t *testing.T) {
			read := make(chan struct{})
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				prepare(w.Header())
				for i := range 3 {
					fmt.Fprintf(w, "line %d\n", i)
					flush(w)
					select {
					case <-read:
					case <-r.Context().Done():
						return
					}
				}
			})
			bothWays(t, handler, func(t *testing.T, s *httptest.Server) {
				w := open(t, s, newGet(t, s.URL))
				lines := bufio.NewReader(w.Body)
				for i := range 3 {
					line, err := lines.ReadString('\n')
					require.NoError(t, err)
					require.Equal(t, fmt.Sprintf("line %d\n", i), line)
					read <- struct{}{}
				}
				rest, err := io.ReadAll(lines)
				require.NoError(t, err)
				require.Empty(t, rest)
			})
		})
	}
}

func theHeaderArrivesByAFlushAlone(t *testing.T) {
	seen := make(chan struct{})
	bothWays(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Early", "1")
		flush(w)
		<-seen
	}), func(t *testing.T, s *httptest.Server) {
		w := open(t, s, newGet(t, s.URL))
		require.Equal(t, "1", w.Header.Get("X-Early"))
		seen <- struct{}{}
	})
}

// What may be stored is made to its end for others; what may not, ends with its client.
func theHandlerLearnsThatItsClientHasLeft(t *testing.T) {
	left := make(chan struct{})
	bothWays(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.NoStore(w)
		fmt.Fprint(w, "begin")
		flush(w)
		<-r.Context().Done()
		left <- struct{}{}
	}), func(t *testing.T, s *httptest.Server) {
		w := open(t, s, newGet(t, s.URL))
		_, err := io.ReadFull(w.Body, make([]byte, 5))
		require.NoError(t, err)
		w.Body.Close()
		s.CloseClientConnections()
		<-left
	})
}

func aConnectionCanBeHijacked(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotImplemented)
			return
		}
		defer conn.Close()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		rw.Flush()
		line, _ := rw.ReadString('\n')
		fmt.Fprint(rw, "echo ", line)
		rw.Flush()
	})
	for _, upgrade := range []string{"", "Connection: Upgrade\r\nUpgrade: echo\r\n"} {
		for _, h := range []http.Handler{handler, edgecache.Cache(handler)} {
			s := startServer(t, h, false)
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: a.test\r\n%s\r\n", upgrade)
			lines := bufio.NewReader(conn)
			w, err := http.ReadResponse(lines, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusSwitchingProtocols, w.StatusCode)
			require.Equal(t, "echo", w.Header.Get("Upgrade"))
			fmt.Fprint(conn, "hello\n")
			line, err := lines.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "echo hello\n", line)
		}
	}
}

// A handler that reads a piece, answers it, and only then gets the next one.
func aHandlerMayReadAndWriteInTurn(t *testing.T) {
	bothWays(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil && r.ProtoMajor == 1 {
			http.Error(w, err.Error(), http.StatusNotImplemented)
			return
		}
		lines := bufio.NewReader(r.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprint(w, "echo ", line)
			flush(w)
		}
	}), func(t *testing.T, s *httptest.Server) {
		for _, method := range []string{"POST", "GET"} {
			body, pipe := io.Pipe()
			r, err := http.NewRequestWithContext(t.Context(), method, s.URL, body)
			require.NoError(t, err)
			go fmt.Fprint(pipe, "1\n")
			w := open(t, s, r)
			lines := bufio.NewReader(w.Body)
			for i := range 3 {
				line, err := lines.ReadString('\n')
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf("echo %d\n", i+1), line)
				if i < 2 {
					fmt.Fprintf(pipe, "%d\n", i+2)
				}
			}
			pipe.Close()
			rest, err := io.ReadAll(lines)
			require.NoError(t, err)
			require.Empty(t, rest)
		}
	})
}

// A deadline that has passed breaks the answer off, with the cache as without.
func aWriteDeadlineBreaksTheResponseOff(t *testing.T) {
	bothWays(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(-time.Second))
		fmt.Fprint(w, strings.Repeat("never ", 10_000))
	}), func(t *testing.T, s *httptest.Server) {
		got := look(t, s, "GET", "/", nil, nil)
		require.True(t, got.broken)
	})
}

// Routers tell the route by r.Pattern, to the handler and to middleware around, which labels its
// metrics by it.
func thePatternReachesBothSides(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "POST"} {
		var inside, outside string
		mux := http.NewServeMux()
		mux.HandleFunc("/page/{id}", func(w http.ResponseWriter, r *http.Request) {
			inside = r.Pattern + " " + r.PathValue("id")
			edgecache.NoStore(w)
		})
		cached := edgecache.Cache(mux)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cached.ServeHTTP(w, r)
			outside = r.Pattern
		})
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, "/page/7", nil))
		if inside != "/page/{id} 7" || outside != "/page/{id}" {
			t.Errorf("%s: got %q inside, %q outside", method, inside, outside)
		}
	}
}

// Outer middleware may set a field for each request: it is neither stored nor doubled, and wins.
func theRequestIDIsThatOfTheRequest(t *testing.T) {
	n := 0
	edge, err := edgecache.New(edgecache.Config{HonorRequestDirectives: true}) // so that no-cache fetches the page again
	require.NoError(t, err)
	cached := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") }))
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		w.Header().Set("X-Request-Id", fmt.Sprint(n))
		cached.ServeHTTP(w, r)
	})
	for i, header := range []string{"", "Range: bytes=0-1", "If-None-Match: *", "Cache-Control: no-cache", ""} {
		r := httptest.NewRequest("GET", "/", nil)
		if name, value, ok := strings.Cut(header, ": "); ok {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, []string{fmt.Sprint(i + 1)}, w.Header()["X-Request-Id"], header)
	}
}

// The server removes the temporary files of an upload when the request is done: of the request that
// it has made, whatever became of the one that the handler got. Middleware outside sees the forms
// that the handler has parsed.
func formsReachBothSides(t *testing.T) {
	for _, tt := range []struct {
		name, method string
		handler      func(w http.ResponseWriter)
	}{
		{"a POST", "POST", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "done") }},
		{"a POST whose answer is stored", "POST", func(w http.ResponseWriter) {
			w.Header().Set("Content-Location", "/")
			edgecache.MaxAge(w, time.Minute)
			_, _ = io.WriteString(w, "done")
		}},
		{"a POST that writes nothing", "POST", func(http.ResponseWriter) {}},
		{"a POST that panics", "POST", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
		{"a PUT", "PUT", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "done") }},
		{"a PUT that panics", "PUT", func(http.ResponseWriter) { panic("oops") }},
		{"a GET with a body", "GET", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "done") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("TMPDIR", dir)
			files := func() int {
				found, err := filepath.Glob(filepath.Join(dir, "multipart-*"))
				require.NoError(t, err)
				return len(found)
			}
			inside := 0
			cached := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				require.NoError(t, r.ParseMultipartForm(1))
				inside = files()
				tt.handler(w)
			}))
			outside := make(chan *http.Request, 1)
			s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer func() { _ = recover(); outside <- r }()
				cached.ServeHTTP(w, r)
			}), false)
			var body bytes.Buffer
			m := multipart.NewWriter(&body)
			require.NoError(t, m.WriteField("name", "value"))
			part, err := m.CreateFormFile("file", "a.bin")
			require.NoError(t, err)
			_, err = part.Write(make([]byte, 11<<20)) // 10 MiB stay in memory whatever the limit
			require.NoError(t, err)
			require.NoError(t, m.Close())
			look(t, s, tt.method, "/", http.Header{"Content-Type": {m.FormDataContentType()}}, &body)
			require.Equal(t, 1, inside, "the handler has its file")
			r := <-outside
			require.NotNil(t, r.MultipartForm)
			require.Equal(t, "value", r.FormValue("name"))
			s.Close() // the server is done with the request
			require.Zero(t, files(), "files stay for ever")
		})
	}
}

// A client has all of a stale page, and gets the next one on the same connection, while the page is
// made anew.
func refreshesHoldUpNoConnection(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"} {
		for name, around := range map[string]func(http.Handler) http.Handler{
			"alone":               func(h http.Handler) http.Handler { return h },
			"http.TimeoutHandler": func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Minute, "too slow") },
			"a context":           func(h http.Handler) http.Handler { return within(h, true) },
		} {
			t.Run(protocol+"/"+name, func(t *testing.T) {
				edge := emptyEdge(t)
				gate, calls := make(chan struct{}), make(chan bool, 10)
				stale := false
				s := startServer(t, around(edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if stale {
						calls <- edgecache.Refreshing(r)
						<-gate
					}
					w.Header().Set("Cache-Control", "max-age=600, stale-while-revalidate=600")
					_, _ = io.WriteString(w, "page")
				}))), protocol == "HTTP/2.0")
				get := getter(t, s, protocol)
				require.Equal(t, "MISS page", get())
				_, err := edge.Soft().PurgeAll(t.Context())
				require.NoError(t, err)
				stale = true
				for range 3 {
					require.Equal(t, "UPDATING page", get())
				}
				require.True(t, <-calls)
				close(gate)
				require.NoError(t, edge.Close(t.Context()))
				require.Equal(t, "HIT page", get())
				require.Empty(t, calls)
			})
		}
	}
}

// getter returns what gets a page to its end, over one connection where the protocol has it.
func getter(t *testing.T, s *httptest.Server, protocol string) func() string {
	t.Helper()
	dial := func() (net.Conn, *bufio.Reader) {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		return conn, bufio.NewReader(conn)
	}
	read := func(w *http.Response, err error) string {
		require.NoError(t, err)
		defer w.Body.Close()
		body, err := io.ReadAll(w.Body)
		require.NoError(t, err)
		return w.Header.Get("X-Cache") + " " + string(body)
	}
	switch protocol {
	case "HTTP/1.0":
		return func() string {
			conn, lines := dial()
			fmt.Fprint(conn, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n")
			got := read(http.ReadResponse(lines, nil))
			_, err := lines.ReadByte()
			require.ErrorIs(t, err, io.EOF)
			return got
		}
	case "HTTP/1.1":
		conn, lines := dial()
		return func() string {
			fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
			return read(http.ReadResponse(lines, nil))
		}
	}
	return func() string {
		r := newGet(t, s.URL)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		return read(s.Client().Do(r.WithContext(ctx)))
	}
}
