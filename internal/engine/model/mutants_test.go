package model_test

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestMutants(t *testing.T) {
	t.Run("the oracle catches them", theOracleCatchesThem)
	t.Run("the oracle is content with a cache that is right", theOracleIsContentWithACacheThatIsRight)
}

// toy is a small cache that is right as far as it goes, with a switch for each mistake that caches
// are known for. It proves that the oracle can tell them.
type toy struct {
	next    http.Handler
	head    http.Handler // of HEAD
	mistake string

	mu     sync.Mutex
	stored map[string]*toyPage
}

type toyPage struct {
	status  int
	header  http.Header
	vary    []string // with what middleware outside says
	body    []byte
	request *http.Request
	until   time.Time
	made    time.Time
}

// toyMistakes are those of the caches in the field, as seen by running them, and what the oracle
// says about them.
var toyMistakes = map[string]string{
	"shares what was made for a cookie":                   "no word that permits it",
	"shares what was made for an API key":                 "no word that permits it",
	"shares what was made for an Authorization":           "no word that permits it",
	"shares what was made for a certificate":              "no word that permits it",
	"shares what was made for a field that no list has":   "no word that permits it",
	"shares what was made for a field with an underscore": "no word that permits it",
	"ignores X_Forwarded_Host":                            "proxies said",
	"stores what was made for a client that had left":     "its client had left",
	"ignores Vary":                       "Vary tells them apart",
	"ignores Vary: *":                    "Vary tells them apart",
	"ignores Accept":                     "which does not name it",
	"shows _ga to the handler":           "which is in no key",
	"ignores the host":                   "the URLs differ",
	"ignores the query":                  "the URLs differ",
	"ignores the scheme":                 "the URLs differ",
	"decodes the path":                   "the URLs differ",
	"cleans the path":                    "the URLs differ",
	"ignores X-Forwarded-Host":           "proxies said",
	"ignores Forwarded":                  "proxies said",
	"ignores X-Original-URL":             "the target is overridden",
	"ignores the body":                   "a request has a body",
	"replays Set-Cookie":                 "it sets a cookie",
	"stores what broke off":              "body: got",
	"stores parts":                       "206 ",
	"stores no-store":                    "it is forbidden",
	"stores private":                     "it is forbidden",
	"stores what may have no end":        "it is forbidden",
	"reuses no-cache":                    "it wants to be validated",
	"never gets stale":                   "it is stale",
	"takes HEAD for GET":                 "the methods are HEAD and GET",
	"fetches by the handler of HEAD":     "the handler of HEAD made it",
	"lets a HEAD update what is stored":  "the methods are HEAD and GET",
	"stores for no-store requests":       "",
	"keeps what POST changed":            "came after an unsafe request",
	"answers any condition with 304":     "304, but",
	"gives HEAD a body":                  "where there must be none",
	"calls a miss a hit":                 "the handler ran",
	"repeats X-Request-Id":               "X-Request-Id of the middleware outside",
	"counts ranges from one":             "Content-Range is",
	"serves the body of the page before": "body: got",

	"cuts what it does not store one byte late":   "Content-Range is",
	"cuts what it does not store by any If-Range": "206 although If-Range",
}

func (c *toy) wrong(mistake string) bool { return c.mistake == mistake }

// urlEnd stands in a key behind the URL, which all that is stored for it has in common.
const urlEnd = "\x00\x00"

// key is what two requests must have in common.
func (c *toy) key(r *http.Request) string {
	scheme, host, path, query := "http", r.Host, r.RequestURI, ""
	if i := strings.IndexByte(path, '?'); i >= 0 {
		path, query = path[:i], path[i:]
	}
	if r.TLS != nil && !c.wrong("ignores the scheme") {
		scheme = "https"
	}
	if c.wrong("ignores the host") {
		host = ""
		path = strings.TrimPrefix(path, "http://"+r.Host)
	}
	if c.wrong("ignores the query") {
		query = ""
	}
	if c.wrong("decodes the path") {
		path = r.URL.Path
	}
	if c.wrong("cleans the path") {
		path = strings.ReplaceAll(strings.ReplaceAll(path, "//", "/"), "a/../", "")
	}
	k := scheme + "\x00" + host + "\x00" + path + "\x00" + query + urlEnd
	for _, name := range forwardedFields {
		if !c.wrong("ignores X-Forwarded-Host") && !(name == "X_forwarded_host" && c.wrong("ignores X_Forwarded_Host")) {
			k += fmt.Sprintf("\x00%q", r.Header.Values(name))
		}
	}
	if !c.wrong("ignores Forwarded") {
		k += fmt.Sprintf("\x00%q", r.Header.Values("Forwarded"))
	}
	return k
}

