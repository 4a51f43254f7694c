package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/engine"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
	"github.com/edgecache-go/edgecache/storetest"
)

func TestEncoder(t *testing.T) {
	t.Run("a page that is asked for once is not encoded", aPageThatIsAskedForOnceIsNotEncoded)
	t.Run("each encoding is made once", eachEncodingIsMadeOnce)
	t.Run("the encoding of a page that has gone is dropped", theEncodingOfAPageThatHasGoneIsDropped)
	t.Run("a refresh with the same bytes keeps encodings", aRefreshWithTheSameBytesKeepsEncodings)
	t.Run("a confirmed page that forbids encoding is not encoded", aConfirmedPageThatForbidsEncodingIsNotEncoded)
	t.Run("a page that is confirmed each time is encoded", aPageThatIsConfirmedEachTimeIsEncoded)
	t.Run("an encoding that is not worth it is tried once", anEncodingThatIsNotWorthItIsTriedOnce)
	t.Run("encodings are charged to the budget", encodingsAreChargedToTheBudget)
	t.Run("encoders are bounded", encodersAreBounded)
	t.Run("Close ends encoding", closeEndsEncoding)
	t.Run("a panic of an encoder harms no request", aPanicOfAnEncoderHarmsNoRequest)
	t.Run("the store keeps the identity", theStoreKeepsTheIdentity)
	t.Run("variants are encoded separately", variantsAreEncodedSeparately)
	t.Run("an encoded hit allocates no more than a plain one", anEncodedHitAllocatesNoMoreThanAPlainOne)
}

// slow makes every coding wait until it is let go, and counts them.
func slowEncoders(s *harness.Site) (begun *atomic.Int32, letGo func()) {
	begun = new(atomic.Int32)
	gate := make(chan struct{})
	engine.Of(s.Edge).WrapEncoder(func(encode engine.Encoder) engine.Encoder {
		return func(c coding.Coding, from io.WriterTo, best bool) ([]byte, error) {
			begun.Add(1)
			<-gate
			return encode(c, from, best)
		}
	})
	return begun, sync.OnceFunc(func() { close(gate) })
}

// coded is the Content-Encoding that a browser gets.
func encodingOf(s *harness.Site, target string) string {
	return s.Get(target, "Accept-Encoding", harness.AcceptEncoding).Header.Get("Content-Encoding")
}

// What is asked for once, or all at once, costs no encoding: those that wait for a page that is
// being made are not a second request.
func aPageThatIsAskedForOnceIsNotEncoded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewCountedSite(t, edgecache.Config{Compress: true, HonorRequestDirectives: true}, func(w http.ResponseWriter, r *http.Request, call int) {
			time.Sleep(time.Second)
			speak(w, prose(r.URL.Path))
		})
		for i := range 10 {
			for _, v := range s.Visits(20, fmt.Sprint("/", i), "Accept-Encoding", harness.AcceptEncoding) {
				<-v.Done
			}
		}
		for _, header := range [][]string{
			nil, {"Accept-Encoding", "identity"}, {"Accept-Encoding", "br;q=0"}, {"Accept-Encoding", "br", "Range", "bytes=0-9"},
			{"Accept-Encoding", "br", "Cache-Control", "no-transform"}, {"Accept-Encoding", "br", "If-None-Match", "*"},
		} {
			s.Visit("/1", header...).Wants(t, "HIT", 0, "*")
		}
		<-harness.Send(t.Context(), s.Handler, harness.Request("HEAD", "/1", "Accept-Encoding", "br")).Done
		synctest.Wait()
		require.Zero(t, s.Edge.Stats().Compressed)
		s.Visit("/1", "Accept-Encoding", "br").Wants(t, "HIT", 200, prose("/1"))
		synctest.Wait()
		require.EqualValues(t, 1, s.Edge.Stats().Compressed)
	})
}

func eachEncodingIsMadeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPress(t, edgecache.Config{}, prose("one"))
		begun, letGo := slowEncoders(s)
		s.Get("/")
		for range 100 {
			require.Empty(t, encodingOf(s, "/"))
		}
		synctest.Wait()
		require.EqualValues(t, 1, begun.Load())
		letGo()
		synctest.Wait()
		for range 100 {
			require.Equal(t, "br", encodingOf(s, "/"))
		}
		synctest.Wait()
		require.EqualValues(t, 1, begun.Load())
	})
}

// What is coded for a page that has gone must not come back with it, nor stay in the books.
func theEncodingOfAPageThatHasGoneIsDropped(t *testing.T) {
	for name, gone := range map[string]func(s *harness.Site){
		"purged by URL":    func(s *harness.Site) { _, _ = s.Edge.Purge(context.Background(), "http://example.com/") },
		"purged by tag":    func(s *harness.Site) { _, _ = s.Edge.PurgeTags(context.Background(), "t") },
		"purged with all":  func(s *harness.Site) { _, _ = s.Edge.PurgeAll(context.Background()) },
		"made anew":        func(s *harness.Site) { s.Get("/", "Cache-Control", "no-cache") },
		"softly, and anew": func(s *harness.Site) { _, _ = s.Edge.Soft().PurgeAll(context.Background()); s.Get("/") },
	} {
		synctest.Test(t, func(t *testing.T) {
			page := prose("before")
			s := harness.NewSite(t, edgecache.Config{Compress: true, HonorRequestDirectives: true}, func(w http.ResponseWriter, r *http.Request) {
				edgecache.Tag(w, "t")
				speak(w, page)
			})
			begun, letGo := slowEncoders(s)
			s.Get("/")
			encodingOf(s, "/")
			synctest.Wait()
			require.EqualValues(t, 1, begun.Load())
			page = prose("after!")
			gone(s)
			letGo()
			synctest.Wait()
			require.Zero(t, s.Edge.Stats().Compressed, name)
			s.Get("/")
			without := s.Edge.Stats().Bytes
			for _, want := range []string{"", "br"} {
				r := s.Get("/", "Accept-Encoding", "br")
				require.Equal(t, want, r.Header.Get("Content-Encoding"), name)
				require.Equal(t, page, decoded(t, r), name)
				synctest.Wait()
			}
			require.Greater(t, s.Edge.Stats().Bytes, without, name)
			_, err := s.Edge.PurgeAll(t.Context())
			require.NoError(t, err)
			require.Zero(t, s.Edge.Stats().Bytes, name)
		})
	}
}

// A page that turns out to be the same keeps what was coded: the handler confirms it, or makes the
// same bytes.
func aRefreshWithTheSameBytesKeepsEncodings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page, tag, asked := prose("one"), `"x"`, true
		s := harness.NewSite(t, edgecache.Config{Compress: true, HonorRequestDirectives: true}, func(w http.ResponseWriter, r *http.Request) {
			edgecache.MaxAge(w, time.Minute)
			if asked && edgecache.NotModified(w, r, edgecache.ETag(tag)) {
				return
			}
			w.Header().Set("Etag", tag)
			speak(w, page)
		})
		warm(s, "br", "gzip")
		check := func(word, want string) {
			t.Helper()
			r := s.Get("/", "Accept-Encoding", "br")
			if got := r.Header.Get("X-Cache") + " " + outline(r); got != word+" "+want {
				t.Errorf("got %s, want %s %s", got, word, want)
			}
			require.Equal(t, page, decoded(t, r))
		}
		const minutes = 61 * time.Second
		time.Sleep(minutes)
		check("REVALIDATED", `200 br "x-br" Accept-Encoding`)
		bytes := s.Edge.Stats().Bytes
		time.Sleep(minutes)
		check("REVALIDATED", `200 br "x-br" Accept-Encoding`)
		require.Equal(t, bytes, s.Edge.Stats().Bytes)
		asked = false
		time.Sleep(minutes)
		require.Equal(t, "EXPIRED", s.Get("/").Header.Get("X-Cache"))
		check("HIT", `200 br "x-br" Accept-Encoding`)
		tag = `"y"`
		s.Get("/", "Cache-Control", "no-cache")
		check("HIT", `200 br "y-br" Accept-Encoding`)
		require.EqualValues(t, 2, s.Edge.Stats().Compressed, "nothing was coded again")

		page = prose("two")
		s.Get("/", "Cache-Control", "no-cache")
		check("HIT", `200 "y" Accept-Encoding`)
		synctest.Wait()
		check("HIT", `200 br "y-br" Accept-Encoding`)
		require.EqualValues(t, 3, s.Edge.Stats().Compressed)
	})
}

