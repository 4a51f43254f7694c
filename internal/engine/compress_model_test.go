package engine_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
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

func TestCompressModel(t *testing.T) {
	t.Run("random histories keep to the model", randomHistoriesKeepToTheModel)
	t.Run("broken caches are caught", brokenCachesAreCaught)
}

// pressLife is how long the pages of the model are fresh.
const pressLife = 10 * time.Second

// press is a site of a few pages whose texts change, and what is known of its answers: whatever a
// client sends, it can decode what it gets, and that is a text which the page has or had not too
// long ago; no two forms share a strong tag; every answer says that it varies; and a 304 names a
// form that the client has and accepts.
type press struct {
	edge    *edgecache.Edge
	h       http.Handler
	mu      sync.Mutex
	texts   [6][]edition // of each page, the latest last
	tags    map[string]string
	seen    [6][]string // tags that were handed out
	answers map[string]int
	wrong   []string
}

// edition is a text and since when it must not be served any more: when it was purged, or was not
// the latest for as long as a page lives.
type edition struct {
	text int
	gone time.Time // zero while it may be served
}

func pressPage(page, text int) string {
	return strings.Repeat(fmt.Sprintf("<p>Page %d says the words of text %d.</p>\n", page, text), 60+text)
}

func newModelPress(d harness.Dice, wrap func(http.Handler) http.Handler) *press {
	cfg := edgecache.Config{Compress: true, Logger: harness.Silent(), HonorRequestDirectives: true}
	if d.OneIn(3) {
		cfg.Store = storetest.NewMap()
	}
	if d.OneIn(3) {
		cfg.MaxBytes = 64 << 10 // not all have room
	}
	edge, err := edgecache.New(cfg)
	if err != nil {
		panic(err)
	}
	p := &press{edge: edge, tags: map[string]string{}, answers: map[string]int{}}
	for page := range p.texts {
		p.texts[page] = []edition{{text: d.IntN(3)}}
	}
	p.h = wrap(edge.Handler(http.HandlerFunc(p.serve)))
	return p
}

// serve is the handler. Pages differ in their validators.
func (p *press) serve(w http.ResponseWriter, r *http.Request) {
	page := int(r.URL.Path[1] - '0')
	p.mu.Lock()
	text := p.texts[page][len(p.texts[page])-1].text
	p.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", "text/html")
	edgecache.MaxAge(w, pressLife)
	edgecache.Tag(w, fmt.Sprint("page", page))
	switch page {
	case 0: // tags are made
	case 1:
		if edgecache.NotModified(w, r, edgecache.ETag(fmt.Sprint("t", text))) {
			return
		}
	case 2:
		h.Set("Etag", fmt.Sprintf(`W/"w%d"`, text))
	case 3:
		h.Set("Last-Modified", time.Date(1999, 1, 1, 0, 0, text, 0, time.UTC).Format(http.TimeFormat))
	case 4:
		h.Set("Etag", fmt.Sprintf(`"s%d"`, text))
		h.Set("Content-Length", fmt.Sprint(len(pressPage(page, text))))
		edgecache.NoCache(w)
	case 5:
		h.Set("Vary", "Accept-Language")
	}
	content := pressPage(page, text)
	time.Sleep(time.Duration(len(r.Header.Get("Accept-Language"))) * time.Millisecond)
	_, _ = io.WriteString(w, content[:len(content)/2])
	_, _ = io.WriteString(w, content[len(content)/2:])
}

// change gives a page another text, or the same once more; purged says that the former must not be
// seen again.
func (p *press) change(page, text int, purge func() bool) {
	p.mu.Lock()
	now := time.Now()
	p.texts[page] = append(p.texts[page], edition{text: text})
	for i := range p.texts[page][:len(p.texts[page])-1] {
		if e := &p.texts[page][i]; e.gone.IsZero() {
			e.gone = now.Add(pressLife + time.Second)
		}
	}
	n := len(p.texts[page]) - 1
	p.mu.Unlock()
	if !purge() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.texts[page][:n] {
		if e := &p.texts[page][i]; e.gone.After(time.Now()) {
			e.gone = time.Now()
		}
	}
}

