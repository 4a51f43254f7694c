package engine_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestTransparencyOfRanges(t *testing.T) {
	t.Run("a client gets the part that it asked for", aClientGetsThePartThatItAskedFor)
	t.Run("mutants are caught", mutantsAreCaught)
}

// rangesModel is a resource of which clients ask for parts.
type rangesModel struct {
	control, tag string
	size         int
	kind         string // of handler
	whole        string
}

func drawRangesModel(d harness.Dice) rangesModel {
	m := rangesModel{
		control: harness.Pick(d, "private", "no-store", "max-age=60", "public, max-age=60", "no-cache", "max-age=0"),
		tag:     harness.Pick(d, `"v1"`, `"v1"`, `W/"v1"`, ""),
		size:    harness.Pick(d, 1, 10, 3000, 9000, 150_000),
		kind:    harness.Pick(d, "serves content", "ignores ranges", "knows no length", "writes and flushes"),
	}
	m.whole = digits(m.size)
	return m
}

var rangesModified = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func (m *rangesModel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", m.control)
	h.Set("Content-Type", "text/plain")
	if m.tag != "" {
		h.Set("Etag", m.tag)
	}
	if m.kind == "serves content" {
		http.ServeContent(w, r, "", rangesModified, strings.NewReader(m.whole))
		return
	}
	h.Set("Accept-Ranges", "bytes")
	if m.kind != "knows no length" {
		h.Set("Content-Length", fmt.Sprint(m.size))
	}
	for rest := m.whole; rest != ""; {
		n := min(len(rest), 1000)
		if _, err := io.WriteString(w, rest[:n]); err != nil {
			return
		}
		rest = rest[n:]
		if m.kind == "writes and flushes" {
			flush(w)
		}
	}
}

// asks draws a request for a part.
func drawRanges(d harness.Dice, m *rangesModel) http.Header {
	h := http.Header{}
	spec := func() string {
		first := d.IntN(m.size + 2)
		return harness.Pick(d, fmt.Sprintf("%d-%d", first, first+d.IntN(m.size+1)), fmt.Sprintf("%d-", first), fmt.Sprintf("-%d", 1+d.IntN(m.size+2)), "0-", "0-0")
	}
	switch d.IntN(8) {
	case 0:
		h.Set("Range", "bytes="+spec()+", "+spec())
	case 1:
		h.Set("Range", harness.Pick(d, "bytes=", "bytes=a-b", "lines=1-2", "bytes", "bytes=9-1"))
	default:
		h.Set("Range", "bytes="+spec())
	}
	if d.OneIn(3) {
		h.Set("If-Range", harness.Pick(d, `"v1"`, `"v0"`, `W/"v1"`, rangesModified.Format(http.TimeFormat), rangesModified.Add(time.Second).Format(http.TimeFormat)))
	}
	if d.OneIn(6) {
		h.Set("If-None-Match", harness.Pick(d, `"v1"`, `"v0"`))
	}
	if d.OneIn(3) {
		h.Set("Cookie", "session=1")
	}
	return h
}

// judge says what is wrong with an answer to a request for a part (RFC 9110, 13.2.2, 14.2 and
// 15.3.7), told from the resource alone.
func (m *rangesModel) judge(asked http.Header, got seen) error {
	text := m.whole
	unmodified := asked.Get("If-None-Match") == `"v1"` && strings.HasSuffix(m.tag, `"v1"`)
	one, many, outside := m.parse(asked.Get("Range"))
	changed := false
	switch tag := asked.Get("If-Range"); {
	case tag == "":
	case strings.HasPrefix(tag, `"`), strings.HasPrefix(tag, "W/"):
		changed = tag != m.tag || strings.HasPrefix(tag, "W/")
	default:
		changed = m.kind != "serves content" || tag != rangesModified.Format(http.TimeFormat)
	}
	var first, last, size int
	slice := func(contentRange, body string) error {
		if n, _ := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &first, &last, &size); n != 3 || size != len(text) || first < 0 || last < first || last >= size || text[first:last+1] != body {
			return fmt.Errorf("Content-Range %q is not what came: %.60q", contentRange, body)
		}
		return nil
	}
	switch {
	case got.broken:
		return fmt.Errorf("it broke off")
	case got.status == http.StatusNotModified && unmodified && got.body == "":
		return nil
	case got.status == http.StatusOK && got.body == text:
		if one != nil && !changed && !unmodified && m.kind == "serves content" && m.tag != "" && !got.hit {
			return fmt.Errorf("a handler that knows ranges, behind the cache, sent all of it")
		}
		return nil // always right
	case got.status == http.StatusRequestedRangeNotSatisfiable && (outside && !changed || one == nil && !many):
		return nil // net/http says so of malformed ones, too
	case got.status != http.StatusPartialContent:
		return fmt.Errorf("status %d with %.60q", got.status, got.body)
	case changed:
		return fmt.Errorf("a part although If-Range is %s and the tag %s", asked.Get("If-Range"), m.tag)
	case one != nil:
		if err := slice(got.header.Get("Content-Range"), got.body); err != nil {
			return err
		}
		if first != one[0] || last != one[1] || got.header.Get("Content-Length") != fmt.Sprint(len(got.body)) {
			return fmt.Errorf("it is another part than that from %d to %d", one[0], one[1])
		}
		return nil
	case !many:
		return fmt.Errorf("a part although Range is %s", asked.Get("Range"))
	}
	kind, params, _ := mime.ParseMediaType(got.header.Get("Content-Type"))
	if kind != "multipart/byteranges" {
		return slice(got.header.Get("Content-Range"), got.body) // one of two is outside
	}
	for parts := multipart.NewReader(strings.NewReader(got.body), params["boundary"]); ; {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		body, err := io.ReadAll(part)
		if err != nil {
			return err
		}
		if err := slice(part.Header.Get("Content-Range"), string(body)); err != nil {
			return err
		}
	}
}

