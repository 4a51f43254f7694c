package record

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// cutter is a judge that wants a part of the body.
type cutter struct {
	judge
	offset, length int64
	wholes         int
}

func (c *cutter) Commit(int) {
	c.fill.Cut(c.offset, c.length, func() { c.wholes++ })
}

func cutBody(w http.ResponseWriter, offset, length int64, handler func(http.ResponseWriter)) *cutter {
	c := &cutter{offset: offset, length: length}
	handler(c.fill.Init(w, c))
	c.fill.Finish()
	return c
}

func TestCut(t *testing.T) {
	// In whatever pieces the body comes, the client gets the same part of it, and the first write
	// past it fails.
	t.Run("any part, in any pieces", func(t *testing.T) {
		const body = "0123456789"
		for offset := range len(body) {
			for length := 1; offset+length <= len(body); length++ {
				for piece := 1; piece <= len(body); piece++ {
					w := httptest.NewRecorder()
					var failed error
					written := 0
					c := cutBody(w, int64(offset), int64(length), func(w http.ResponseWriter) {
						for rest := body; rest != "" && failed == nil; {
							p := rest[:min(piece, len(rest))]
							var n int
							if piece%2 == 0 {
								n, failed = io.WriteString(w, p)
							} else {
								n, failed = w.Write([]byte(p))
							}
							if n < len(p) && failed == nil {
								t.Fatalf("a short write without an error")
							}
							written += n
							rest = rest[len(p):]
						}
					})
					if got, want := w.Body.String(), body[offset:offset+length]; got != want {
						t.Fatalf("%d bytes from %d in pieces of %d: got %q, want %q", length, offset, piece, got, want)
					}
					if c.wholes != 1 || !c.fill.Stopped() {
						t.Fatalf("told of the end %d times", c.wholes)
					}
					if last := offset+length == len(body); last != (failed == nil) || !last && !errors.Is(failed, ErrEnough) || written != offset+length {
						t.Fatalf("%d bytes from %d in pieces of %d: wrote %d, error %v", length, offset, piece, written, failed)
					}
				}
			}
		}
	})
	t.Run("of a reader", func(t *testing.T) {
		for _, said := range []bool{true, false} {
			w := httptest.NewRecorder()
			src := strings.NewReader(strings.Repeat("0123456789", 100_000))
			cutBody(w, 1005, 10, func(w http.ResponseWriter) {
				if said {
					w.WriteHeader(http.StatusOK)
				}
				_, err := io.Copy(w, src)
				require.ErrorIs(t, err, ErrEnough)
			})
			require.Equal(t, "5678901234", w.Body.String())
			require.Greater(t, src.Len(), 900_000, "the rest is not read")
		}
	})
	t.Run("one that ends early is not whole", func(t *testing.T) {
		w := httptest.NewRecorder()
		c := cutBody(w, 2, 5, func(w http.ResponseWriter) { _, _ = io.WriteString(w, "0123") })
		require.Equal(t, "23", w.Body.String())
		require.Zero(t, c.wholes)
		require.False(t, c.fill.Stopped(), "a handler that breaks off has failed")
	})
	t.Run("it keeps to the declared length", func(t *testing.T) {
		w := httptest.NewRecorder()
		cutBody(w, 0, 9, func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "4")
			n, err := io.WriteString(w, "0123")
			require.Equal(t, 4, n)
			require.NoError(t, err)
			_, err = io.WriteString(w, "4")
			require.ErrorIs(t, err, http.ErrContentLength)
		})
	})
	t.Run("it tells that the client has left", func(t *testing.T) {
		c := cutBody(brokenWriter{httptest.NewRecorder()}, 2, 3, func(w http.ResponseWriter) {
			n, err := io.WriteString(w, "0123456")
			require.Equal(t, 2, n)
			require.ErrorIs(t, err, net.ErrClosed)
		})
		require.Zero(t, c.wholes)
	})
	t.Run("nothing is wanted after the end", func(t *testing.T) {
		hijackable := struct {
			*httptest.ResponseRecorder
			http.Hijacker
		}{httptest.NewRecorder(), hijackerFunc(func() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, nil })}
		cutBody(hijackable, 0, 1, func(w http.ResponseWriter) {
			_, err := io.WriteString(w, "01")
			require.ErrorIs(t, err, ErrEnough)
			n, err := w.Write(nil)
			require.Zero(t, n)
			require.NoError(t, err)
			require.NoError(t, http.NewResponseController(w).Flush())
			_, _, err = w.(http.Hijacker).Hijack()
			require.ErrorIs(t, err, http.ErrHijacked)
			w.WriteHeader(http.StatusInternalServerError) // as handlers do whose write failed
		})
		require.Equal(t, "0", hijackable.Body.String())
		require.Equal(t, http.StatusOK, hijackable.Code)
	})
}

// brokenWriter is a client that has left.
type brokenWriter struct{ *httptest.ResponseRecorder }

func (brokenWriter) Write([]byte) (int, error) { return 0, net.ErrClosed }

type hijackerFunc func() (net.Conn, *bufio.ReadWriter, error)

func (f hijackerFunc) Hijack() (net.Conn, *bufio.ReadWriter, error) { return f() }
