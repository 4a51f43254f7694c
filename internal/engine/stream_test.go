package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestStream(t *testing.T) {
	t.Run("a stream is for its own client", aStreamIsForItsOwnClient)
	t.Run("a stream without a type is for its own client", aStreamWithoutATypeIsForItsOwnClient)
	t.Run("media of known length is stored (RFC 9110, 15.4.5)", mediaOfKnownLengthIsStored)
	t.Run("a live response takes no new readers", aLiveResponseTakesNoNewReaders)
	t.Run("a slow page that flushes is stored", aSlowPageThatFlushesIsStored)
	t.Run("a live response ends with its last client", aLiveResponseEndsWithItsLastClient)
	t.Run("writes of a live response fail when no client reads", writesOfALiveResponseFailWhenNoClientReads)
	t.Run("a waiter for a live response runs at once", aWaiterForALiveResponseRunsAtOnce)
	t.Run("a client of a live response gets its 304 at once", aClientOfALiveResponseGetsIts304AtOnce)
	t.Run("incremental responses are not buffered or shared (RFC 10036, 3)", incrementalResponsesAreNotBufferedOrShared)
	t.Run("incremental writes arrive while the handler waits", incrementalWritesArriveWhileTheHandlerWaits)
	t.Run("a live response takes no place", aLiveResponseTakesNoPlace)
	t.Run("a recorder gets a live response whole", aRecorderGetsALiveResponseWhole)
}

// line writes a line and flushes it.
func line(w io.Writer, text string) {
	_, _ = io.WriteString(w, text+"\n")
	w.(http.Flusher).Flush()
}

// A kind of response that may have no end is for its own client, from the first byte on.
func aStreamIsForItsOwnClient(t *testing.T) {
	for _, contentType := range []string{
		"text/event-stream", "application/x-ndjson", "application/jsonl", "application/json-seq", "audio/mpeg", "video/mp4",
		"multipart/x-mixed-replace; boundary=x",
	} {
		t.Run(contentType, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
					w.Header().Set("Content-Type", contentType)
					time.Sleep(100 * time.Millisecond)
					for i := range 3 {
						line(w, fmt.Sprint(call, i))
						time.Sleep(time.Second)
					}
				})
				all := s.Visits(3, "/")
				seen := map[string]bool{}
				for _, v := range all {
					v.Wants(t, "BYPASS", 200, "*")
					require.Equal(t, "stream", v.Detail())
					seen[v.Text()] = true
				}
				require.Len(t, seen, 3)
				require.Zero(t, s.Edge.Stats().Entries)
				require.Equal(t, "stream", s.Edge.Explain(harness.Request("GET", "/")).Reason.String())
			})
		})
	}
}

// A handler that leaves the type to net/http sends what its first bytes look like.
func aStreamWithoutATypeIsForItsOwnClient(t *testing.T) {
	const sound = "ID3\x03\x00\x00\x00\x00\x0f\x76"
	for name, tt := range map[string]struct {
		write  func(w http.ResponseWriter)
		status string
	}{
		"sound":                 {func(w http.ResponseWriter) { _, _ = w.Write([]byte(sound)) }, "BYPASS"},
		"sound in a string":     {func(w http.ResponseWriter) { _, _ = io.WriteString(w, sound) }, "BYPASS"},
		"sound that is copied":  {func(w http.ResponseWriter) { _, _ = io.Copy(w, strings.NewReader(sound)) }, "BYPASS"},
		"sound of known length": {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "10"); _, _ = io.WriteString(w, sound) }, "MISS"},
		"sound that says it is something": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, sound)
		}, "MISS"},
		"a text": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "page") }, "MISS"},
	} {
		t.Run(name, func(t *testing.T) {
			s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) { tt.write(w) })
			s.Visit("/").Wants(t, tt.status, 200, "*")
		})
	}
}

