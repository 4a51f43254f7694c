package engine_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestCompress(t *testing.T) {
	t.Run("a page is compressed for the clients that accept it", aPageIsCompressedForTheClientsThatAcceptIt)
	t.Run("it is off by default", itIsOffByDefault)
	t.Run("the client's preferences choose the encoding (RFC 9110, 12.5.3)", theClientsPreferencesChooseTheEncoding)
	t.Run("an encoding that is there stands in for a better one", anEncodingThatIsThereStandsInForABetterOne)
	t.Run("conditions hold for encoded pages (RFC 9110, 13.1.2)", conditionsHoldForEncodedPages)
	t.Run("a tag that the cache made is confirmed for an encoded page", aTagThatTheCacheMadeIsConfirmedForAnEncodedPage)
	t.Run("ranges are cut from the identity (RFC 9110, 14)", rangesAreCutFromTheIdentity)
	t.Run("parts of an encoded page are identity", partsOfAnEncodedPageAreIdentity)
	t.Run("some pages are not encoded (RFC 9110, 8.4)", somePagesAreNotEncoded)
	t.Run("each response of an encodable page varies (RFC 9110, 12.5.5)", eachResponseOfAnEncodablePageVaries)
	t.Run("middleware outside counts for compressed pages", middlewareOutsideCountsForCompressedPages)
	t.Run("the tag of an encoding reaches a handler as another", theTagOfAnEncodingReachesAHandlerAsAnother)
	t.Run("a handler may change its request while an encoded page stands in", aHandlerMayChangeItsRequestWhileAnEncodedPageStandsIn)
	t.Run("a handler may change the request of a HEAD of an encodable page", aHandlerMayChangeTheRequestOfAHEADOfAnEncodablePage)
}

// prose is a page of two kilobytes and more that compresses well.
func prose(title string) string {
	return "<!doctype html><title>" + title + "</title>" + strings.Repeat("<p>It was a dark and stormy night; the rain fell in torrents.</p>\n", 40)
}

// newPress is a site that compresses. The handler says what it says, then writes the page.
func newPress(t *testing.T, cfg edgecache.Config, page string, say ...string) *harness.Site {
	t.Helper()
	cfg.Compress = true
	return harness.NewSite(t, cfg, func(w http.ResponseWriter, r *http.Request) { speak(w, page, say...) })
}

// speak writes a page with a header: name, value, name, value …
func speak(w http.ResponseWriter, page string, say ...string) {
	if !slices.Contains(say, "Content-Type") {
		w.Header().Set("Content-Type", "text/html")
	}
	for i := 0; i < len(say); i += 2 {
		w.Header().Add(say[i], say[i+1])
	}
	_, _ = io.WriteString(w, page)
}

// warm has the page stored, and coded for clients that send these Accept-Encodings.
func warm(s *harness.Site, accepts ...string) {
	s.Get("/")
	for _, accept := range accepts {
		s.Get("/", "Accept-Encoding", accept)
		synctest.Wait()
	}
}

// decoded is the body of an answer without its coding.
func decoded(tb testing.TB, r *http.Response) string {
	tb.Helper()
	raw, err := io.ReadAll(r.Body)
	require.NoError(tb, err)
	if length := r.Header.Get("Content-Length"); length != "" && len(raw) > 0 {
		require.Equal(tb, length, strconv.Itoa(len(raw)), "Content-Length")
	}
	var from io.Reader = bytes.NewReader(raw)
	switch name := r.Header.Get("Content-Encoding"); name {
	case "":
	case "br":
		from = brotli.NewReader(from)
	case "zstd":
		d, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1))
		require.NoError(tb, err)
		defer d.Close()
		from = d
	case "gzip":
		if from, err = gzip.NewReader(from); err != nil {
			tb.Fatalf("gzip: %v", err)
		}
	default:
		tb.Fatalf("unknown coding %q", name)
	}
	plain, err := io.ReadAll(from)
	require.NoError(tb, err)
	return string(plain)
}

