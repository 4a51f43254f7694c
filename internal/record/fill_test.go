package record

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/field"
)

// judge decides as it is told and notes what it hears.
type judge struct {
	fill    Fill
	plan    string // "direct", "bodiless", "keep", "discard", or "" to forget to decide
	commits []int
	grown   int
	flushes int
	ctx     context.Context
	body    bytes.Buffer
	header  http.Header // the handler's own fields at the commit
	edits   field.Edits // and what it did to others
}

func (j *judge) Commit(status int) {
	j.commits = append(j.commits, status)
	j.header, j.edits = j.fill.Own()
	switch j.plan {
	case "direct":
		j.fill.Direct().Set("X-Cache", "BYPASS")
		j.fill.Send()
	case "bodiless":
		j.fill.Direct()
		j.fill.Bodiless()
		j.fill.Send()
	case "keep":
		j.fill.Keep(&j.body)
	case "discard":
		j.fill.Discard()
	}
}
func (j *judge) Grow(n int) { j.grown += n }
func (j *judge) Flush()     { j.flushes++ }

func (j *judge) Context() context.Context { return j.ctx }

// run calls the handler behind a Fill whose judge follows plan.
func run(plan string, w http.ResponseWriter, handler func(w http.ResponseWriter)) *judge {
	j := &judge{plan: plan}
	handler(j.fill.Init(w, j))
	j.fill.Finish()
	return j
}

func TestCommit(t *testing.T) {
	t.Run("once, at the final status", func(t *testing.T) {
		for _, tt := range []struct {
			name    string
			handler func(w http.ResponseWriter)
			want    int
		}{
			{"a handler that does nothing", func(http.ResponseWriter) {}, 200},
			{"a status", func(w http.ResponseWriter) { w.WriteHeader(404) }, 404},
			{"a second status is ignored", func(w http.ResponseWriter) { w.WriteHeader(404); w.WriteHeader(500) }, 404},
			{"a write", func(w http.ResponseWriter) { w.Write([]byte("x")) }, 200},
			{"an empty write", func(w http.ResponseWriter) { w.Write(nil) }, 200},
			{"a string", func(w http.ResponseWriter) { io.WriteString(w, "x") }, 200},
			{"a flush", func(w http.ResponseWriter) { w.(http.Flusher).Flush() }, 200},
			{"a copy", func(w http.ResponseWriter) { io.Copy(w, strings.NewReader("x")) }, 200},
			{"interim responses before it (RFC 9110, 15.2)", func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(100); w.WriteHeader(201) }, 201},
			{"101 is final", func(w http.ResponseWriter) { w.WriteHeader(101) }, 101},
			{"a status after a write is ignored", func(w http.ResponseWriter) { w.Write([]byte("x")); w.WriteHeader(404) }, 200},
		} {
			for _, plan := range []string{"direct", "keep", "discard"} {
				j := run(plan, httptest.NewRecorder(), tt.handler)
				require.Equal(t, []int{tt.want}, j.commits, "%s, %s", tt.name, plan)
				require.Equal(t, tt.want, j.fill.Status())
				require.True(t, j.fill.Committed())
				require.False(t, j.fill.Hijacked())
			}
		}
	})
	// RFC 9110, 15.2: an interim response is for the client that waits, and its fields are not
	// those of the final one.
	t.Run("interim responses reach the client with their own fields", func(t *testing.T) {
		for _, plan := range []string{"direct", "keep"} {
			hinted := &interim{ResponseRecorder: httptest.NewRecorder()}
			hinted.Header().Set("X-Request-Id", "7")
			j := run(plan, hinted, func(w http.ResponseWriter) {
				w.Header().Set("Link", "</s.css>; rel=preload")
				w.WriteHeader(103)
				w.Header().Del("Link")
				w.WriteHeader(200)
			})
			require.Equal(t, []int{200}, j.commits)
			require.Equal(t, http.Header{"X-Request-Id": {"7"}, "Link": {"</s.css>; rel=preload"}}, hinted.seen[103])
			require.NotContains(t, hinted.Header(), "Link")
			require.Equal(t, "7", hinted.Header().Get("X-Request-Id"))
		}
	})
	t.Run("an invalid status is left to the server", func(t *testing.T) {
		for _, status := range []int{0, 99, 1000, -1} {
			w := httptest.NewRecorder()
			j := &judge{plan: "keep"}
			hw := j.fill.Init(w, j)
			require.Panics(t, func() { hw.WriteHeader(status) }, status)
			require.Empty(t, j.commits)
			require.False(t, j.fill.Committed())
		}
	})
	// With a Judge that does not decide, a response would vanish.
	t.Run("the Judge must decide", func(t *testing.T) {
		require.Panics(t, func() { run("", httptest.NewRecorder(), func(http.ResponseWriter) {}) })
	})
}

