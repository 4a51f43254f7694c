package record

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// probe is a writer that notes what it is told, and takes all shapes.
type probe struct {
	header http.Header
	log    []string
	err    error // of Hijack, Write
	short  bool  // Write takes one byte less
}

func (p *probe) note(format string, a ...any) { p.log = append(p.log, fmt.Sprintf(format, a...)) }
func (p *probe) Header() http.Header          { return p.header }
func (p *probe) WriteHeader(status int)       { p.note("header %d", status) }
func (p *probe) Flush()                       { p.note("flush") }

func (p *probe) Write(b []byte) (int, error) {
	p.note("write %s", b)
	if p.short {
		return len(b) - 1, p.err
	}
	return len(b), p.err
}

func (p *probe) WriteString(s string) (int, error) { p.note("string %s", s); return len(s), p.err }

func (p *probe) ReadFrom(r io.Reader) (int64, error) {
	b, err := io.ReadAll(r)
	p.note("from %s", b)
	return int64(len(b)), err
}

func (p *probe) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	p.note("hijack")
	return nil, nil, p.err
}

func (p *probe) Push(target string, _ *http.PushOptions) error {
	p.note("push %s", target)
	return p.err
}

func hooked(w http.ResponseWriter, p *probe) (http.ResponseWriter, func()) {
	return Hook(context.Background(), w, func(status int) { p.note("before %d", status) })
}

func copyInto(w http.ResponseWriter, r io.Reader) error {
	_, err := w.(io.ReaderFrom).ReadFrom(r)
	return err
}

func TestHook(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name string
		do   func(http.ResponseWriter)
		want []string
	}{
		{"WriteHeader tells its status", func(w http.ResponseWriter) { w.WriteHeader(404) },
			[]string{"before 404", "header 404"}},
		{"a second WriteHeader passes through for the server to log", func(w http.ResponseWriter) { w.WriteHeader(404); w.WriteHeader(200) },
			[]string{"before 404", "header 404", "header 200"}},
		{"a 1xx is not final", func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(100); w.WriteHeader(204) },
			[]string{"header 103", "header 100", "before 204", "header 204"}},
		{"101 is final", func(w http.ResponseWriter) { w.WriteHeader(101) },
			[]string{"before 101", "header 101"}},
		{"a status that net/http panics on decides nothing", func(w http.ResponseWriter) { w.WriteHeader(0); w.WriteHeader(1000) },
			[]string{"header 0", "header 1000", "before 200"}},
		{"Write means 200", func(w http.ResponseWriter) { _, _ = w.Write([]byte("a")); _, _ = w.Write([]byte("b")) },
			[]string{"before 200", "write a", "write b"}},
		{"a Write of nothing means 200 too", func(w http.ResponseWriter) { _, _ = w.Write(nil) },
			[]string{"before 200", "write "}},
		{"WriteString stays a WriteString", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "a") },
			[]string{"before 200", "string a"}},
		{"Flush means 200", func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
			[]string{"before 200", "flush"}},
		{"Flush after WriteHeader means nothing more", func(w http.ResponseWriter) { w.WriteHeader(201); w.(http.Flusher).Flush() },
			[]string{"before 201", "header 201", "flush"}},
		{"ReadFrom after WriteHeader goes straight to ReadFrom", func(w http.ResponseWriter) { w.WriteHeader(200); _ = copyInto(w, strings.NewReader("abc")) },
			[]string{"before 200", "header 200", "from abc"}},
		{"ReadFrom without WriteHeader writes the first piece itself", func(w http.ResponseWriter) {
			_ = copyInto(w, strings.NewReader(strings.Repeat("a", 512)+"bc"))
		}, []string{"before 200", "write " + strings.Repeat("a", 512), "from bc"}},
		{"ReadFrom of an empty source leaves the status open", func(w http.ResponseWriter) { _ = copyInto(w, strings.NewReader("")); w.WriteHeader(404) },
			[]string{"before 404", "header 404"}},
		{"ReadFrom of a broken source leaves the status open", func(w http.ResponseWriter) {
			if err := copyInto(w, iotest.ErrReader(broken)); !errors.Is(err, broken) {
				panic(err)
			}
			w.WriteHeader(500)
		}, []string{"before 500", "header 500"}},
		{"ReadFrom takes the data that comes with an error", func(w http.ResponseWriter) {
			if err := copyInto(w, iotest.DataErrReader(strings.NewReader("a"))); err != nil {
				panic(err)
			}
		}, []string{"before 200", "write a", "from "}},
		{"a handler that writes nothing means 200", func(http.ResponseWriter) {},
			[]string{"before 200"}},
		{"Hijack ends our say", func(w http.ResponseWriter) { _, _, _ = w.(http.Hijacker).Hijack(); _, _ = w.Write(nil) },
			[]string{"hijack", "write "}},
		{"Push decides nothing", func(w http.ResponseWriter) { _ = w.(http.Pusher).Push("/a.css", nil) },
			[]string{"push /a.css", "before 200"}},
	} {
		p := &probe{header: http.Header{}}
		w, finish := hooked(p, p)
		tt.do(w)
		finish()
		finish()
		if !slices.Equal(p.log, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, p.log, tt.want)
		}
	}
}