// outline is what of an answer depends on its coding, in one line.
func outline(r *http.Response) string {
	line := fmt.Sprint(r.StatusCode)
	for _, name := range []string{"Content-Encoding", "Content-Range", "Etag", "Vary"} {
		if lines := r.Header[name]; len(lines) > 0 {
			line += " " + strings.Join(lines, ", ")
		}
	}
	return line
}

func aPageIsCompressedForTheClientsThatAcceptIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := prose("one")
		s := newPress(t, edgecache.Config{}, page, "Etag", `"x"`)
		for i, row := range []struct{ name, method, accept, want string }{
			{"the first request gets what the handler makes", "GET", harness.AcceptEncoding, `MISS 200 "x" Accept-Encoding`},
			{"so does the second, which asks for a coding", "GET", harness.AcceptEncoding, `HIT 200 "x" Accept-Encoding`},
			{"which the third gets", "GET", harness.AcceptEncoding, `HIT 200 br "x-br" Accept-Encoding`},
			{"HEAD says the same", "HEAD", harness.AcceptEncoding, `HIT 200 br "x-br" Accept-Encoding`},
			{"a client that wants none gets none", "GET", "", `HIT 200 "x" Accept-Encoding`},
			{"one that wants another gets identity until that is made", "GET", "gzip", `HIT 200 "x" Accept-Encoding`},
			{"and then that", "GET", "gzip", `HIT 200 gzip "x-gzip" Accept-Encoding`},
		} {
			r := s.Do(row.method, "/", "Accept-Encoding", row.accept)
			if got := r.Header.Get("X-Cache") + " " + outline(r); got != row.want {
				t.Errorf("%s: got %s, want %s", row.name, got, row.want)
			}
			if row.method == "GET" && decoded(t, r) != page {
				t.Errorf("%s: another page", row.name)
			}
			synctest.Wait()
			if want := uint64(min(1, i) + i/5); s.Edge.Stats().Compressed != want {
				t.Errorf("%s: %d codings were made, want %d", row.name, s.Edge.Stats().Compressed, want)
			}
		}
		require.Equal(t, []string{"br", "gzip"}, s.Edge.Explain(harness.Request("GET", "/")).Codings)
		require.Equal(t, 1, s.Calls())

		get, head := s.Get("/", "Accept-Encoding", "br"), s.Do("HEAD", "/", "Accept-Encoding", "br")
		require.Equal(t, get.Header, head.Header)
		require.Empty(t, harness.Body(t, head))
		require.Less(t, get.ContentLength, int64(len(page)/2))
	})
}

// Without Compress nothing of it is to be seen.
func itIsOffByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := harness.NewSite(t, edgecache.Config{}, func(w http.ResponseWriter, r *http.Request) { speak(w, prose("one"), "Etag", `"x"`) })
		for range 4 {
			require.Equal(t, `200 "x"`, outline(s.Get("/", "Accept-Encoding", harness.AcceptEncoding)))
			synctest.Wait()
		}
		require.Equal(t, `200 "x"`, outline(s.Get("/", "If-None-Match", `"x-br"`, "Accept-Encoding", harness.AcceptEncoding)))
		require.Zero(t, s.Edge.Stats().Compressed)
	})
}

func theClientsPreferencesChooseTheEncoding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPress(t, edgecache.Config{HonorRequestDirectives: true}, prose("one"))
		warm(s, "br", "zstd", "gzip")
		for _, row := range []struct{ name, accept, want string }{
			{"br before zstd before gzip where all are liked alike", "gzip, zstd, br", "br"},
			{"zstd before gzip", "gzip, zstd", "zstd"},
			{"weights come first", "gzip, zstd;q=0.9, br;q=0.8", "gzip"},
			{"a coding before identity where both are liked alike", "identity, gzip", "gzip"},
			{"identity where it is liked more", "identity, gzip;q=0.5", ""},
			{"identity where nothing else is acceptable", "br;q=0, deflate", ""},
			{"a star", "*", "br"},
			{"a star beside a refusal", "br;q=0, *", "zstd"},
			{"not identity where that is refused", "gzip;q=0.001, identity;q=0", "gzip"},
			{"everything refused: to disregard the field is allowed", "*;q=0", ""},
			{"an empty field", "", ""},
		} {
			r := s.Get("/", "Accept-Encoding", row.accept)
			if got := r.Header.Get("Content-Encoding"); got != row.want {
				t.Errorf("%s: got %q, want %q", row.name, got, row.want)
			}
			require.Equal(t, prose("one"), decoded(t, r))
		}
		require.Empty(t, s.Get("/").Header.Get("Content-Encoding"), "no field")
		require.Empty(t, s.Get("/", "Accept-Encoding", "br", "Cache-Control", "no-transform").Header.Get("Content-Encoding"), "RFC 9111, 5.2.1.6")
	})
}