func TestDirect(t *testing.T) {
	t.Run("it lets everything through", func(t *testing.T) {
		w := httptest.NewRecorder()
		w.Header().Set("X-Request-Id", "7")
		j := run("direct", w, func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Del("X-Request-Id")
			w.WriteHeader(404)
			w.Header().Set("X-Late", "1")
			w.Write([]byte("not "))
			io.WriteString(w, "found")
			w.(http.Flusher).Flush()
			io.Copy(w, strings.NewReader(" here"))
		})
		r := w.Result()
		require.Equal(t, 404, r.StatusCode)
		require.Equal(t, http.Header{"Content-Type": {"text/plain"}, "X-Cache": {"BYPASS"}}, r.Header)
		require.Equal(t, "not found here", w.Body.String())
		require.True(t, w.Flushed)
		require.Zero(t, j.grown)
		require.Zero(t, j.flushes)
	})
	t.Run("it needs no addition", func(t *testing.T) {
		w := httptest.NewRecorder()
		f := Fill{}
		f.Init(w, nil)
		f.Header().Set("A", "b")
		f.status = 204
		f.Direct()
		f.Send()
		require.Equal(t, http.Header{"A": {"b"}}, w.Result().Header)
	})
}

func TestKeep(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("X-Request-Id", "7")
	j := run("keep", w, func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write([]byte("a "))
		io.WriteString(w, "page")
		require.NoError(t, http.NewResponseController(w).Flush())
		io.Copy(w, strings.NewReader(" here"))
		w.Header().Set("Content-Type", "too/late")
	})
	require.Equal(t, "a page here", j.body.String())
	require.Equal(t, 11, j.grown)
	require.Equal(t, 1, j.flushes)
	require.Empty(t, w.Body.String())
	require.False(t, w.Flushed)
	require.Equal(t, http.Header{"X-Request-Id": {"7"}}, w.Header(), "the client's header is untouched")
	require.Equal(t, http.Header{"Content-Type": {"text/plain"}}, j.header, "what outer middleware has set is not the response's")
	dst := http.Header{"Old": {"1"}}
	j.fill.ReplaceHeader(dst)
	require.Equal(t, http.Header{"Content-Type": {"text/plain"}, "X-Request-Id": {"7"}}, dst, "as it was when the status was set")
}

func TestDiscard(t *testing.T) {
	w := httptest.NewRecorder()
	j := run("discard", w, func(w http.ResponseWriter) {
		w.WriteHeader(500)
		n, err := w.Write([]byte("oh no"))
		require.Equal(t, 5, n)
		require.NoError(t, err)
		n, err = io.WriteString(w, "!")
		require.Equal(t, 1, n)
		require.NoError(t, err)
		require.NoError(t, http.NewResponseController(w).Flush())
		m, err := w.(io.StringWriter).WriteString("")
		require.Zero(t, m)
		require.NoError(t, err)
	})
	require.Empty(t, w.Body.String())
	require.False(t, w.Flushed)
	require.Empty(t, w.Header())
	require.Zero(t, j.grown)
}