// asks reports whether the cache has a part in the request.
func (c *toy) asks(r *http.Request) bool {
	plain := r.Method == "GET" || r.Method == "HEAD"
	for _, name := range overrideFields {
		plain = plain && (r.Header.Get(name) == "" || c.wrong("ignores X-Original-URL"))
	}
	for _, name := range unlistedFields {
		plain = plain && (r.Header.Get(name) == "" || c.wrong("shares what was made for a field that no list has"))
	}
	for _, name := range underscoreFields {
		plain = plain && (r.Header.Get(name) == "" || c.wrong("shares what was made for a field with an underscore"))
	}
	for name, excuse := range map[string]string{
		"X-Api-Key": "shares what was made for an API key", "X-Forwarded-User": "shares what was made for an API key",
		"Authorization": "shares what was made for an Authorization", "Range": "stores parts", "Cache-Control": "stores for no-store requests",
		"If-Match": "", "If-None-Match": "answers any condition with 304", "If-Modified-Since": "",
	} {
		plain = plain && (r.Header.Get(name) == "" || c.wrong(excuse) || name == "Range" && c.wrong("counts ranges from one"))
	}
	plain = plain && (withoutIgnored(r.Header.Get("Cookie")) == "" || c.wrong("shares what was made for a cookie"))
	return plain && (r.TLS == nil || len(r.TLS.PeerCertificates) == 0 || c.wrong("shares what was made for a certificate")) &&
		(r.ContentLength == 0 || c.wrong("ignores the body"))
}

func (c *toy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k := c.key(r)
	if !c.asks(r) {
		c.pass(w, r)
		if r.Method != "GET" && r.Method != "HEAD" && r.Method != "OPTIONS" && !c.wrong("keeps what POST changed") {
			c.mu.Lock()
			defer c.mu.Unlock()
			url, _, _ := strings.Cut(k, urlEnd)
			maps.DeleteFunc(c.stored, func(k string, _ *toyPage) bool { return strings.HasPrefix(k, url+urlEnd) })
		}
		return
	}
	if !c.wrong("shows _ga to the handler") {
		r = r.Clone(r.Context())
		if cookies := withoutIgnored(r.Header.Get("Cookie")); cookies != "" {
			r.Header.Set("Cookie", cookies)
		} else {
			r.Header.Del("Cookie")
		}
	}
	c.mu.Lock()
	p := c.stored[k]
	c.mu.Unlock()
	if p != nil && (c.wrong("never gets stale") || time.Now().Before(p.until)) && c.varies(p, r) {
		c.hit(w, r, p)
		return
	}
	c.miss(w, r, k)
}

func (c *toy) varies(p *toyPage, r *http.Request) bool {
	if accept := r.Header.Get("Accept"); accept != "" && accept != p.request.Header.Get("Accept") && !c.wrong("ignores Accept") {
		return false
	}
	for _, line := range p.vary {
		if line != "*" && !slices.Equal(p.request.Header.Values(line), r.Header.Values(line)) && !c.wrong("ignores Vary") {
			return false
		}
	}
	return true
}

func (c *toy) hit(w http.ResponseWriter, r *http.Request, p *toyPage) {
	h := w.Header()
	id := h.Get("X-Request-Id")
	maps.Copy(h, p.header.Clone())
	if !c.wrong("repeats X-Request-Id") {
		h.Set("X-Request-Id", id)
	}
	h.Set("Age", fmt.Sprint(int(time.Since(p.made)/time.Second)))
	h.Set("X-Cache", "HIT")
	h.Set("Cache-Status", "edgecache; hit")
	if c.wrong("answers any condition with 304") && r.Header.Get("If-None-Match") != "" {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if start, end, ok := oneRange(r, len(p.body)-1); ok && p.status == 200 && c.wrong("counts ranges from one") {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, end-1, len(p.body)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(p.body[start+1 : end+1])
		return
	}
	w.WriteHeader(p.status)
	if r.Method == "GET" {
		_, _ = w.Write(p.body)
	} else if bare, ok := w.(*modelWriter); ok && c.wrong("gives HEAD a body") {
		bare.body = p.body // what a server of its own would send
	}
}

// run returns what the handler answers.
func (c *toy) run(r *http.Request) (rec *httptest.ResponseRecorder, broken any) {
	rec = httptest.NewRecorder()
	defer func() { broken = recover() }()
	switch {
	case r.Method != "HEAD":
		c.next.ServeHTTP(rec, r)
	case c.wrong("fetches by the handler of HEAD"):
		r = r.WithContext(r.Context())
		r.Method = "GET"
		fallthrough
	default:
		c.head.ServeHTTP(rec, r)
	}
	return rec, nil
}

// pass gives the client what the handler answers, as its own.
func (c *toy) pass(w http.ResponseWriter, r *http.Request) {
	asked := r
	if strings.HasPrefix(c.mistake, "cuts ") && r.Method == "GET" {
		asked = r.Clone(r.Context()) // as one that would have stored all of it
		asked.Header.Del("Range")
		asked.Header.Del("If-Range")
	}
	rec, broken := c.run(asked)
	maps.Copy(w.Header(), rec.Header())
	if broken == nil && c.cut(w, r, rec) {
		return
	}
	c.send(w, rec, broken, "DYNAMIC", "edgecache; fwd=bypass")
}

// cut gives the client its range of what the handler has sent as a whole.
func (c *toy) cut(w http.ResponseWriter, r *http.Request, rec *httptest.ResponseRecorder) bool {
	late, blind := c.wrong("cuts what it does not store one byte late"), c.wrong("cuts what it does not store by any If-Range")
	if !late && !blind || rec.Code != 200 || rec.Header().Get("Accept-Ranges") == "" || rec.Header().Get("Content-Length") != fmt.Sprint(rec.Body.Len()) {
		return false
	}
	asked := r
	if blind {
		asked = r.Clone(r.Context())
		asked.Header.Del("If-Range")
	}
	start, end, ok := oneRange(asked, rec.Body.Len()-1)
	if !ok {
		return false
	}
	h := w.Header()
	h.Set("X-Cache", "DYNAMIC")
	h.Set("Cache-Status", "edgecache; fwd=bypass")
	h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, end-1, rec.Body.Len()))
	h.Set("Content-Length", fmt.Sprint(end-start))
	w.WriteHeader(http.StatusPartialContent)
	if late {
		start, end = start+1, end+1
	}
	_, _ = w.Write(rec.Body.Bytes()[start:end])
	return true
}