// The best that is there serves until the best of all is made.
func anEncodingThatIsThereStandsInForABetterOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPress(t, edgecache.Config{}, prose("one"))
		warm(s, "gzip")
		require.Equal(t, "gzip", s.Get("/", "Accept-Encoding", harness.AcceptEncoding).Header.Get("Content-Encoding"))
		synctest.Wait()
		require.Equal(t, "br", s.Get("/", "Accept-Encoding", harness.AcceptEncoding).Header.Get("Content-Encoding"))
	})
}

func conditionsHoldForEncodedPages(t *testing.T) {
	const date = "Mon, 22 Nov 1999 12:00:00 GMT"
	for _, row := range []struct {
		name    string
		say     []string // by the handler
		accept  string
		request []string
		want    string // of the hit; on a miss no form is there, so that a 200 is of identity
		miss    string // "" is the same
	}{
		{"the form that the client has and would get again", []string{"Etag", `"x"`}, harness.AcceptEncoding, []string{"If-None-Match", `"x-br"`}, `304 "x-br" Accept-Encoding`, ""},
		{"identity, from its first visit, which is as good", []string{"Etag", `"x"`}, harness.AcceptEncoding, []string{"If-None-Match", `"x"`}, `304 "x" Accept-Encoding`, ""},
		{"another form that it accepts", []string{"Etag", `"x"`}, harness.AcceptEncoding, []string{"If-None-Match", `"x-zstd"`}, `304 "x-zstd" Accept-Encoding`, ""},
		{"a form that it does not accept any more", []string{"Etag", `"x"`}, "gzip", []string{"If-None-Match", `"x-br"`}, `200 "x" Accept-Encoding`, ""},
		{"a form where it accepts none", []string{"Etag", `"x"`}, "", []string{"If-None-Match", `"x-br"`}, `200 "x" Accept-Encoding`, ""},
		{"identity where it refuses that", []string{"Etag", `"x"`}, "br, identity;q=0", []string{"If-None-Match", `"x"`}, `200 br "x-br" Accept-Encoding`, `200 "x" Accept-Encoding`},
		{"of several the one that would be sent", []string{"Etag", `"x"`}, harness.AcceptEncoding, []string{"If-None-Match", `"x", "y", "x-br"`}, `304 "x-br" Accept-Encoding`, `304 "x" Accept-Encoding`},
		{"of several the first that it accepts", []string{"Etag", `"x"`}, "zstd", []string{"If-None-Match", `"x-br", "x-zstd"`}, `304 "x-zstd" Accept-Encoding`, ""},
		{"weakly", []string{"Etag", `"x"`}, harness.AcceptEncoding, []string{"If-None-Match", `W/"x-br"`}, `304 "x-br" Accept-Encoding`, ""},
		{"a weak tag", []string{"Etag", `W/"x"`}, harness.AcceptEncoding, []string{"If-None-Match", `W/"x-br"`}, `304 W/"x-br" Accept-Encoding`, ""},
		{"everything", []string{"Etag", `"x"`}, harness.AcceptEncoding, []string{"If-None-Match", "*"}, `304 "x-br" Accept-Encoding`, `304 "x" Accept-Encoding`},
		{"another page", []string{"Etag", `"x"`}, harness.AcceptEncoding, []string{"If-None-Match", `"y-br"`}, `200 br "x-br" Accept-Encoding`, `200 "x" Accept-Encoding`},
		{"a date beside a tag does not count", []string{"Etag", `"x"`, "Last-Modified", date}, harness.AcceptEncoding, []string{"If-None-Match", `"y"`, "If-Modified-Since", date}, `200 br "x-br" Accept-Encoding`, `200 "x" Accept-Encoding`},
		{"a date", []string{"Last-Modified", date}, harness.AcceptEncoding, []string{"If-Modified-Since", date}, `304 Accept-Encoding`, ""},
		{"a page without a tag", []string{"Last-Modified", date}, harness.AcceptEncoding, []string{"If-None-Match", `"-br"`}, `200 br Accept-Encoding`, `200 Accept-Encoding`},
		{"no-transform wants identity", []string{"Etag", `"x"`}, harness.AcceptEncoding, []string{"If-None-Match", `"x-br"`, "Cache-Control", "no-transform"}, `200 "x" Accept-Encoding`, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			ask := append([]string{"Accept-Encoding", row.accept}, row.request...)
			s := newPress(t, edgecache.Config{HonorRequestDirectives: true}, prose("one"), row.say...)
			if row.miss == "" {
				row.miss = row.want
			}
			if got := outline(s.Get("/", ask...)); got != row.miss {
				t.Errorf("%s, miss: got %s, want %s", row.name, got, row.miss)
			}
			warm(s, "br")
			for _, method := range []string{"GET", "HEAD"} {
				if got := outline(s.Do(method, "/", ask...)); got != row.want {
					t.Errorf("%s, %s: got %s, want %s", row.name, method, got, row.want)
				}
			}
			require.Equal(t, 1, s.Calls())
		})
	}
}