// may returns the texts that an answer to a request that came at the given moment may have.
func (p *press) may(page int, came time.Time, before []edition) (texts []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, e := range p.texts[page] {
		gone := e.gone
		if i < len(before) {
			gone = before[i].gone // a purge that comes while it runs is no rule for it
		}
		if gone.IsZero() || came.Before(gone) {
			texts = append(texts, e.text)
		}
	}
	return texts
}

// wants is what a client accepts, in thousandths: what it writes, as it is to be understood.
type wants struct {
	line    string
	weights map[string]int
	absent  bool
}

func drawWants(d harness.Dice) wants {
	if d.OneIn(8) {
		return wants{absent: true}
	}
	w := wants{weights: map[string]int{}}
	var members []string
	for _, name := range []string{"gzip", "br", "zstd", "identity", "*", "deflate"} {
		if d.OneIn(2) {
			continue
		}
		weight := harness.Pick(d, 0, 1, 500, 999, 1000, 1000, 1000)
		w.weights[name] = weight
		switch weight {
		case 1000:
			members = append(members, harness.Pick(d, name, name+";q=1", strings.ToUpper(name)))
		default:
			members = append(members, fmt.Sprintf("%s;q=0.%03d", name, weight))
		}
	}
	d.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	w.line = strings.Join(members, harness.Pick(d, ",", ", ", " ,"))
	return w
}

// of is what the client thinks of a coding (RFC 9110, 12.5.3).
func (w *wants) of(name string) int {
	weight, named := w.weights[name]
	star, starred := w.weights["*"]
	switch {
	case w.absent:
		return map[string]int{"identity": 1000}[name]
	case named:
		return weight
	case starred:
		return star
	case name == "identity":
		return 1
	}
	return 0
}

// ask sends one random request and judges the answer.
func (p *press) ask(page int, w wants, header [][2]string, method string) {
	r := harness.Request(method, fmt.Sprint("/", page))
	if !w.absent {
		r.Header.Set("Accept-Encoding", w.line)
	}
	for _, f := range header {
		r.Header.Set(f[0], f[1])
	}
	sent := fmt.Sprint(method, " ", r.URL.Path, " ", r.Header)
	p.mu.Lock()
	came, before := time.Now(), slices.Clone(p.texts[page])
	p.mu.Unlock()
	rec := httptest.NewRecorder()
	p.h.ServeHTTP(rec, r)
	err := p.judge(page, &w, header, method, rec.Result(), rec.Body.String(), p.may(page, came, before))
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.wrong = append(p.wrong, fmt.Sprintf("%s: %v (got %s, %v)", sent, err, outline(rec.Result()), rec.Header()))
	}
	if tag := rec.Header().Get("Etag"); tag != "" {
		p.seen[page] = append(p.seen[page], tag)
	}
	p.answers[fmt.Sprint(rec.Code, " ", rec.Header().Get("Content-Encoding"))]++
}

