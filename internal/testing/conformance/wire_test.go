package conformance

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestServe(t *testing.T) {
	// An origin on the wire says exactly what the case says, where net/http would not.
	t.Run("writes what the case says", func(t *testing.T) {
		tests := []struct{ name, method, request, want string }{
			{"a plain answer keeps the connection", "GET", `{}`, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: $now\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\ntok"},
			{"a 304 keeps its Content-Type", "GET", `{"response_status": [304, "Same"], "response_headers": [["Content-Type", "a/b"]]}`,
				"HTTP/1.1 304 Same\r\nContent-Type: a/b\r\nDate: $now\r\nConnection: keep-alive\r\n\r\n"},
			{"a body longer than declared", "GET", `{"response_headers": [["Content-Length", "2"]]}`,
				"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\nDate: $now\r\nConnection: close\r\n\r\ntok"},
			{"an unknown transfer coding", "GET", `{"response_headers": [["Transfer-Encoding", "x"], ["Date", -1]]}`,
				"HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\nDate: $earlier\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\ntok"},
			{"a Connection of its own", "GET", `{"response_status": [204, "No"], "response_headers": [["Connection", "a"]]}`,
				"HTTP/1.1 204 No\r\nConnection: a\r\nContent-Type: text/plain\r\nDate: $now\r\n\r\n"},
			{"HEAD has no body", "HEAD", `{"response_body": "abc"}`, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: $now\r\nConnection: keep-alive\r\n\r\n"},
			{"interim responses come first", "GET", `{"interim_responses": [[102], [103, [["link", "</a>"]]]]}`,
				"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: $now\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\ntok"},
			{"a date in the form of RFC 850", "GET", `{"rfc850date": ["date"], "response_headers": [["Date", 0]]}`,
				"HTTP/1.1 200 OK\r\nDate: $old\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\ntok"},
			{"a disconnect says nothing", "GET", `{"disconnect": true}`, ""},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				suite, err := Load([]byte(one(`[`+tt.request+`]`, ``)))
				require.NoError(t, err)
				synctest.Test(t, func(t *testing.T) {
					conn, done := dialOrigin(t, suite)
					now := time.Now().UTC()
					require.NoError(t, conn.SetReadDeadline(now.Add(time.Second)))
					_, err := fmt.Fprintf(conn, "%s /test/tok HTTP/1.1\r\nHost: o\r\nReq-Num: 1\r\n\r\n", tt.method)
					require.NoError(t, err)
					got, _ := io.ReadAll(conn) // to the end of the connection, or of the deadline when it is kept
					want := strings.NewReplacer("$now", now.Format(http.TimeFormat), "$earlier", now.Add(-time.Second).Format(http.TimeFormat),
						"$old", now.Format("Monday, 02-Jan-06 15:04:05 GMT")).Replace(tt.want)
					if got := withoutBookkeeping(string(got)); got != want {
						t.Errorf("got  %q\nwant %q", got, want)
					}
					require.NoError(t, conn.Close())
					done()
				})
			})
		}
	})
	t.Run("refuses unknown requests", func(t *testing.T) {
		suite, err := Load([]byte(one(`[{}]`, ``)))
		require.NoError(t, err)
		synctest.Test(t, func(t *testing.T) {
			o := NewOrigin()
			o.register("tok", suite.Cases[0])
			for path, want := range map[string]string{"/test/other": `no case has the token "other"`, "/test/tok": "case c has no request 2"} {
				r, err := http.NewRequest("GET", path, nil)
				require.NoError(t, err)
				r.Header.Set("Req-Num", "2")
				a := o.answer(t.Context(), r)
				require.Equal(t, http.StatusConflict, a.status)
				require.Equal(t, want, a.body)
			}
		})
	})
}

// dialOrigin serves the first case of suite under the token "tok".
func dialOrigin(t *testing.T, suite *Suite) (net.Conn, func()) {
	t.Helper()
	o, p := NewOrigin(), NewPipe()
	o.register("tok", suite.Cases[0])
	ended := make(chan error, 1)
	go func() { ended <- o.Serve(p) }()
	conn, err := p.Dial(context.Background())
	require.NoError(t, err)
	return conn, func() {
		require.NoError(t, p.Close())
		require.NoError(t, <-ended)
		_, err := p.Dial(context.Background())
		require.ErrorIs(t, err, net.ErrClosed)
	}
}