// Tags that are made of the bytes have encodings, too, and survive the page: the next one with the
// same bytes has the same.
func aTagThatTheCacheMadeIsConfirmedForAnEncodedPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPress(t, edgecache.Config{}, prose("one"))
		warm(s, "br")
		tag := s.Get("/", "Accept-Encoding", "br").Header.Get("Etag")
		require.Regexp(t, `^"ec-[0-9a-f]{24}-br"$`, tag)
		confirm := func() string {
			r := s.Get("/", "Accept-Encoding", "br", "If-None-Match", tag)
			return fmt.Sprint(r.Header.Get("X-Cache"), " ", r.StatusCode, " ", r.Header.Get("Etag") == tag)
		}
		require.Equal(t, "HIT 304 true", confirm())
		_, err := s.Edge.PurgeAll(t.Context())
		require.NoError(t, err)
		require.Equal(t, "MISS 304 true", confirm())
	})
}

// Parts are of identity, whatever else is there.
func rangesAreCutFromTheIdentity(t *testing.T) {
	const date = "Mon, 22 Nov 1999 12:00:00 GMT"
	page := prose("one")
	part := fmt.Sprintf("206 bytes 0-9/%d", len(page))
	for _, row := range []struct {
		name    string
		accept  string
		request []string
		want    string
		miss    string
	}{
		{"a range", harness.AcceptEncoding, nil, part + ` "x" Accept-Encoding`, ""},
		{"of what has the tag of identity", harness.AcceptEncoding, []string{"If-Range", `"x"`}, part + ` "x" Accept-Encoding`, ""},
		{"of what has the tag of a coding", harness.AcceptEncoding, []string{"If-Range", `"x-br"`}, `200 br "x-br" Accept-Encoding`, `200 "x" Accept-Encoding`},
		{"by a date, which all codings have", harness.AcceptEncoding, []string{"If-Range", date}, `200 br "x-br" Accept-Encoding`, `200 "x" Accept-Encoding`},
		{"where identity is refused", "br, identity;q=0", nil, `200 br "x-br" Accept-Encoding`, `200 "x" Accept-Encoding`},
		{"where no coding is accepted", "", nil, part + ` "x" Accept-Encoding`, ""},
		{"outside", harness.AcceptEncoding, []string{"Range", "bytes=999999-"}, fmt.Sprintf("416 bytes */%d Accept-Encoding", len(page)), ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			ask := append([]string{"Accept-Encoding", row.accept}, row.request...)
			if !strings.Contains(strings.Join(ask, " "), "bytes=") {
				ask = append(ask, "Range", "bytes=0-9")
			}
			s := newPress(t, edgecache.Config{}, page, "Etag", `"x"`, "Last-Modified", date)
			if row.miss == "" {
				row.miss = row.want
			}
			if got := outline(s.Get("/", ask...)); got != row.miss {
				t.Errorf("%s, miss: got %s, want %s", row.name, got, row.miss)
			}
			warm(s, "br")
			r := s.Get("/", ask...)
			if got := outline(r); got != row.want {
				t.Errorf("%s: got %s, want %s", row.name, got, row.want)
			}
			if r.StatusCode == http.StatusPartialContent {
				require.Equal(t, page[:10], harness.Body(t, r))
			}
		})
	}
}

