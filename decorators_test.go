package edgecache

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// letters names the optional interfaces of a writer.
func letters(w http.ResponseWriter) string {
	var s []string
	for name, has := range map[string]bool{
		"Flusher": implements[http.Flusher](w), "Hijacker": implements[http.Hijacker](w), "Pusher": implements[http.Pusher](w),
		"ReaderFrom": implements[io.ReaderFrom](w), "StringWriter": implements[io.StringWriter](w),
		"CloseNotifier": implements[interface{ CloseNotify() <-chan bool }](w),
	} {
		if has {
			s = append(s, name)
		}
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}

func implements[T any](v any) bool { _, ok := v.(T); return ok }

func TestDecoratorsKeepTheServersWriter(t *testing.T) {
	decorate := func(h http.Handler) http.Handler {
		nothing := AfterRequest(func(*http.Request, int, http.Header) {})
		return Policy{Public: true}.Handler(Routes(map[string]Policy{"/": {Immutable: true}})(nothing(Policy{MaxAge: time.Minute}.Handler(h))))
	}
	for _, tt := range []struct {
		two  bool
		want string
	}{
		{false, "CloseNotifier Flusher Hijacker ReaderFrom StringWriter"},
		{true, "CloseNotifier Flusher Pusher ReaderFrom StringWriter"}, // ReadFrom is always there, see record.Shape
	} {
		var got string
		var controls []error
		srv := httptest.NewUnstartedServer(decorate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = letters(w)
			rc := http.NewResponseController(w)
			later := time.Now().Add(time.Hour)
			controls = []error{rc.SetReadDeadline(later), rc.SetWriteDeadline(later), rc.EnableFullDuplex(), rc.Flush()}
		})))
		srv.EnableHTTP2 = tt.two
		srv.StartTLS()
		resp, err := srv.Client().Get(srv.URL)
		require.NoError(t, err)
		resp.Body.Close()
		srv.Close()
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", resp.Proto, got, tt.want)
		}
		for i, err := range controls {
			if err != nil {
				t.Errorf("%s: control %d: %v", resp.Proto, i, err)
			}
		}
		if got, want := resp.Header.Get("Cache-Control"), "max-age=60, immutable, public"; got != want {
			t.Errorf("%s: got %q, want %q", resp.Proto, got, want)
		}
	}
}

func TestDecoratorsStreamEvents(t *testing.T) {
	for _, two := range []bool{false, true} {
		next := make(chan string)
		srv := httptest.NewUnstartedServer(Policy{NoCache: true}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for event := range next {
				_, _ = fmt.Fprintf(w, "data: %s\n\n", event)
				w.(http.Flusher).Flush()
			}
		})))
		srv.EnableHTTP2 = two
		srv.StartTLS()
		next2 := make(chan struct{})
		go func() { next <- "one"; close(next2) }()
		resp, err := srv.Client().Get(srv.URL)
		require.NoError(t, err)
		<-next2
		lines := bufio.NewScanner(resp.Body)
		for _, want := range []string{"one", "two", "three"} {
			if want != "one" {
				next <- want // only now: what came before was read while the handler waits here
			}
			require.True(t, lines.Scan(), "the stream ended")
			if got := lines.Text(); got != "data: "+want {
				t.Errorf("%s: got %q, want %q", resp.Proto, got, want)
			}
			lines.Scan()
		}
		close(next)
		if lines.Scan() {
			t.Errorf("%s: more than was sent: %q", resp.Proto, lines.Text())
		}
		resp.Body.Close()
		srv.Close()
		if got := resp.Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("%s: got %q", resp.Proto, got)
		}
	}
}

func TestDecoratorsLetAConnectionBeHijacked(t *testing.T) {
	called := false
	srv := httptest.NewServer(AfterRequest(func(*http.Request, int, http.Header) { called = true })(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "hello\n")
	})))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	if string(got) != "hello\n" || called {
		t.Errorf("got %q, hook called %v", got, called)
	}
}