func TestHookReadFrom(t *testing.T) {
	t.Run("it reports what was not written", func(t *testing.T) {
		p := &probe{header: http.Header{}, short: true}
		w, _ := hooked(p, p)
		n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("abc"))
		if n != 2 || !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("got %d, %v, want 2 and a short write", n, err)
		}
		p = &probe{header: http.Header{}, err: net.ErrClosed}
		w, _ = hooked(p, p)
		if n, err = w.(io.ReaderFrom).ReadFrom(strings.NewReader("abc")); n != 3 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %d, %v, want 3 and the error of the write", n, err)
		}
	})
	t.Run("it copies if the writer has none", func(t *testing.T) {
		rec := httptest.NewRecorder()
		h := &Hooked{w: rec, before: hook{t.Context(), func(int) {}}}
		n, err := h.ReadFrom(strings.NewReader(strings.Repeat("x", 2000)))
		if n != 2000 || err != nil || rec.Body.Len() != 2000 {
			t.Errorf("got %d, %v and %d bytes, want 2000", n, err, rec.Body.Len())
		}
	})
	// The server detects the type of a copied body as it does without us, whether its writer has a
	// ReadFrom or not (HTTP/2).
	t.Run("it leaves the type to the server", func(t *testing.T) {
		for _, two := range []bool{false, true} {
			srv := server(t, two, func(w http.ResponseWriter, r *http.Request) {
				outer, outerFinish := Hook(r.Context(), w, func(int) {})
				hw, finish := Hook(r.Context(), outer, func(int) {})
				defer outerFinish()
				defer finish()
				if r.URL.Path == "/status" {
					hw.WriteHeader(http.StatusOK)
				}
				_, _ = io.Copy(hw, struct{ io.Reader }{strings.NewReader("<!DOCTYPE html>" + strings.Repeat("x", 100_000))})
			})
			for _, path := range []string{"/", "/status"} {
				resp, err := srv.Client().Get(srv.URL + path)
				require.NoError(t, err)
				n, err := io.Copy(io.Discard, resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				if got, want := resp.Header.Get("Content-Type"), "text/html; charset=utf-8"; got != want || n != 100_015 {
					t.Errorf("%s %s: got %q and %d bytes, want %q and 100015", resp.Proto, path, got, n, want)
				}
			}
		}
	})
	t.Run("it keeps sendfile", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "f.txt")
		require.NoError(t, os.WriteFile(name, []byte(strings.Repeat("0123456789", 10_000)), 0o600))
		var from string
		srv := server(t, false, func(w http.ResponseWriter, r *http.Request) {
			hw, finish := Hook(r.Context(), spy{w, &from}, func(int) {})
			defer finish()
			f, err := os.Open(name)
			if err != nil {
				panic(err)
			}
			defer f.Close()
			_, _ = hw.(io.ReaderFrom).ReadFrom(f)
		})
		resp, err := srv.Client().Get(srv.URL)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		if from != "file" || len(body) != 100_000 || !strings.HasPrefix(string(body), "01234567890") {
			t.Errorf("got %d bytes, the server's ReadFrom saw %q, want the file itself", len(body), from)
		}
	})
}