// One that says how long it is has an end. A 304 that does not repeat the length takes nothing back
// (RFC 9110, 15.4.5).
func mediaOfKnownLengthIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			w.Header().Set("Content-Type", "audio/mpeg")
			w.Header().Set("Etag", `"1"`)
			w.Header().Set("Cache-Control", "max-age=10")
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("Content-Length", "4")
			_, _ = io.WriteString(w, "song")
		})
		s.Visit("/").Wants(t, "MISS", 200, "song")
		s.Visit("/", "Range", "bytes=1-2").Wants(t, "HIT", 206, "on")
		time.Sleep(11 * time.Second)
		s.Visit("/").Wants(t, "REVALIDATED", 200, "song")
		s.Visit("/").Wants(t, "HIT", 200, "song")
	})
}

// What flushes and tells no length is shared for a second. From then on it is live: a client that
// comes later has a run of his own.
func aLiveResponseTakesNoNewReaders(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header []string
		after  time.Duration // of the first line
		lines  int
		shared bool
	}{
		{"while it is young", nil, 900 * time.Millisecond, 5, true},
		{"when it is a second old", nil, 1100 * time.Millisecond, 5, false},
		{"when it has been silent since", nil, time.Minute, 2, false},
		{"after one flush only", nil, time.Minute, 1, true},
		{"when its length is known", []string{"Content-Length", "1000"}, time.Minute, 5, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewOrigin(t, edgecache.Config{})
				first := s.Send("GET", "/")
				c := s.Called()
				for i := range tt.lines {
					c.Says(func(w http.ResponseWriter) {
						if i == 0 && tt.header != nil {
							w.Header().Set(tt.header[0], tt.header[1])
						}
						line(w, fmt.Sprint(i))
					})
					time.Sleep(50 * time.Millisecond)
				}
				time.Sleep(tt.after - time.Duration(tt.lines)*50*time.Millisecond)
				second := s.Send("GET", "/")
				if tt.shared {
					s.Idle()
				} else {
					own := s.Called()
					third := s.Send("GET", "/") // waits for the second
					s.Idle()
					own.Writes("own")
					second.Gets(t, "MISS", 200, "own")
					third.Gets(t, "HIT", 200, "own")
				}
				first.Waits(t)
				c.Says(func(w http.ResponseWriter) {
					rest := 0
					if tt.header != nil {
						rest = 1000 - 2*tt.lines
					}
					_, _ = io.WriteString(w, strings.Repeat("x", rest))
				})
				c.Ends()
				first.Gets(t, "MISS", 200, first.Body.String())
				if tt.shared {
					second.Gets(t, "HIT", 200, first.Body.String())
				}
			})
		})
	}
}

// A page that is made slowly, or comes through a proxy, is flushed after each piece. It is stored
// when its handler is done.
func aSlowPageThatFlushesIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=100")
			for i := range 5 {
				line(w, fmt.Sprint(call, i))
				time.Sleep(time.Second)
			}
		})
		text := func(call int) (all string) {
			for i := range 5 {
				all += fmt.Sprint(call, i) + "\n"
			}
			return all
		}
		first := s.Visit("/")
		time.Sleep(500 * time.Millisecond)
		along := s.Visit("/")
		first.Wants(t, "MISS", 200, text(1))
		along.Wants(t, "HIT", 200, text(1))
		s.Visit("/").Wants(t, "HIT", 200, text(1))
		time.Sleep(20 * time.Second)
		s.Visit("/").Wants(t, "UPDATING", 200, text(1)) // no client reads along in the background
		time.Sleep(6 * time.Second)
		s.Visit("/").Wants(t, "HIT", 200, text(2))
	})
}

// A live response ends with the last of its clients, not 30 seconds later: as soon as it is live,
// if they have left before.
func aLiveResponseEndsWithItsLastClient(t *testing.T) {
	for _, tt := range []struct {
		name  string
		leave [2]time.Duration
		ends  time.Duration
	}{
		{"both leave while it is young", [2]time.Duration{200 * time.Millisecond, 300 * time.Millisecond}, time.Second},
		{"one leaves while it is young", [2]time.Duration{200 * time.Millisecond, 5 * time.Second}, 5 * time.Second},
		{"the second one leaves first", [2]time.Duration{6 * time.Second, 5 * time.Second}, 6 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, ended := time.Now(), make(chan time.Duration, 1)
				s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
					for r.Context().Err() == nil {
						line(w, "line")
						select {
						case <-r.Context().Done():
						case <-time.After(10 * time.Millisecond):
						}
					}
					ended <- time.Since(start)
				})
				one := s.Visit("/")
				synctest.Wait()
				two := s.Visit("/")
				synctest.Wait()
				time.AfterFunc(tt.leave[0], one.Leave)
				time.AfterFunc(tt.leave[1], two.Leave)
				require.Equal(t, tt.ends, <-ended)
				synctest.Wait()
				require.Equal(t, 1, s.Calls())
				require.Zero(t, s.Edge.Stats().Entries)
				require.Zero(t, s.Edge.Stats().BytesInFlight)
			})
		})
	}
}