func TestOwn(t *testing.T) {
	for _, row := range []struct {
		name    string
		outer   http.Header
		handler func(h http.Header)
		own     http.Header
		edits   field.Edits
	}{
		{"nothing is edited where nothing was", nil, func(h http.Header) { h.Set("A", "1"); h.Del("B") }, http.Header{"A": {"1"}}, nil},
		{"what is left alone is not the handler's", http.Header{"A": {"1"}, "B": {}}, func(http.Header) {}, http.Header{}, nil},
		{"another value of the same text is", http.Header{"A": {"1"}}, func(h http.Header) { h.Set("A", "1") }, http.Header{"A": {"1"}}, nil},
		{"a changed line is, and not the one beside it", http.Header{"A": {"1", "2"}}, func(h http.Header) { h["A"][1] = "3" }, http.Header{"A": {"3"}}, nil},
		{"a shortened list is not", http.Header{"A": {"1", "2"}}, func(h http.Header) { h["A"] = h["A"][:1] }, http.Header{}, nil},
		{"a list in another order is not", http.Header{"A": {"1", "2", "1"}}, func(h http.Header) { h["A"] = []string{"1", "1", "2"} }, http.Header{}, nil},
		{"a list that is set is", http.Header{"A": {"1", "2"}}, func(h http.Header) { h["A"] = []string{"2"} }, http.Header{"A": {"2"}}, nil},
		{"of lines added to another order only these are", http.Header{"A": {"1", "2"}}, func(h http.Header) { slices.Reverse(h["A"]); h.Add("A", "3") }, http.Header{"A": {"3"}}, field.Edits{"A": field.Added}},
		{"of lines put around only these are", http.Header{"A": {"1"}}, func(h http.Header) { h["A"] = []string{"2", "1", "3"} }, http.Header{"A": {"2", "3"}}, field.Edits{"A": field.Before}},
		{"a list put back is not", http.Header{"A": {"1", "2"}}, func(h http.Header) { h["A"] = slices.Clone(h["A"]) }, http.Header{}, nil},
		{"of lines put before only these are", http.Header{"A": {"1", "2"}}, func(h http.Header) { h["A"] = append([]string{"2"}, h["A"]...) }, http.Header{"A": {"2"}}, field.Edits{"A": field.Before}},
		{"an emptied list is", http.Header{"A": {"1"}}, func(h http.Header) { h["A"] = nil }, http.Header{"A": {}}, nil},
		{"lines in a list that was empty are", http.Header{"A": {}}, func(h http.Header) { h.Add("A", "1") }, http.Header{"A": {"1"}}, nil},
		{"of added lines only these are", http.Header{"A": {"1", "2"}}, func(h http.Header) { h.Add("A", "2") }, http.Header{"A": {"2"}}, field.Edits{"A": field.Added}},
		{"a field that is gone is an edit", http.Header{"A": {"1"}, "B": {}}, func(h http.Header) { clear(h) }, http.Header{}, field.Edits{"A": field.Removed, "B": field.Removed}},
		{"Vary has no edits", http.Header{"Vary": {"Accept"}}, func(h http.Header) { h.Del("Vary") }, http.Header{}, nil},
		{"nor when it is added to", http.Header{"Vary": {"Accept"}}, func(h http.Header) { h.Add("Vary", "Cookie") }, http.Header{"Vary": {"Cookie"}}, nil},
		{"a type that is left alone is noted", http.Header{"Content-Type": {"text/css"}, "Etag": {`"1"`}}, func(http.Header) {}, http.Header{},
			field.Edits{"Content-Type": field.Left, "Etag": field.Left}},
		{"a restriction that is replaced is noted", http.Header{"Cache-Control": {"no-store"}}, func(h http.Header) { h.Set("Cache-Control", "max-age=1") },
			http.Header{"Cache-Control": {"max-age=1"}}, field.Edits{"Cache-Control": field.Overrode}},
		{"a restriction that stays is not", http.Header{"Cache-Control": {"private"}}, func(h http.Header) { h.Set("Cache-Control", "private, max-age=1") },
			http.Header{"Cache-Control": {"private, max-age=1"}}, nil},
		{"a restriction that is taken off is noted", http.Header{"Cdn-Cache-Control": {"no-cache"}}, func(h http.Header) { h.Del("Cdn-Cache-Control") },
			http.Header{}, field.Edits{"Cdn-Cache-Control": field.Overrode}},
		{"odd spellings are folded", http.Header{}, func(h http.Header) {
			h["cache-control"] = []string{"a"}
			h["Cache-Control "] = []string{"b"}
			h.Set("Cache-Control", "c")
		},
			http.Header{"Cache-Control": {"c", "b", "a"}}, nil},
		{"an odd spelling outside that is changed gives way to the right one", http.Header{"x-a": {"1"}}, func(h http.Header) { h["x-a"] = []string{"2"} },
			http.Header{"X-A": {"2"}}, field.Edits{"x-a": field.Removed}},
		{"a field without a name is none", http.Header{"": {"1"}}, func(h http.Header) { h[""] = []string{"2"}; h[" "] = []string{"3"} }, http.Header{}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			for name, lines := range row.outer {
				w.Header()[name] = lines
			}
			j := run("direct", w, func(w http.ResponseWriter) { row.handler(w.Header()) })
			require.Equal(t, row.own, j.header)
			require.Equal(t, row.edits, j.edits)

			var given Given
			h := given.hand(row.outer, nil)
			row.handler(h)
			own, _ := given.own(h, nil)
			for _, lines := range h {
				for i := range lines {
					lines[i] = "changed later"
				}
			}
			require.Equal(t, row.own, own, "it shares no slice with the handler's header")
		})
	}
}