// A page with two ranges has the boundary of multipart/byteranges, and no coding either.
func partsOfAnEncodedPageAreIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPress(t, edgecache.Config{}, prose("one"))
		warm(s, "br")
		r := s.Get("/", "Accept-Encoding", "br", "Range", "bytes=0-1,4-5")
		require.Equal(t, 206, r.StatusCode)
		require.Equal(t, "Accept-Encoding", r.Header.Get("Vary"))
		require.Empty(t, r.Header.Get("Content-Encoding"))
		require.NotContains(t, r.Header.Get("Etag"), "-br")
		require.Contains(t, harness.Body(t, r), "<!")
	})
}

// Which pages are coded, and which are left as they are: those do not vary either.
func somePagesAreNotEncoded(t *testing.T) {
	long := prose("one")
	for _, row := range []struct {
		name string
		page string
		say  []string
		vary string
		want string // Content-Encoding
	}{
		{"a page", long, nil, "Accept-Encoding", "br"},
		{"a type that net/http finds out", long, []string{"Content-Type", ""}, "Accept-Encoding", "br"},
		{"of declared length", long, []string{"Content-Length", strconv.Itoa(len(long))}, "Accept-Encoding", "br"},
		{"JSON", long, []string{"Content-Type", "application/problem+json"}, "Accept-Encoding", "br"},
		{"a page for each language", long, []string{"Vary", "Accept-Language"}, "Accept-Language, Accept-Encoding", "br"},
		{"the smallest", strings.Repeat("x", coding.MinSize), nil, "Accept-Encoding", "br"},
		{"one byte less", strings.Repeat("x", coding.MinSize-1), []string{"Content-Length", fmt.Sprint(coding.MinSize - 1)}, "", ""},
		{"the largest", strings.Repeat("x", coding.MaxSize), nil, "Accept-Encoding", "br"},
		{"one byte more", strings.Repeat("x", coding.MaxSize+1), []string{"Content-Length", fmt.Sprint(coding.MaxSize + 1)}, "", ""},
		{"a picture", long, []string{"Content-Type", "image/png"}, "", ""},
		{"no-transform", long, []string{"Cache-Control", "max-age=60, No-Transform"}, "", ""},
		{"no-transform for this cache", long, []string{"Cdn-Cache-Control", "max-age=60, no-transform"}, "", ""},
		{"coded already", long, []string{"Content-Encoding", "br"}, "", "br"},
		{"the handler codes by itself, though not for this client", long, []string{"Vary", "accept-encoding"}, "accept-encoding", ""},
		{"a digest of the content", long, []string{"Content-Digest", "sha-256=:x:"}, "", ""},
		{"a digest of the representation", long, []string{"Repr-Digest", "sha-256=:x:"}, "", ""},
		{"a digest of old", long, []string{"Digest", "sha-256=x"}, "", ""},
		{"an older one", long, []string{"Content-Md5", "x"}, "", ""},
		{"a wish for digests", long, []string{"Want-Content-Digest", "sha-256=1"}, "", ""},
		{"a signature", long, []string{"Signature", "sig=:x:"}, "", ""},
		{"what is no tag", long, []string{"Etag", "x"}, "", ""},
		{"two tags", long, []string{"Etag", `"x"`, "Etag", `"y"`}, "", ""},
		{"two types", long, []string{"Content-Type", "text/html", "Content-Type", "text/css"}, "", ""},
		{"a 404", long, []string{"Status", "404"}, "", ""},
		{"a cookie", long, []string{"Set-Cookie", "a=b"}, "", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := harness.NewSite(t, edgecache.Config{Compress: true, InsecureStoreSetCookie: true}, func(w http.ResponseWriter, r *http.Request) {
				say, status := row.say, 200
				if len(say) > 0 && say[0] == "Status" {
					say, status = nil, 404
				}
				if len(say) > 0 && say[0] == "Content-Type" && say[1] == "" {
					_, _ = io.WriteString(w, row.page)
					return
				}
				speak(&late{w, status}, row.page, say...)
			})
			for _, word := range []string{"MISS", "HIT", "HIT", "HIT"} {
				r := s.Get("/", "Accept-Encoding", "br")
				require.Equal(t, word, r.Header.Get("X-Cache"), row.name)
				if got := strings.Join(r.Header["Vary"], ", "); got != row.vary {
					t.Errorf("%s, %s: got Vary %q, want %q", row.name, word, got, row.vary)
				}
				synctest.Wait()
			}
			r := s.Get("/", "Accept-Encoding", "br")
			if got := r.Header.Get("Content-Encoding"); got != row.want {
				t.Errorf("%s: got Content-Encoding %q, want %q", row.name, got, row.want)
			}
			if row.vary != "" && decoded(t, r) != row.page {
				t.Errorf("%s: another page", row.name)
			}
		})
	}
}