// goneWriter is that of a client whose connection breaks.
type goneWriter struct {
	harness.Client
	gone chan struct{}
}

func (w *goneWriter) Write(p []byte) (int, error) {
	select {
	case <-w.gone:
		return 0, io.ErrClosedPipe
	default:
		return w.Client.Write(p)
	}
}

// A handler that looks at its writes only learns that no client reads them. What it has written by
// then is not the page.
func writesOfALiveResponseFailWhenNoClientReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrote := make(chan error, 1)
		edge, err := edgecache.New(edgecache.Config{})
		require.NoError(t, err)
		h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for range 1000 {
				if _, err := io.WriteString(w, "line\n"); err != nil {
					wrote <- err
					return
				}
				w.(http.Flusher).Flush()
				time.Sleep(100 * time.Millisecond)
			}
			wrote <- nil
		}))
		w := &goneWriter{gone: make(chan struct{})}
		time.AfterFunc(2*time.Second, func() { close(w.gone) })
		h.ServeHTTP(w, harness.Request("GET", "/"))
		require.ErrorContains(t, <-wrote, "left")
		require.Zero(t, edge.Stats().Entries)
	})
}

// A waiter for the whole of a response, to cut a range from it or to compare its tag, must not
// wait for one that is live.
func aWaiterForALiveResponseRunsAtOnce(t *testing.T) {
	for name, header := range map[string][]string{
		"a range":                   {"Range", "bytes=2-4"},
		"a tag that the cache made": {"If-None-Match", `"ec-000000000000000000000000"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := harness.NewOrigin(t, edgecache.Config{})
				first := s.Send("GET", "/")
				c := s.Called()
				c.Says(func(w http.ResponseWriter) { line(w, "1") })
				waiter := s.Send("GET", "/", header...)
				c.Says(func(w http.ResponseWriter) { line(w, "2") })
				waiter.Waits(t)
				s.Idle()
				time.Sleep(time.Second)
				own := s.Called() // at once, without another line
				// It leads, and is as live: its client gets all of it, as it comes.
				own.Says(func(w http.ResponseWriter) { line(w, "one") })
				own.Says(func(w http.ResponseWriter) { line(w, "two") })
				time.Sleep(1100 * time.Millisecond)
				own.Says(func(w http.ResponseWriter) { line(w, "three") })
				require.Equal(t, "one\ntwo\nthree\n", waiter.Body.String())
				own.Ends()
				waiter.Gets(t, "MISS", 200, "one\ntwo\nthree\n")
				c.Ends()
				first.Gets(t, "MISS", 200, "1\n2\n")
			})
		})
	}
}

// A client that has its 304 must not wait for the end of what has none.
func aClientOfALiveResponseGetsIts304AtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			w.Header().Set("Etag", `"1"`)
			for r.Context().Err() == nil {
				line(w, "line")
				time.Sleep(100 * time.Millisecond)
			}
			ended = true
		})
		v := s.Visit("/", "If-None-Match", `"1"`)
		v.Wants(t, "MISS", 304, "")
		require.LessOrEqual(t, v.Took, 1200*time.Millisecond)
		require.True(t, ended)
	})
}

// RFC 10036, 3: what says Incremental: ?1 reaches its client write by write, is shared with no
// other while it grows, and is stored when it is whole. The field is sent on.
func incrementalResponsesAreNotBufferedOrShared(t *testing.T) {
	for _, declared := range []bool{false, true} {
		for _, private := range []bool{false, true} {
			t.Run(fmt.Sprintf("declared %v, private %v", declared, private), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
						time.Sleep(time.Second)
						w.Header().Set("Incremental", "?1")
						if declared {
							w.Header().Set("Content-Length", "6")
						}
						if private {
							edgecache.Private(w)
						}
						w.WriteHeader(http.StatusOK)
						time.Sleep(time.Second)
						_, _ = io.WriteString(w, "one")
						time.Sleep(time.Second)
						_, _ = io.Copy(w, strings.NewReader("two"))
						time.Sleep(time.Second)
					})
					status := "MISS"
					if private {
						status = "BYPASS"
					}
					all := s.Visits(3, "/")
					for i, v := range all {
						v.Wants(t, status, 200, "onetwo")
						require.LessOrEqual(t, v.Took, 5*time.Second, i)
						require.Equal(t, "?1", v.Sent.Get("Incremental"))
					}
					require.Equal(t, 3, s.Calls())
					if !private {
						v := s.Visit("/")
						v.Wants(t, "HIT", 200, "onetwo")
						require.Equal(t, "?1", v.Sent.Get("Incremental"))
					}
				})
			})
		}
	}
}

// Each write arrives while the handler waits, over both protocols, for whatever request.
func incrementalWritesArriveWhileTheHandlerWaits(t *testing.T) {
	read := make(chan struct{})
	h := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Incremental", "?1")
		w.Header().Set("Content-Type", "text/plain")
		if r.Header.Get("X-Private") != "" {
			edgecache.Private(w)
		}
		w.WriteHeader(http.StatusOK)
		for i := range 2 {
			<-read
			fmt.Fprintln(w, i)
		}
		<-read
	}))
	for _, protocol := range transports {
		for name, tt := range map[string]struct{ method, header string }{
			"a page that is stored": {"GET", "X-Nothing"}, "a page that is not": {"GET", "X-Private"}, "the answer to a POST": {"POST", "X-Nothing"},
			"the answer to a PUT": {"PUT", "X-Nothing"},
		} {
			t.Run(protocol.name+"/"+name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				s := startServer(t, h, protocol.two)
				r, err := http.NewRequestWithContext(ctx, tt.method, s.URL+"/"+tt.header, nil)
				require.NoError(t, err)
				r.Header.Set(tt.header, "1")
				w, err := s.Client().Do(r)
				require.NoError(t, err)
				defer w.Body.Close()
				require.Equal(t, "?1", w.Header.Get("Incremental"))
				lines := bufio.NewReader(w.Body)
				for i := range 2 {
					read <- struct{}{}
					text, err := lines.ReadString('\n')
					require.NoError(t, err)
					require.Equal(t, fmt.Sprintln(i), text)
				}
				read <- struct{}{}
				_, err = lines.ReadByte()
				require.ErrorIs(t, err, io.EOF)
			})
		}
	}
}

// What is flushed for ever holds no place of its route from the moment when that is known.
func aLiveResponseTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := harness.NewCountedSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request, call int) {
			if r.URL.RawQuery != "" {
				line(w, "1")
				line(w, "2")
				time.Sleep(time.Second)
				line(w, "3")
				<-gate
			}
			_, _ = io.WriteString(w, "page")
		})
		all := make([]*harness.Client, 600)
		for i := range all {
			all[i] = s.Visit(fmt.Sprint("/x?", i))
			if i%100 == 99 {
				time.Sleep(2 * time.Second)
			}
		}
		s.Visit("/x").Wants(t, "MISS", 200, "page")
		s.Visit("/x").Wants(t, "HIT", 200, "page")
		close(gate)
		for _, v := range all {
			v.Wants(t, "MISS", 200, "*")
		}
	})
}

// A recorder is no client that reads along; what it gets is whole all the same.
func aRecorderGetsALiveResponseWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := edgecache.Cache(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for i := range 3 {
				line(w, fmt.Sprint(i))
				time.Sleep(time.Second)
			}
		}))
		for _, status := range []string{"MISS", "HIT"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, harness.Request("GET", "/"))
			require.Equal(t, status, w.Header().Get("X-Cache"))
			require.Equal(t, "0\n1\n2\n", w.Body.String())
		}
	})
}