func TestBodiless(t *testing.T) {
	for _, row := range []struct {
		name    string
		handler func(w http.ResponseWriter) error
		err     error
		seen    int
		flushed bool
	}{
		{"nothing", func(w http.ResponseWriter) error { w.WriteHeader(200); return nil }, nil, 0, false},
		{"a short body", func(w http.ResponseWriter) error { _, err := w.Write([]byte("page")); return err }, nil, 4, false},
		{"a short string", func(w http.ResponseWriter) error { _, err := io.WriteString(w, "page"); return err }, nil, 4, false},
		{"as much as is held back", func(w http.ResponseWriter) error { _, err := w.Write(make([]byte, heldBack)); return err }, nil, heldBack, false},
		{"a byte more", func(w http.ResponseWriter) error { _, err := w.Write(make([]byte, heldBack+1)); return err }, http.ErrBodyNotAllowed, sniffed, true},
		{"a byte more, in pieces", func(w http.ResponseWriter) error {
			for range heldBack {
				if _, err := w.Write([]byte("a")); err != nil {
					return err
				}
			}
			_, err := io.WriteString(w, "a")
			return err
		}, http.ErrBodyNotAllowed, heldBack, true},
		{"a copy", func(w http.ResponseWriter) error {
			_, err := io.Copy(w, strings.NewReader(strings.Repeat("a", 9000)))
			return err
		}, http.ErrBodyNotAllowed, sniffed, true},
		{"a flush", func(w http.ResponseWriter) error {
			w.(http.Flusher).Flush()
			_, err := w.Write([]byte("a"))
			return err
		}, http.ErrBodyNotAllowed, 0, true},
		{"two flushes", func(w http.ResponseWriter) error {
			w.(http.Flusher).Flush()
			return http.NewResponseController(w).Flush()
		}, nil, 0, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			j := &judge{plan: "bodiless"}
			require.ErrorIs(t, row.handler(j.fill.Init(w, j)), row.err)
			j.fill.Finish()
			require.Equal(t, row.seen, w.Body.Len())
			require.Equal(t, row.flushed, w.Flushed)
			require.Equal(t, row.flushed, j.fill.Stopped())
		})
	}
}

func TestLate(t *testing.T) {
	for _, row := range []struct {
		name    string
		handler func(w http.ResponseWriter)
		want    int
	}{
		{"no second status", func(w http.ResponseWriter) { w.WriteHeader(500) }, 0},
		{"an error after the first byte", func(w http.ResponseWriter) { w.Write([]byte("x")); w.WriteHeader(500) }, 500},
		{"an error after the status, before any byte", func(w http.ResponseWriter) { w.WriteHeader(200); http.Error(w, "no", 404) }, 404},
		{"another error after an error", func(w http.ResponseWriter) { w.WriteHeader(404); w.WriteHeader(500) }, 500},
		{"the same again", func(w http.ResponseWriter) { w.WriteHeader(404); w.WriteHeader(404) }, 0},
		{"no error", func(w http.ResponseWriter) { w.WriteHeader(404); w.WriteHeader(200); w.WriteHeader(399) }, 0},
		{"an interim response", func(w http.ResponseWriter) { w.WriteHeader(200); w.WriteHeader(103) }, 0},
	} {
		j := run("keep", httptest.NewRecorder(), row.handler)
		if got := j.fill.Late(); got != row.want {
			t.Errorf("%s: got %d, want %d", row.name, got, row.want)
		}
	}
}

// RFC 9110, 12.5.5: whatever the handler does to Vary, it names what middleware outside depends on.
func TestVary(t *testing.T) {
	for _, plan := range []string{"direct", "keep"} {
		w := httptest.NewRecorder()
		w.Header().Set("Vary", "Origin")
		j := run(plan, w, func(w http.ResponseWriter) { w.Header().Set("Vary", "Accept") })
		h := http.Header{}
		j.fill.ReplaceHeader(h)
		require.Equal(t, []string{"Origin", "Accept"}, h["Vary"], plan)
		require.Equal(t, []string{"Accept"}, j.header["Vary"], plan)
	}
}

// interim keeps the header of each interim response, as net/http sends it.
type interim struct {
	*httptest.ResponseRecorder
	seen map[int]http.Header
}

func (w *interim) WriteHeader(status int) {
	if status < 200 {
		w.seen = map[int]http.Header{status: w.Header().Clone()}
		return
	}
	w.ResponseRecorder.WriteHeader(status)
}