// parse reads what asks writes: the first and last place of a single range, or that there are many,
// or that it lies outside.
func (m *rangesModel) parse(text string) (one []int, many, outside bool) {
	set, ok := strings.CutPrefix(text, "bytes=")
	if !ok || strings.Contains(set, ",") {
		return nil, ok, ok
	}
	var first, last int
	switch n, _ := fmt.Sscanf(set, "%d-%d", &first, &last); {
	case n == 2 && first >= 0 && last < first:
		return nil, false, false
	case strings.HasPrefix(set, "-") && n >= 1:
		return []int{max(m.size+first, 0), m.size - 1}, false, false
	case n == 1 && first < m.size:
		return []int{first, m.size - 1}, false, false
	case n == 2 && first < m.size:
		return []int{first, min(last, m.size-1)}, false, false
	case n >= 1:
		return nil, false, true
	}
	return nil, false, false
}

// playRanges asks for parts of a random resource behind wrap, and returns what is wrong first.
func playRanges(t *testing.T, seed uint64, wrap func(http.Handler) http.Handler) error {
	d := harness.NewDice(seed)
	m := drawRangesModel(d)
	s := startServer(t, wrap(&m), d.OneIn(4))
	defer s.Close()
	for range 8 {
		asked := drawRanges(d, &m)
		if err := m.judge(asked, look(t, s, "GET", "/file", asked, nil)); err != nil {
			return fmt.Errorf("EDGECACHE_SEED=%d: %d bytes of a handler that %s, says %s and has the tag %s; asked for %v: %w", seed, m.size, m.kind, m.control, m.tag, asked, err)
		}
	}
	return nil
}

// Whether it is stored or not, for each client, and however its handler writes it: a client gets
// the part that it asked for, or all of it, and no other part.
func aClientGetsThePartThatItAskedFor(t *testing.T) {
	first, n := harness.Batches(t, 100, 3000)
	for seed := first; seed < first+n; seed++ {
		if err := playRanges(t, seed, func(next http.Handler) http.Handler { return transparentCache(t, next, false) }); err != nil {
			t.Fatal(err)
		}
	}
}

// rangeMutants are caches that cut what they do not store, each with a mistake.
var rangeMutants = map[string]func(h http.Header, status *int, asked http.Header, body string, whole string) string{
	"one byte late": func(h http.Header, _ *int, _ http.Header, body, whole string) string {
		if at := strings.Index(whole, body); len(body) > 1 && at+len(body) < len(whole) {
			return whole[at+1 : at+1+len(body)]
		}
		return body
	},
	"with another size": func(h http.Header, _ *int, _ http.Header, body, _ string) string {
		h.Set("Content-Range", h.Get("Content-Range")+"0")
		return body
	},
	"all of it each time": func(h http.Header, status *int, _ http.Header, _, whole string) string {
		h.Del("Content-Range")
		*status = http.StatusOK
		return whole
	},
	"the rest instead of the part": func(h http.Header, _ *int, _ http.Header, body, whole string) string {
		first := strings.Index(whole, body)
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, len(whole)-1, len(whole)))
		return whole[first:]
	},
}

// The judge tells such mistakes, and that a part is sent whatever If-Range says.
func mutantsAreCaught(t *testing.T) {
	for name, mutate := range rangeMutants {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(200) {
				err := playRanges(t, seed, func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						m := next.(*rangesModel)
						rec := newRecorded(next, r)
						body, status := rec.Body.String(), rec.Code
						if status == http.StatusPartialContent && rec.Header().Get("Content-Range") != "" {
							body = mutate(rec.Header(), &status, r.Header, body, m.whole)
							rec.Header().Set("Content-Length", fmt.Sprint(len(body)))
						}
						replay(w, rec.Header(), status, body)
					})
				})
				if err != nil {
					return
				}
			}
			t.Error("nobody has noticed")
		})
	}
	t.Run("without If-Range", func(t *testing.T) {
		for seed := range uint64(200) {
			err := playRanges(t, seed, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r.Header.Del("If-Range")
					next.ServeHTTP(w, r)
				})
			})
			if err != nil {
				return
			}
		}
		t.Error("nobody has noticed")
	})
}

// newRecorded returns what h answers.
func newRecorded(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

// replay sends an answer.
func replay(w http.ResponseWriter, header http.Header, status int, body string) {
	maps.Copy(w.Header(), header)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}