// A page that becomes one that must not be coded loses what was.
func aConfirmedPageThatForbidsEncodingIsNotEncoded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transform := ""
		s := harness.NewSite(t, edgecache.Config{Compress: true}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60"+transform)
			if edgecache.NotModified(w, r, edgecache.ETag("x")) {
				return
			}
			speak(w, prose("one"))
		})
		warm(s, "br")
		require.Equal(t, "br", encodingOf(s, "/"))
		transform = ", no-transform"
		time.Sleep(61 * time.Second)
		require.Equal(t, `200 "x"`, outline(s.Get("/", "Accept-Encoding", "br")))
		require.Equal(t, `200 "x"`, outline(s.Get("/", "Accept-Encoding", "br")))
	})
}

// no-cache asks the handler each time, so there is never a plain hit; its answer is what was stored
// all the same.
func aPageThatIsConfirmedEachTimeIsEncoded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewSite(t, edgecache.Config{Compress: true}, func(w http.ResponseWriter, r *http.Request) {
			edgecache.NoCache(w)
			if edgecache.NotModified(w, r, edgecache.ETag("x")) {
				return
			}
			speak(w, prose("one"))
		})
		warm(s, "br")
		for range 3 {
			r := s.Get("/", "Accept-Encoding", "br")
			require.Equal(t, "REVALIDATED", r.Header.Get("X-Cache"))
			require.Equal(t, "br", r.Header.Get("Content-Encoding"))
			require.Equal(t, prose("one"), decoded(t, r))
			synctest.Wait()
		}
		require.EqualValues(t, 1, s.Edge.Stats().Compressed)
	})
}

func anEncodingThatIsNotWorthItIsTriedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		noise := make([]byte, 20_000)
		d := harness.NewDice(1)
		for i := range noise {
			noise[i] = byte(d.Uint32())
		}
		s := newPress(t, edgecache.Config{}, string(noise), "Content-Type", "text/html")
		begun, letGo := slowEncoders(s)
		letGo()
		for range 5 {
			for _, accept := range []string{"br", "gzip", "zstd", harness.AcceptEncoding} {
				r := s.Get("/", "Accept-Encoding", accept)
				require.Empty(t, r.Header.Get("Content-Encoding"))
				require.Equal(t, "Accept-Encoding", r.Header.Get("Vary"))
				synctest.Wait()
			}
		}
		require.EqualValues(t, 1, begun.Load())
		require.Zero(t, s.Edge.Stats().Compressed)
	})
}

// Codings count in the budget, and give way to it: the page stays.
func encodingsAreChargedToTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPress(t, edgecache.Config{}, prose("one"))
		warm(s)
		before := s.Edge.Stats().Bytes
		warm(s, "br")
		coded := s.Get("/", "Accept-Encoding", "br")
		got := s.Edge.Stats().Bytes - before
		require.Greater(t, got, coded.ContentLength)
		require.Less(t, got, coded.ContentLength+1000)
	})
	synctest.Test(t, func(t *testing.T) {
		d, page := harness.NewDice(1), ""
		for range 20_000 {
			page += fmt.Sprintf("%x", d.IntN(16)) // half of it is left
		}
		s := newPress(t, edgecache.Config{MaxObjectBytes: int64(len(page)) + 3000}, page)
		warm(s, "br", "br")
		require.Empty(t, encodingOf(s, "/"), "the page alone has room")
		require.Equal(t, "HIT", s.Get("/").Header.Get("X-Cache"))
		require.Zero(t, s.Edge.Stats().Compressed)
	})
	synctest.Test(t, func(t *testing.T) {
		s := newPress(t, edgecache.Config{MaxBytes: 1 << 20}, prose("one"))
		for i := range 1000 {
			target := fmt.Sprint("/", i)
			for range 3 {
				s.Get(target, "Accept-Encoding", "br")
				s.Get(target, "Accept-Encoding", "gzip")
				synctest.Wait()
			}
			if st := s.Edge.Stats(); st.Bytes > st.MaxBytes {
				t.Fatalf("%d bytes of %d", st.Bytes, st.MaxBytes)
			}
		}
		st := s.Edge.Stats()
		require.NotZero(t, st.Evictions+st.Rejections)
		require.Greater(t, st.Compressed, uint64(100))
	})
}

func encodersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPress(t, edgecache.Config{}, prose("one"))
		begun, letGo := slowEncoders(s)
		const n = engine.MaxEncoders + engine.MaxEncodings + 10
		for i := range n {
			target := fmt.Sprint("/", i)
			s.Get(target)
			encodingOf(s, target)
			synctest.Wait() // or the first would wait in the queue, too
		}
		require.EqualValues(t, engine.MaxEncoders, begun.Load(), "at once")
		letGo()
		synctest.Wait()
		require.EqualValues(t, engine.MaxEncoders+engine.MaxEncodings, s.Edge.Stats().Compressed)
		for i := range n {
			encodingOf(s, fmt.Sprint("/", i))
		}
		synctest.Wait()
		require.EqualValues(t, n, s.Edge.Stats().Compressed, "the others are asked for again")
	})
}

// Close waits for what is being coded, lets go what waits, and nothing is coded afterwards.
func closeEndsEncoding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPress(t, edgecache.Config{}, prose("one"))
		begun, letGo := slowEncoders(s)
		for i := range 10 {
			target := fmt.Sprint("/", i)
			s.Get(target)
			encodingOf(s, target)
		}
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- s.Edge.Close(context.Background()) }()
		synctest.Wait()
		require.Empty(t, closed, "two are being made")
		letGo()
		require.NoError(t, <-closed)
		s.Get("/x")
		encodingOf(s, "/x")
		synctest.Wait()
		require.EqualValues(t, engine.MaxEncoders, begun.Load())
		require.Equal(t, "br", encodingOf(s, "/0"), "what is there is served")
	})
}

func aPanicOfAnEncoderHarmsNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var heard []string
		s := newPress(t, edgecache.Config{
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Observer: func(ev edgecache.Event) {
				if ev.Kind == edgecache.Failed {
					heard = append(heard, ev.Err.Error())
				}
			},
		}, prose("one"))
		engine.Of(s.Edge).WrapEncoder(func(encode engine.Encoder) engine.Encoder {
			return func(c coding.Coding, from io.WriterTo, best bool) ([]byte, error) {
				if c == coding.Brotli {
					panic("a bug")
				}
				return encode(c, from, best)
			}
		})
		for range 4 {
			s.Get("/", "Accept-Encoding", "br")
			synctest.Wait()
		}
		require.Equal(t, []string{"edgecache: encoding a response as br panicked: a bug"}, heard, "once")
		require.Contains(t, log.String(), "a bug")
		warm(s, "gzip")
		require.Equal(t, "gzip", encodingOf(s, "/"), "the encoder goes on, and another coding may do")
		require.Equal(t, "HIT", s.Get("/").Header.Get("X-Cache"))
	})
}