func TestDeclaredLength(t *testing.T) {
	for _, tt := range []struct {
		name     string
		length   []string
		pieces   []string
		declared int64
		complete bool
		err      error // of the last piece
	}{
		{"none", nil, []string{"page"}, -1, true, nil},
		{"that came", []string{"4"}, []string{"page"}, 4, true, nil},
		{"that came in pieces", []string{"4"}, []string{"pa", "", "ge"}, 4, true, nil},
		{"that did not come", []string{"5"}, []string{"page"}, 5, false, nil},
		{"of which nothing came", []string{"5"}, nil, 5, false, nil},
		{"that was passed", []string{"3"}, []string{"pag", "e"}, 3, false, http.ErrContentLength},
		{"that was passed at once", []string{"3"}, []string{"page"}, 3, false, http.ErrContentLength},
		{"of zero, and nothing came", []string{"0"}, nil, 0, true, nil},
		{"of zero, and something came", []string{"0"}, []string{"x"}, 0, false, http.ErrContentLength},
		{"that is no number", []string{"many"}, []string{"page"}, -1, true, nil},
		{"that is negative", []string{"-4"}, []string{"page"}, -1, true, nil},
		{"that was declared twice", []string{"4", "5"}, []string{"page"}, -1, true, nil},
	} {
		for _, plan := range []string{"keep", "discard"} {
			for _, text := range []bool{false, true} {
				var err error
				j := run(plan, httptest.NewRecorder(), func(w http.ResponseWriter) {
					if tt.length != nil {
						w.Header()["Content-Length"] = tt.length
					}
					for _, p := range tt.pieces {
						if text {
							_, err = w.(io.StringWriter).WriteString(p)
						} else {
							_, err = w.Write([]byte(p))
						}
					}
				})
				require.Equal(t, tt.declared, j.fill.Declared(), tt.name)
				require.Equal(t, tt.complete, j.fill.Complete(), tt.name)
				require.Equal(t, tt.err, err, tt.name)
				if plan == "keep" && tt.err != nil {
					require.LessOrEqual(t, int64(j.body.Len()), tt.declared, tt.name)
				}
			}
		}
	}
}

// RFC 9110, 6.4.1.
func TestNoBody(t *testing.T) {
	for _, status := range []int{204, 304} {
		for _, plan := range []string{"keep", "discard"} {
			j := run(plan, httptest.NewRecorder(), func(w http.ResponseWriter) {
				w.WriteHeader(status)
				_, err := w.Write([]byte("x"))
				require.ErrorIs(t, err, http.ErrBodyNotAllowed)
				_, err = io.WriteString(w, "x")
				require.ErrorIs(t, err, http.ErrBodyNotAllowed)
				_, err = w.Write(nil)
				require.NoError(t, err)
			})
			require.Zero(t, j.body.Len())
		}
	}
}

var errSource = errors.New("the source broke off")

// fromReader is a recorder with a ReadFrom of its own.
type fromReader struct {
	*httptest.ResponseRecorder
	read int64
}

func (w *fromReader) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseRecorder, src)
	w.read += n
	return n, err
}

func TestReadFrom(t *testing.T) {
	t.Run("it uses the writer's own where it can", func(t *testing.T) {
		long := strings.Repeat("0123456789", 1000)
		for _, plan := range []string{"direct", "keep"} {
			w := &fromReader{ResponseRecorder: httptest.NewRecorder()}
			j := run(plan, w, func(w http.ResponseWriter) {
				n, err := w.(io.ReaderFrom).ReadFrom(struct{ io.Reader }{strings.NewReader(long)})
				require.NoError(t, err)
				require.EqualValues(t, len(long), n)
				n, err = w.(io.ReaderFrom).ReadFrom(struct{ io.Reader }{strings.NewReader(long)})
				require.NoError(t, err)
				require.EqualValues(t, len(long), n)
			})
			if plan == "keep" {
				require.Equal(t, long+long, j.body.String())
				require.Zero(t, w.read)
			} else {
				require.Equal(t, long+long, w.Body.String())
				require.Positive(t, w.read, "the client's own ReadFrom, and with it sendfile, is used")
			}
		}
	})
	// In net/http a source that ends or breaks before its first byte sets no status: the handler
	// may still respond with 404.
	t.Run("an empty source commits nothing", func(t *testing.T) {
		for _, src := range []io.Reader{strings.NewReader(""), io.MultiReader(errReader{})} {
			j := run("keep", &fromReader{ResponseRecorder: httptest.NewRecorder()}, func(w http.ResponseWriter) {
				n, _ := w.(io.ReaderFrom).ReadFrom(src)
				require.Zero(t, n)
				w.WriteHeader(404)
			})
			require.Equal(t, []int{404}, j.commits)
		}
	})
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errSource }