func (c *toy) send(w http.ResponseWriter, rec *httptest.ResponseRecorder, broken any, word, status string) {
	w.Header().Set("X-Cache", word)
	w.Header().Set("Cache-Status", status)
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
	if broken != nil {
		panic(broken)
	}
}

func (c *toy) miss(w http.ResponseWriter, r *http.Request, k string) {
	rec, broken := c.run(r)
	p := &toyPage{status: rec.Code, header: rec.Header().Clone(), body: rec.Body.Bytes(), request: r, made: time.Now()}
	p.vary = slices.Concat(w.Header()["Vary"], p.header["Vary"])
	if c.wrong("repeats X-Request-Id") {
		p.header.Set("X-Request-Id", w.Header().Get("X-Request-Id"))
	}
	lifetime, ok := c.storable(p, r)
	if r.Method == "HEAD" && c.wrong("lets a HEAD update what is stored") {
		c.mu.Lock()
		if old := c.stored[k]; old != nil && old.status == p.status {
			c.stored[k] = &toyPage{old.status, p.header, old.vary, old.body, old.request, time.Now().Add(time.Minute), time.Now()}
		}
		c.mu.Unlock()
	}
	whole := broken == nil && (p.header.Get("Content-Length") == "" || p.header.Get("Content-Length") == fmt.Sprint(len(p.body)))
	if ok && (whole || c.wrong("stores what broke off")) {
		if c.wrong("stores what broke off") {
			p.header.Del("Content-Length")
		}
		p.until = p.made.Add(lifetime)
		c.mu.Lock()
		if old := c.stored[k]; old != nil && c.wrong("serves the body of the page before") && old.status == p.status {
			p.body = old.body
			p.header.Del("Content-Length")
		}
		c.stored[k] = p
		c.mu.Unlock()
	}
	maps.Copy(w.Header(), rec.Header())
	word, status := "MISS", "edgecache; fwd=uri-miss"
	if c.wrong("calls a miss a hit") {
		word, status = "HIT", "edgecache; hit"
	}
	c.send(w, rec, broken, word, status)
}

// storable is the shortest rule that shares anything: a plain max-age or nothing.
func (c *toy) storable(p *toyPage, r *http.Request) (lifetime time.Duration, ok bool) {
	h, cc := p.header, p.header.Get("Cache-Control")
	seconds := -1
	for word := range strings.SplitSeq(cc, ", ") {
		_, _ = fmt.Sscanf(word, "max-age=%d", &seconds)
	}
	switch {
	case r.Method != "GET" && !c.wrong("takes HEAD for GET") && !c.wrong("fetches by the handler of HEAD"),
		r.Context().Err() != nil && !c.wrong("stores what was made for a client that had left"),
		p.status != 200 && !(p.status == 206 && c.wrong("stores parts")),
		strings.Contains(cc, "no-store") && !c.wrong("stores no-store"),
		strings.Contains(cc, "private") && !c.wrong("stores private"),
		strings.Contains(cc, "no-cache") && !c.wrong("reuses no-cache"),
		h.Get("Content-Type") != "text/plain" && h.Get("Content-Length") == "" && !c.wrong("stores what may have no end"),
		strings.Contains(cc, "s-maxage"), h.Get("Age") != "", h.Get("Cdn-Cache-Control") != "", h.Get("Content-Encoding") != "", h.Get("Access-Control-Allow-Origin") != "",
		slices.Contains(h["Vary"], "*") && !c.wrong("ignores Vary: *"),
		h.Get("Set-Cookie") != "" && !c.wrong("replays Set-Cookie"):
		return 0, false
	case seconds >= 0:
		return time.Duration(seconds) * time.Second, true
	case cc == "" && h.Get("Expires") == "" && h.Get("Last-Modified") == "":
		return 2 * time.Minute, true
	}
	return 0, false
}