// late says a status with the first byte.
type late struct {
	http.ResponseWriter
	status int
}

func (l *late) Write(p []byte) (int, error) {
	if l.status != 0 {
		l.WriteHeader(l.status)
		l.status = 0
	}
	return l.ResponseWriter.Write(p)
}

// Every answer for a page that may be coded says so: a cache or a browser between must not mix its
// forms up.
func eachResponseOfAnEncodablePageVaries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := prose("one")
		proceed := make(chan struct{})
		s := harness.NewCountedSite(t, edgecache.Config{Compress: true}, func(w http.ResponseWriter, r *http.Request, call int) {
			if r.Method == http.MethodGet && call < 8 {
				<-proceed
			}
			if call == 8 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			if edgecache.NotModified(w, r, edgecache.ETag("x")) {
				return
			}
			speak(w, page, "Cache-Control", "max-age=10, stale-if-error=60", "Vary", "Accept")
		})
		check := func(word string, v *harness.Client) {
			t.Helper()
			<-v.Done
			if got := v.Sent.Get("X-Cache"); got != word {
				t.Errorf("got %s, want %s", got, word)
			}
			if got := strings.Join(v.Sent["Vary"], ", "); got != "Accept, Accept-Encoding" {
				t.Errorf("%s: got Vary %q", word, got)
			}
		}
		head := func() *harness.Client {
			return harness.Send(t.Context(), s.Handler, harness.Request("HEAD", "/"))
		}
		check("MISS", head())
		all := []*harness.Client{s.Visit("/")}
		synctest.Wait()
		all = append(all, s.Visit("/", "Range", "bytes=0-9"), s.Visit("/", "If-None-Match", `"x"`), s.Visit("/", "Range", "bytes=0-1,5-6"))
		synctest.Wait()
		close(proceed)
		check("MISS", all[0])
		for _, v := range all[1:] {
			check("HIT", v)
		}
		require.Equal(t, 2, s.Calls(), "the others waited")
		for _, header := range [][]string{nil, {"Accept-Encoding", "br"}, {"Range", "bytes=0-9"}, {"If-None-Match", `"x"`}, {"Range", "bytes=99999-"}} {
			check("HIT", s.Visit("/", header...))
			synctest.Wait()
		}
		check("HIT", head())
		time.Sleep(11 * time.Second)
		check("EXPIRED", head())
		check("REVALIDATED", s.Visit("/")) // the HEAD has told nothing
		for s.Calls() < 7 {
			time.Sleep(11 * time.Second)
			check("REVALIDATED", s.Visit("/"))
		}
		time.Sleep(11 * time.Second)
		check("STALE", s.Visit("/"))
	})
}