func (p *press) judge(page int, w *wants, header [][2]string, method string, r *http.Response, raw string, may []int) error {
	asked := map[string]string{}
	for _, f := range header {
		asked[f[0]] = f[1]
	}
	form, tag := r.Header.Get("Content-Encoding"), r.Header.Get("Etag")
	if vary := strings.Join(r.Header["Vary"], ","); strings.Count(vary, "Accept-Encoding") != 1 || page == 5 && !strings.Contains(vary, "Accept-Language") {
		return fmt.Errorf("it does not say once what it varies by")
	}
	if form == "" {
		form = "identity"
	}
	switch r.StatusCode {
	case http.StatusNotModified:
		if word := r.Header.Get("X-Cache"); method == http.MethodHead && (word == "MISS" || word == "EXPIRED") {
			w = &wants{absent: true} // the handler's own, and it knows of nothing but identity
		}
		return p.judge304(page, w, asked["If-None-Match"], asked["If-Modified-Since"], tag, may)
	case http.StatusRequestedRangeNotSatisfiable:
		if asked["Range"] != "bytes=99999-" || form != "identity" {
			return fmt.Errorf("the range lies inside")
		}
		return nil
	case http.StatusPartialContent:
		if form != "identity" || w.of("identity") == 0 {
			return fmt.Errorf("a part that the client cannot put in its place")
		}
		for _, text := range may {
			if content := pressPage(page, text); raw == content[100:200] && r.Header.Get("Content-Range") == fmt.Sprint("bytes 100-199/", len(content)) {
				return p.same(page, tag, "identity", content)
			}
		}
		return fmt.Errorf("a part of no text that it may have, which are %v", may)
	case http.StatusOK:
	default:
		return fmt.Errorf("no such status")
	}
	if w.of(form) < w.of("identity") || form != "identity" && w.of(form) == 0 {
		return fmt.Errorf("the client likes identity better than %s", form)
	}
	if method == http.MethodHead {
		return nil // what a handler writes to it is for the server to drop
	}
	r.Body = io.NopCloser(strings.NewReader(raw))
	content, err := plain(r)
	if err != nil {
		return err
	}
	for _, text := range may {
		if content == pressPage(page, text) {
			return p.same(page, tag, form, raw)
		}
	}
	return fmt.Errorf("%.60q is no text that it may have, which are %v", content, may)
}