// The store keeps what the handler made, and nothing else: what is read back is encoded again
// when it is asked for.
func theStoreKeepsTheIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewMap()
		handler := func(w http.ResponseWriter, r *http.Request) { speak(w, prose("one"), "Cache-Control", "max-age=60") }
		open := func(compress bool) *harness.Site {
			return harness.NewSite(t, edgecache.Config{Compress: compress, Store: store}, handler)
		}
		first := open(true)
		warm(first, "br")
		require.Equal(t, "br", encodingOf(first, "/"))
		require.NoError(t, first.Edge.Close(t.Context()))

		again := open(true)
		r := again.Get("/", "Accept-Encoding", "br")
		require.Zero(t, again.Calls(), "restored")
		require.Empty(t, r.Header.Get("Content-Encoding"))
		require.Equal(t, "Accept-Encoding", r.Header.Get("Vary"))
		synctest.Wait()
		r = again.Get("/", "Accept-Encoding", "br")
		require.Equal(t, "br", r.Header.Get("Content-Encoding"))
		require.Equal(t, prose("one"), decoded(t, r))
		require.NoError(t, again.Edge.Close(t.Context()))

		plain := open(false)
		r = plain.Get("/", "Accept-Encoding", "br")
		require.Zero(t, plain.Calls(), "stored without a Vary that is not the handler's")
		require.Empty(t, r.Header["Vary"])
		require.NoError(t, plain.Edge.Close(t.Context()))
	})
}

// The variants of a URL are coded each by itself.
func variantsAreEncodedSeparately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewSite(t, edgecache.Config{Compress: true}, func(w http.ResponseWriter, r *http.Request) {
			speak(w, prose(r.Header.Get("Accept-Language")), "Vary", "Accept-Language")
		})
		languages := []string{"de", "en", "fr"}
		for range 3 {
			for _, language := range languages {
				s.Get("/", "Accept-Language", language, "Accept-Encoding", "br")
			}
			synctest.Wait()
		}
		tags := map[string]bool{}
		for _, language := range languages {
			r := s.Get("/", "Accept-Language", language, "Accept-Encoding", "br")
			require.Equal(t, "br", r.Header.Get("Content-Encoding"))
			require.Equal(t, prose(language), decoded(t, r))
			tags[r.Header.Get("Etag")] = true
		}
		require.Len(t, tags, 3)
		require.EqualValues(t, 3, s.Edge.Stats().Compressed)
	})
}

func anEncodedHitAllocatesNoMoreThanAPlainOne(t *testing.T) {
	for _, say := range [][]string{nil, {"Vary", "Accept-Language"}, {"Last-Modified", "Mon, 22 Nov 1999 12:00:00 GMT"}} {
		s := newPress(t, edgecache.Config{}, prose("one"), append(say, "Cache-Control", "max-age=3600")...)
		plain, coded := harness.BrowserRequest("http://example.com/"), harness.BrowserRequest("http://example.com/")
		plain.Header.Set("Accept-Encoding", "identity")
		measure := func(r *http.Request) (allocs, size float64, form string) {
			w := harness.NewSink()
			allocs, size = harness.Cost(func() {
				w.Reset()
				s.Handler.ServeHTTP(w, r)
			})
			return allocs, size, w.Fields.Get("Content-Encoding")
		}
		s.Handler.ServeHTTP(harness.NewSink(), coded)
		require.Eventually(t, func() bool {
			w := harness.NewSink()
			s.Handler.ServeHTTP(w, coded)
			return w.Fields.Get("Content-Encoding") == "br"
		}, 10*time.Second, time.Millisecond)
		allocs, size, form := measure(plain)
		require.Empty(t, form)
		codedAllocs, codedSize, form := measure(coded)
		require.Equal(t, "br", form)
		if codedAllocs > allocs || codedSize > size+16 {
			t.Errorf("%v: a coded hit allocates %v times and %v B, a plain one %v and %v B", say, codedAllocs, codedSize, allocs, size)
		}
		off := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			speak(w, prose("one"), append(say, "Cache-Control", "max-age=3600")...)
		})
		s = off
		s.Handler.ServeHTTP(harness.NewSink(), plain)
		offAllocs, offSize, _ := measure(plain)
		t.Logf("%v: off %v, %v B; on %v, %v B; coded %v, %v B", strings.Join(say, ": "), offAllocs, offSize, allocs, size, codedAllocs, codedSize)
		if allocs > offAllocs {
			t.Errorf("%v: a plain hit allocates %v times, without Compress %v", say, allocs, offAllocs)
		}
	}
}