// What middleware outside says on every answer counts as well, and its Vary stays.
func middlewareOutsideCountsForCompressedPages(t *testing.T) {
	for _, row := range []struct {
		name    string
		outside []string
		want    string
	}{
		{"nothing to do with it", []string{"X-Request-Id", "1"}, `200 br "x-br" Accept-Encoding`},
		{"it varies", []string{"Vary", "Origin"}, `200 br "x-br" Origin, Accept-Encoding`},
		{"it varies on two lines", []string{"Vary", "Origin", "Vary", "Accept"}, `200 br "x-br" Origin, Accept, Accept-Encoding`},
		{"it forbids", []string{"Cache-Control", "no-transform"}, `200 "x"`},
		{"it codes by itself", []string{"Vary", "Accept-Encoding"}, `200 "x" Accept-Encoding`},
		{"it sets a digest", []string{"Repr-Digest", "x"}, `200 "x"`},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newPress(t, edgecache.Config{}, prose("one"), "Etag", `"x"`)
			cached := s.Handler
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for i := 0; i < len(row.outside); i += 2 {
					w.Header().Add(row.outside[i], row.outside[i+1])
				}
				cached.ServeHTTP(w, r)
			})
			for range 3 {
				s.Get("/", "Accept-Encoding", "br")
				synctest.Wait()
			}
			if got := outline(s.Get("/", "Accept-Encoding", "br")); got != row.want {
				t.Errorf("%s: got %s, want %s", row.name, got, row.want)
			}
		})
	}
}

// A tag of a coding means nothing to the handler: it answers with the page, and never with a 304
// that its client could not place.
func theTagOfAnEncodingReachesAHandlerAsAnother(t *testing.T) {
	s := newPress(t, edgecache.Config{}, prose("one"))
	s.Handler = s.Edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edgecache.NoStore(w)
		if edgecache.NotModified(w, r, edgecache.ETag("x")) {
			return
		}
		speak(w, prose("one"))
	}))
	s.Get("/")
	require.Equal(t, `304 "x"`, outline(s.Get("/", "If-None-Match", `"x"`, "Accept-Encoding", "br")))
	require.Equal(t, `200 "x"`, outline(s.Get("/", "If-None-Match", `"x-br"`, "Accept-Encoding", "br")))
}

// By what the client accepts it is decided in which coding it gets the page, not by what the
// handler has made of its header: one that http.TimeoutHandler gave up may still change that. Run
// with -race.
func aHandlerMayChangeItsRequestWhileAnEncodedPageStandsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := prose("one")
		calls, left := 0, make(chan struct{})
		edge, err := edgecache.New(edgecache.Config{Compress: true})
		require.NoError(t, err)
		h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls == 1 {
				speak(w, page, "Cache-Control", "max-age=10, stale-if-error=600")
				return
			}
			r.Header.Set("Accept-Encoding", "br")
			go func() {
				defer close(left)
				for range 1000 {
					r.Header.Set("X-Team", "blue")
					r.Header.Del("X-Team")
				}
			}()
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		get := func(method, accepts string) *http.Response {
			r := harness.Request(method, "/", "Accept-Encoding", accepts)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			synctest.Wait()
			return w.Result()
		}
		for range 2 {
			get("GET", "br")
			get("GET", "gzip")
		}
		time.Sleep(time.Minute)
		r := get("GET", "gzip")
		<-left
		require.Equal(t, "STALE", r.Header.Get("X-Cache"))
		require.Equal(t, "gzip", r.Header.Get("Content-Encoding"))
		_, err = io.Copy(io.Discard, r.Body)
		require.NoError(t, err)
	})
}

// The same for a HEAD.
func aHandlerMayChangeTheRequestOfAHEADOfAnEncodablePage(t *testing.T) {
	left := make(chan struct{})
	edge, err := edgecache.New(edgecache.Config{Compress: true})
	require.NoError(t, err)
	h := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		go func() {
			defer close(left)
			for range 1000 {
				r.Header.Set("Cookie", "session=1")
				r.Header.Del("Cookie")
			}
		}()
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusOK)
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, harness.Request("HEAD", "/"))
	<-left
	require.Equal(t, "Accept-Encoding", w.Header().Get("Vary"))
}