func newToy(mistake string) modelCache {
	return func(_ harness.Dice, next http.Handler) (http.Handler, *oracle) {
		return &toy{next: next, head: ofHead(next), mistake: mistake, stored: map[string]*toyPage{}}, &oracle{honors: true}
	}
}

// insecure is the real cache with one of its dangerous switches.
func insecure(change func(*edgecache.Config)) modelCache {
	return func(_ harness.Dice, next http.Handler) (http.Handler, *oracle) {
		cfg := edgecache.Config{Logger: slog.New(slog.DiscardHandler)}
		change(&cfg)
		edge, err := edgecache.New(cfg)
		if err != nil {
			panic(err)
		}
		return edge.Handler(next), &oracle{honors: cfg.HonorRequestDirectives}
	}
}

// claimed is the real cache, of which the oracle is told otherwise.
func claimed(cfg edgecache.Config, honors bool) modelCache {
	return func(_ harness.Dice, next http.Handler) (http.Handler, *oracle) {
		cfg.Logger = slog.New(slog.DiscardHandler)
		edge, err := edgecache.New(cfg)
		if err != nil {
			panic(err)
		}
		return edge.Handler(next), &oracle{honors: honors}
	}
}

// unmarked is the real cache, with private taken off what it answers.
func unmarked(d harness.Dice, next http.Handler) (http.Handler, *oracle) {
	cached := insecure(func(*edgecache.Config) {})
	h, o := cached(d, next)
	o.marks = true
	return edgecache.AfterRequest(func(_ *http.Request, _ int, header http.Header) {
		if lines := header["Cache-Control"]; len(lines) > 0 {
			header["Cache-Control"] = []string{strings.ReplaceAll(strings.Join(lines, ", "), "private", "x")}
		}
	})(h), o
}

// caughtWithin is how many requests it may take until the oracle notices a mistake.
const caughtWithin = 20_000

func theOracleCatchesThem(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds until each of them is noticed")
	}
	type mutant struct {
		cache modelCache
		want  string // in what the oracle says
	}
	mutants := map[string]mutant{
		"Config.InsecureShareCookies":   {insecure(func(c *edgecache.Config) { c.InsecureShareCookies = true }), "no word that permits it"},
		"Config.InsecureStoreSetCookie": {insecure(func(c *edgecache.Config) { c.InsecureStoreSetCookie = true }), "it sets a cookie"},
		"no CredentialHeaders":          {insecure(func(c *edgecache.Config) { c.InsecureOnlyCredentialHeaders = true }), "no word that permits it"},
		"every cookie ignored":          {insecure(func(c *edgecache.Config) { c.IgnoreCookies = []string{"sess*"} }), "no word that permits it"},
		"request directives ignored":    {claimed(edgecache.Config{}, true), ""},
		"request directives honored":    {claimed(edgecache.Config{HonorRequestDirectives: true}, false), "an answer without a token"},
		"personal answers unmarked":     {unmarked, "does not say for whom it is"},
		"a longer default":              {insecure(func(c *edgecache.Config) { c.DefaultTTL = time.Hour }), "it is stale"},
		"no targeted fields":            {insecure(func(c *edgecache.Config) { c.TargetedHeaders = []string{"X-Other-Cache-Control"} }), ""},
	}
	for mistake, want := range toyMistakes {
		mutants["a cache that "+mistake] = mutant{newToy(mistake), want}
	}
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(caughtWithin / batchSize) {
				failed, _, err := playAll(t, seed, batchOf(seed), m.cache)
				if err == nil {
					continue
				}
				if !strings.Contains(err.Error(), m.want) {
					t.Errorf("got %v, want %q", err, m.want)
				}
				t.Logf("after %d requests: %.200v", int(seed)*batchSize+failed+1, err)
				return
			}
			t.Errorf("%d requests, and the oracle has not noticed", caughtWithin)
		})
	}
}

// An oracle that cries about everything catches every mutant, too.
func theOracleIsContentWithACacheThatIsRight(t *testing.T) {
	for seed := range uint64(20) {
		ops := batchOf(seed)
		if failed, _, err := playAll(t, seed, ops, newToy("")); err != nil {
			tell(t, seed, ops[:failed+1], newToy(""), err)
		}
	}
}