func TestHookHijack(t *testing.T) {
	t.Run("after a refusal the hook still decides", func(t *testing.T) {
		p := &probe{header: http.Header{}, err: http.ErrNotSupported}
		w, finish := hooked(p, p)
		if _, _, err := w.(http.Hijacker).Hijack(); !errors.Is(err, http.ErrNotSupported) {
			t.Fatalf("got %v", err)
		}
		finish()
		if want := []string{"hijack", "before 200"}; !slices.Equal(p.log, want) {
			t.Errorf("got %q, want %q", p.log, want)
		}
	})
	t.Run("it lets a connection be hijacked", func(t *testing.T) {
		decided := false
		srv := server(t, false, func(w http.ResponseWriter, r *http.Request) {
			hw, finish := Hook(r.Context(), w, func(int) { decided = true })
			defer finish()
			conn, buf, err := hw.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			_, _ = buf.WriteString("HTTP/1.1 299 Mine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_ = buf.Flush()
			if _, err := hw.Write([]byte("x")); !errors.Is(err, http.ErrHijacked) {
				panic(err)
			}
		})
		resp, err := srv.Client().Get(srv.URL)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		if resp.StatusCode != 299 || decided {
			t.Errorf("got %d, decided %v, want 299 untouched", resp.StatusCode, decided)
		}
	})
}

func TestHookController(t *testing.T) {
	p := &probe{header: http.Header{}}
	w, _ := hooked(veil{p}, p)
	require.NoError(t, http.NewResponseController(w).Flush())
	if want := []string{"before 200", "flush"}; !slices.Equal(p.log, want) {
		t.Errorf("flush through a veil: got %q, want %q", p.log, want)
	}
	p = &probe{header: http.Header{}}
	w, finish := hooked(veil{p}, p)
	_, _, err := http.NewResponseController(w).Hijack()
	require.NoError(t, err)
	finish()
	if want := []string{"hijack"}; !slices.Equal(p.log, want) {
		t.Errorf("hijack through a veil: got %q, want %q", p.log, want)
	}
	p = &probe{header: http.Header{}}
	w, _ = hooked(veil{struct{ rw }{p}}, p)
	if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) || len(p.log) != 0 {
		t.Errorf("flush of what cannot: got %v after %q, want not supported and no header", err, p.log)
	}
	h := &Hooked{w: struct{ rw }{p}, before: hook{t.Context(), func(int) { t.Error("decided") }}}
	if err := h.Push("/", nil); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("push of what cannot: got %v", err)
	}
}

// notifier is a writer that is an http.CloseNotifier.
type notifier struct {
	rw
	gone chan bool
}

func (n notifier) CloseNotify() <-chan bool { return n.gone }

func TestHookCloseNotify(t *testing.T) {
	gone := make(chan bool)
	w, _ := Hook(t.Context(), notifier{httptest.NewRecorder(), gone}, func(int) {})
	if got := w.(interface{ CloseNotify() <-chan bool }).CloseNotify(); got != (<-chan bool)(gone) {
		t.Error("got another channel, want that of the writer")
	}
	ctx, cancel := context.WithCancel(t.Context())
	w, _ = Hook(ctx, httptest.NewRecorder(), func(int) {})
	told := w.(interface{ CloseNotify() <-chan bool }).CloseNotify()
	select {
	case <-told:
		t.Error("told while the client is there")
	default:
	}
	cancel()
	<-told
}

// server runs h on a real server; http/2 when two is true.
func server(t *testing.T, two bool, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = two
	if two {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv
}

func TestHookShape(t *testing.T) {
	for _, two := range []bool{false, true} {
		var bare, hookedShape, proto string
		srv := server(t, two, func(w http.ResponseWriter, r *http.Request) {
			hw, finish := Hook(r.Context(), w, func(int) { w.Header().Set("X-Before", "yes") })
			defer finish()
			bare, hookedShape, proto = lettersOf(w), lettersOf(hw), r.Proto
			if p, ok := hw.(http.Pusher); ok {
				_ = p.Push("/pushed", nil) // Go's client has push switched off
			}
		})
		resp, err := srv.Client().Get(srv.URL)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		if bare != hookedShape || bare == "" {
			t.Errorf("%s: shape %q, want %q", proto, hookedShape, bare)
		}
		if resp.Header.Get("X-Before") != "yes" {
			t.Errorf("%s: before was too late", proto)
		}
	}
}

// spy tells whether the server copies with ReadFrom, which is how sendfile starts.
type spy struct {
	http.ResponseWriter
	from *string
}

func (s spy) ReadFrom(r io.Reader) (int64, error) {
	if _, ok := r.(*os.File); ok {
		*s.from += "file"
	}
	return s.ResponseWriter.(io.ReaderFrom).ReadFrom(r)
}