func withoutBookkeeping(message string) string {
	var kept []string
	for _, l := range strings.SplitAfter(message, "\r\n") {
		if !strings.HasPrefix(l, "Server-") && !strings.HasPrefix(l, "Client-") && !strings.HasPrefix(l, "Request-Numbers") {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "")
}

func TestClient(t *testing.T) {
	t.Run("reads messages", func(t *testing.T) {
		const interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
		tests := []struct {
			name, method, message string
			want                  string // status, body
			err                   string
		}{
			{"a declared length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", "200 abc", ""},
			{"a body that ends early", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "", "body of 9 bytes ended after 3"},
			{"a malformed length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc", "", "malformed Content-Length"},
			{"a length past the limit", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\nabc", "", "malformed Content-Length"},
			{"chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "200 abc", ""},
			{"chunks inside another coding", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: x, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "200 abc", ""},
			{"chunks that end early", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", "", "unexpected EOF"},
			{"another coding runs to the end", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\nabc", "200 abc", ""},
			{"no length runs to the end", "GET", "HTTP/1.0 200 OK\r\n\r\nabc", "200 abc", ""},
			{"HEAD has no body", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "200 ", ""},
			{"304 has no body", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "304 ", ""},
			{"interim responses first", "GET", interim + "HTTP/1.1 204 No\r\n\r\n", "204 ", ""},
			{"interim responses up to the limit", "GET", strings.Repeat(interim, maxInterim) + "HTTP/1.1 204 No\r\n\r\n", "204 ", ""},
			{"interim responses past the limit", "GET", strings.Repeat(interim, maxInterim+1) + "HTTP/1.1 204 No\r\n\r\n", "", "too many interim"},
			{"another protocol", "GET", "SSH-2.0 200 x\r\n\r\n", "", "malformed status line"},
			{"no status", "GET", "HTTP/1.1 abc\r\n\r\n", "", "malformed status line"},
			{"nothing", "GET", "", "", "EOF"},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				p, err := readResponse(bufio.NewReader(strings.NewReader(tt.message)), tt.method)
				if err == nil {
					err = p.bodyErr
				}
				if tt.err != "" {
					require.ErrorContains(t, err, tt.err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, tt.want, fmt.Sprintf("%d %s", p.status, p.body))
			})
		}
	})
	t.Run("follows redirects", func(t *testing.T) {
		mux := http.NewServeMux()
		echo := func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s", r.Method, r.RequestURI, body)
		}
		mux.HandleFunc("/to", echo)
		mux.HandleFunc("/303", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", "to"); w.WriteHeader(303) })
		mux.HandleFunc("/307", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/to?a=b")
			w.WriteHeader(307)
		})
		mux.HandleFunc("/loop", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", "/loop"); w.WriteHeader(302) })
		mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) { echo(w, r); <-r.Context().Done() })
		tests := []struct{ name, target, mode, want, err string }{
			{"303 becomes GET", "/303", "", "200 GET /to ", ""},
			{"307 stays as it is", "/307", "follow", "200 POST /to?a=b body", ""},
			{"manual stops at once", "/303", "manual", "303 ", ""},
			{"error refuses", "/303", "error", "", "redirected to to"},
			{"a circle ends", "/loop", "", "", "too many redirects"},
			{"a slow response times out", "/slow", "", "", "timeout"},
		}
		synctest.Test(t, func(t *testing.T) {
			b := NewBench(Direct, func(http.Handler) http.Handler { return mux }, Options{})
			defer b.Close()
			v := &visit{client: b.Client}
			defer v.close()
			for _, tt := range tests {
				began := time.Now()
				p, err := v.fetch(t.Context(), "POST", tt.target, nil, "body", tt.mode)
				if tt.err != "" {
					require.ErrorContains(t, err, tt.err, tt.name)
					require.LessOrEqual(t, time.Since(began), requestTimeout, tt.name)
					continue
				}
				require.NoError(t, err, tt.name)
				if got := fmt.Sprintf("%d %s", p.status, p.body); got != tt.want {
					t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
				}
			}
		})
	})
	t.Run("joins lines", func(t *testing.T) {
		c := &Client{Host: "h"}
		got := c.message("POST", "/x", []line{{"Cache-Control", "a"}, {"A", "1"}, {"cache-control", "b"}}, "abc")
		want := "POST /x HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nUser-Agent: edgecache-conformance\r\n" +
			"Cache-Control: a, b\r\nA: 1\r\nContent-Length: 3\r\nContent-Type: text/plain;charset=UTF-8\r\n\r\nabc"
		require.Equal(t, want, got)
	})
}

func FuzzReadResponse(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef")
	f.Add("HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	f.Fuzz(func(t *testing.T, message string) {
		p, err := readResponse(bufio.NewReader(strings.NewReader(message)), "GET")
		if err != nil {
			return
		}
		if p.status < 200 || len(p.body) > len(message) || len(p.interim) > maxInterim {
			t.Errorf("got status %d, %d bytes of body, %d interim responses", p.status, len(p.body), len(p.interim))
		}
	})
}