// same holds that a strong tag means one sequence of bytes.
func (p *press) same(page int, tag, form, raw string) error {
	if tag == "" || strings.HasPrefix(tag, "W/") {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	name, bytes := fmt.Sprint(page, tag), form+raw
	if known, ok := p.tags[name]; ok && known != bytes {
		return fmt.Errorf("the tag is that of other bytes")
	}
	p.tags[name] = bytes
	return nil
}

func (p *press) judge304(page int, w *wants, match, since, tag string, may []int) error {
	if match == "" {
		if since == "" || page != 3 {
			return fmt.Errorf("nobody asked")
		}
		for _, text := range may {
			if since >= time.Date(1999, 1, 1, 0, 0, text, 0, time.UTC).Format(http.TimeFormat) { // they differ in a digit
				return nil
			}
		}
		return fmt.Errorf("it has changed since; it may be %v", may)
	}
	if !strings.Contains(match, strings.TrimPrefix(tag, "W/")) {
		return fmt.Errorf("a tag that the client does not have")
	}
	base, form := strings.Trim(strings.TrimPrefix(tag, "W/"), `"`), "identity"
	for _, c := range []coding.Coding{coding.Brotli, coding.Zstd, coding.Gzip} {
		if of, ok := strings.CutSuffix(base, "-"+c.String()); ok {
			base, form = of, c.String()
		}
	}
	if w.of(form) == 0 {
		return fmt.Errorf("the client does not accept %s", form)
	}
	for _, text := range may {
		switch {
		case page == 1 && base == fmt.Sprint("t", text), page == 2 && base == fmt.Sprint("w", text), page == 4 && base == fmt.Sprint("s", text):
			return nil
		case page == 0 || page == 5:
			p.mu.Lock()
			known, ok := p.tags[fmt.Sprint(page, `"`, base, `"`)]
			p.mu.Unlock()
			if !ok || known == "identity"+pressPage(page, text) {
				return nil // or its bytes were never seen as identity
			}
		}
	}
	return fmt.Errorf("it is no text that it may have, which are %v", may)
}

// plain decodes the body of an answer.
func plain(r *http.Response) (text string, err error) {
	var t failing
	func() {
		defer func() {
			if recover() != nil {
				err = fmt.Errorf("it does not decode: %s", t.text)
			}
		}()
		text = decoded(&t, r)
	}()
	return text, err
}

// failing is a test that may fail.
type failing struct {
	testing.TB
	text string
}

func (f *failing) Helper()                           {}
func (f *failing) Errorf(format string, args ...any) { f.text = fmt.Sprintf(format, args...) }
func (f *failing) Fatalf(format string, args ...any) { f.Errorf(format, args...); panic(f) }
func (f *failing) FailNow()                          { panic(f) }

// step is one random thing that happens.
func (p *press) step(d harness.Dice) {
	page := d.IntN(len(p.texts))
	name := fmt.Sprint("page", page)
	switch d.IntN(24) {
	case 0:
		p.change(page, d.IntN(3), func() bool { _, _ = p.edge.PurgeTags(context.Background(), name); return true })
	case 1:
		p.change(page, d.IntN(3), func() bool {
			_, _ = p.edge.Purge(context.Background(), fmt.Sprint("http://example.com/", page))
			return true
		})
	case 2:
		p.change(page, d.IntN(3), func() bool { _, _ = p.edge.PurgeAll(context.Background()); return true })
	case 3:
		p.change(page, d.IntN(3), func() bool { _, _ = p.edge.Soft().PurgeTags(context.Background(), name); return false })
	case 4:
		p.change(page, d.IntN(3), func() bool { return false })
	case 5, 6:
		time.Sleep(time.Duration(d.IntN(8000)) * time.Millisecond)
	case 7, 8, 9:
		synctest.Wait() // what is being coded is ready
	default:
		var group sync.WaitGroup
		for range 1 + d.IntN(3)*d.IntN(3) {
			w, header, method := drawWants(d), p.header(d, page), harness.Pick(d, "GET", "GET", "GET", "HEAD")
			group.Go(func() { p.ask(page, w, header, method) })
		}
		group.Wait()
	}
}

func (p *press) header(d harness.Dice, page int) (header [][2]string) {
	add := func(name, value string) { header = append(header, [2]string{name, value}) }
	p.mu.Lock()
	seen := p.seen[page]
	p.mu.Unlock()
	known := func() string {
		if len(seen) == 0 || d.OneIn(8) {
			return `"none"`
		}
		return seen[len(seen)-1-d.IntN(min(len(seen), 8))]
	}
	add("Accept-Language", harness.Pick(d, "en", "de"))
	if d.OneIn(3) {
		switch d.IntN(3) {
		case 0:
			add("If-Modified-Since", time.Date(1999, 1, 1, 0, 0, d.IntN(3), 0, time.UTC).Format(http.TimeFormat))
		case 1:
			add("If-None-Match", known()+", "+known())
		default:
			add("If-None-Match", known())
		}
	}
	if d.OneIn(4) {
		add("Range", harness.Pick(d, "bytes=100-199", "bytes=100-199", "bytes=99999-"))
		if d.OneIn(2) {
			add("If-Range", known())
		}
	}
	if d.OneIn(12) {
		add("Cache-Control", "no-cache")
	}
	return header
}

// playPress returns what went wrong.
func playPress(t *testing.T, seed uint64, wrap func(http.Handler) http.Handler, encode func(engine.Encoder) engine.Encoder, tally map[string]int) (wrong []string) {
	synctest.Test(t, func(t *testing.T) {
		d := harness.NewDice(seed)
		p := newModelPress(d, wrap)
		engine.Of(p.edge).WrapEncoder(encode)
		for range 120 {
			p.step(d)
		}
		synctest.Wait()
		tally["made"] += int(p.edge.Stats().Compressed)
		for name, n := range p.answers {
			tally[name] += n
		}
		require.LessOrEqual(t, p.edge.Stats().Bytes, p.edge.Stats().MaxBytes)
		require.NoError(t, p.edge.Close(context.Background()))
		wrong = p.wrong
	})
	return wrong
}

func untouched(h http.Handler) http.Handler   { return h }
func uncoded(e engine.Encoder) engine.Encoder { return e }

func randomHistoriesKeepToTheModel(t *testing.T) {
	first, n := harness.Batches(t, 150, 20_000)
	tally := map[string]int{}
	for seed := first; seed < first+n; seed++ {
		if wrong := playPress(t, seed, untouched, uncoded, tally); len(wrong) > 0 {
			t.Fatalf("EDGECACHE_SEED=%d: %s", seed, strings.Join(wrong, "\n"))
		}
	}
	t.Logf("%d histories: %v", n, tally)
	if n > 10 {
		for _, answer := range []string{"200 ", "200 br", "200 gzip", "200 zstd", "206 ", "304 ", "416 ", "made"} {
			require.NotZero(t, tally[answer], answer)
		}
	}
}

// headerRewriter changes the header before it is sent.
type headerRewriter struct {
	http.ResponseWriter
	change func(status int, h http.Header)
}

func (w *headerRewriter) WriteHeader(status int) {
	if w.change != nil {
		w.change(status, w.Header())
		w.change = nil
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *headerRewriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// The model notices caches that are broken in one place each.
func brokenCachesAreCaught(t *testing.T) {
	asking := func(change func(http.Header)) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { change(r.Header); h.ServeHTTP(w, r) })
		}
	}
	answering := func(change func(int, http.Header)) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(&headerRewriter{ResponseWriter: w, change: change}, r)
			})
		}
	}
	for name, mutant := range map[string]struct {
		wrap   func(http.Handler) http.Handler
		encode func(engine.Encoder) engine.Encoder
	}{
		"an encoder loses the last byte": {untouched, func(encode engine.Encoder) engine.Encoder {
			return func(c coding.Coding, from io.WriterTo, best bool) ([]byte, error) {
				packed, err := encode(c, from, best)
				return packed[:len(packed)-1], err
			}
		}},
		"an encoder takes one coding for another": {untouched, func(encode engine.Encoder) engine.Encoder {
			return func(_ coding.Coding, from io.WriterTo, best bool) ([]byte, error) {
				return encode(coding.Gzip, from, best)
			}
		}},
		"an encoder returns what it made last": {untouched, func(encode engine.Encoder) engine.Encoder {
			var mu sync.Mutex
			last := map[coding.Coding][]byte{}
			return func(c coding.Coding, from io.WriterTo, best bool) ([]byte, error) {
				packed, err := encode(c, from, best)
				mu.Lock()
				defer mu.Unlock()
				before := last[c]
				last[c] = packed
				if before == nil {
					before = packed
				}
				return before, err
			}
		}},
		"weights are not read": {asking(func(h http.Header) {
			if lines := h["Accept-Encoding"]; len(lines) > 0 {
				h["Accept-Encoding"] = []string{strings.ReplaceAll(lines[0], ";q=0.000", "")}
			}
		}), uncoded},
		"a coding has the tag of the page": {answering(func(_ int, h http.Header) {
			h["Etag"] = []string{strings.Replace(h.Get("Etag"), "-br", "", 1)}
		}), uncoded},
		"a coding that the client does not accept is confirmed": {asking(func(h http.Header) {
			if len(h["If-None-Match"]) > 0 {
				h["Accept-Encoding"] = []string{harness.AcceptEncoding}
			}
		}), uncoded},
		"a 304 does not say what it varies by": {answering(func(status int, h http.Header) {
			if status == http.StatusNotModified {
				h.Del("Vary")
			}
		}), uncoded},
		"parts are taken for parts of a coding": {answering(func(status int, h http.Header) {
			if status == http.StatusPartialContent {
				h.Set("Content-Encoding", "br")
			}
		}), uncoded},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 300; seed++ {
				if wrong := playPress(t, seed, mutant.wrap, mutant.encode, map[string]int{}); len(wrong) > 0 {
					t.Logf("at seed %d: %.200s", seed, wrong[0])
					require.Empty(t, playPress(t, seed, untouched, uncoded, map[string]int{}), "wrong without the mutant, too")
					return
				}
			}
			t.Error("not noticed in 300 histories")
		})
	}
}