func TestFlush(t *testing.T) {
	bare := struct{ http.ResponseWriter }{httptest.NewRecorder()}
	j := &judge{plan: "keep"}
	hw := j.fill.Init(bare, j)
	require.ErrorIs(t, http.NewResponseController(hw).Flush(), http.ErrNotSupported)
	require.False(t, j.fill.Committed(), "the handler may still set another status")
	_, flushes := hw.(http.Flusher)
	require.False(t, flushes)
}

// conn is a writer that can be hijacked, once.
type conn struct {
	*httptest.ResponseRecorder
	err error
}

func (c *conn) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, c.err }

func TestHijack(t *testing.T) {
	for _, tt := range []struct {
		name     string
		plan     string
		before   func(w http.ResponseWriter)
		err      error // of the connection's own Hijack
		want     error
		hijacked bool
	}{
		{"before anything was said", "keep", func(http.ResponseWriter) {}, nil, nil, true},
		{"that fails", "keep", func(http.ResponseWriter) {}, http.ErrHijacked, http.ErrHijacked, false},
		{"of a response that goes through", "direct", func(w http.ResponseWriter) { w.WriteHeader(101) }, nil, nil, true},
		{"of a response that is kept", "keep", func(w http.ResponseWriter) { w.WriteHeader(200) }, nil, http.ErrHijacked, false},
		{"of a response that is discarded", "discard", func(w http.ResponseWriter) { w.WriteHeader(500) }, nil, http.ErrHijacked, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &conn{ResponseRecorder: httptest.NewRecorder(), err: tt.err}
			j := &judge{plan: tt.plan}
			hw := j.fill.Init(w, j)
			tt.before(hw)
			commits := len(j.commits)
			_, _, err := http.NewResponseController(hw).Hijack()
			require.Equal(t, tt.want, err)
			require.Equal(t, tt.hijacked, j.fill.Hijacked())
			if tt.hijacked {
				j.fill.Finish()
				require.Len(t, j.commits, commits, "the connection is the handler's: nothing is said on it")
				hw.Write([]byte("x")) // net/http returns ErrHijacked; the recorder takes it
				io.WriteString(hw, "y")
				io.Copy(hw, strings.NewReader("z"))
				require.Equal(t, "xyz", w.Body.String())
				require.Zero(t, j.body.Len())
			}
		})
	}
}

func TestTrailers(t *testing.T) {
	w := httptest.NewRecorder()
	run("direct", w, func(w http.ResponseWriter) {
		w.Header().Set("Trailer", "x-sum, X-Never")
		w.Write([]byte("page"))
		w.Header().Set("X-Sum", "1")
		w.Header().Set(http.TrailerPrefix+"X-Late", "2")
		w.Header().Set("X-Other", "3")
	})
	require.Equal(t, http.Header{"X-Sum": {"1"}, "X-Late": {"2"}}, w.Result().Trailer)
	require.NotContains(t, w.Header(), "X-Other")
}

type pusher struct {
	http.ResponseWriter
	target string
}

func (p *pusher) Push(target string, _ *http.PushOptions) error { p.target = target; return nil }

func TestPush(t *testing.T) {
	p := &pusher{ResponseWriter: httptest.NewRecorder()}
	j := &judge{plan: "keep"}
	require.NoError(t, j.fill.Init(p, j).(http.Pusher).Push("/s.css", nil))
	require.Equal(t, "/s.css", p.target)
	j.fill.Init(httptest.NewRecorder(), j)
	require.ErrorIs(t, j.fill.Push("/s.css", nil), http.ErrNotSupported)
}

func TestUnwrap(t *testing.T) {
	w := httptest.NewRecorder()
	j := &judge{}
	j.fill.Init(w, j)
	require.Same(t, w, j.fill.Unwrap())
}

// headerless is a writer whose Header is nil, as some mocks have it.
type headerless struct{ http.ResponseWriter }

func (headerless) Header() http.Header { return nil }

func TestHeader(t *testing.T) {
	j := run("keep", headerless{httptest.NewRecorder()}, func(w http.ResponseWriter) {
		w.Header().Set("Etag", `"1"`)
	})
	require.Equal(t, http.Header{"Etag": {`"1"`}}, j.header)
}
