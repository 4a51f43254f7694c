package model_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// opField tells the site of the model which request of the test it serves. A background refresh has
// none.
const opField = "X-Op"

// said is what a response of the model says about itself, before it is put into words.
type said struct {
	directives
	content

	status       int
	age          int // seconds; 0 for none
	vary         []string
	outerVary    []string // the same, said by middleware around the cache
	etag         string   // "", "strong" or "weak"
	lastModified bool
	setCookie    bool
	allowOrigin  bool

	flush    bool
	think    time.Duration
	end      ending
	ranges   bool // answers Range itself
	confirms bool // answers conditions itself
	turns    bool // a 304 says no-store
}

// directives are what a response says about its lifetime and who may keep it.
type directives struct {
	noStore, private, noCache, public, mustRevalidate, immutable bool
	maxAge, sMaxAge, whileRevalidate, ifError                    int // seconds; -1 for none
	expires                                                      int // seconds from when it is made; -1 for none
	targeted                                                     bool
	targetedPublic, targetedNoStore                              bool
	targetedMaxAge                                               int
}

// content is what the body of a response is.
type content struct {
	coding   string
	media    string // the type; "" for one that has an end
	chooses  bool   // the type is chosen by Accept, and Vary does not say so
	size     int
	declared bool
}

// ending is how a handler of the model ends.
type ending uint8

const (
	normally   ending = iota
	panicFirst        // before anything is written
	panicLater        // in the middle of the body
	abort             // the same, by http.ErrAbortHandler
	tooShort          // the body is shorter than its Content-Length
	tooLong           // or longer
)

// endless reports whether a response may have no end as far as its header tells.
func (s *said) endless() bool {
	return s.media != "" && !s.declared && s.end != tooShort && s.end != tooLong
}

// cacheControl puts it into words.
func (s *said) cacheControl() string {
	var words []string
	flag := func(word string, set bool) {
		if set {
			words = append(words, word)
		}
	}
	lasts := func(word string, seconds int) {
		if seconds >= 0 {
			words = append(words, word+"="+strconv.Itoa(seconds))
		}
	}
	flag("immutable", s.immutable)
	flag("no-cache", s.noCache)
	lasts("max-age", s.maxAge)
	lasts("stale-while-revalidate", s.whileRevalidate)
	flag("public", s.public)
	flag("private", s.private)
	lasts("s-maxage", s.sMaxAge)
	flag("no-store", s.noStore)
	lasts("stale-if-error", s.ifError)
	flag("must-revalidate", s.mustRevalidate)
	return strings.Join(words, ", ")
}

func (s *said) cdnCacheControl() string {
	var words []string
	if s.targetedPublic {
		words = append(words, "public")
	}
	if s.targetedNoStore {
		words = append(words, "no-store")
	}
	return strings.Join(append(words, fmt.Sprintf("max-age=%d", s.targetedMaxAge)), ", ")
}

// facts is all of a request that the model's site puts into its page.
type facts struct {
	method    string
	scheme    string
	host      string
	uri       string
	identity  string // "" for no person
	ignored   string // the cookie that the application promised not to read, where it has reached its handler
	forwarded string // what proxies said about host, scheme and path
	override  string // what rewrites the target or the method
	ofHead    bool   // the handler is that of HEAD
	body      int64
	noStore   bool
	header    http.Header
}

var (
	forwardedFields = []string{"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Host", "X-Original-Host", "X_forwarded_host"}
	overrideFields  = []string{"X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "X_original_url"}

	// What the site knows its users by: fields that every product has, fields that no list can
	// have, and fields that reach an application behind CGI or FastCGI under the name of another
	// one.
	listedFields     = []string{"Authorization", "X-Api-Key", "X-Forwarded-User"}
	unlistedFields   = []string{"X-Consul-Token", "X-Scope-Orgid", "X-Acme-Member", "Userinfo"}
	underscoreFields = []string{"X_api_key", "X_acme_tenant"}
	identityFields   = slices.Concat(listedFields, unlistedFields, underscoreFields)
)

func factsOf(r *http.Request) facts {
	f := facts{ofHead: r.Header.Get(headField) != "", method: r.Method, scheme: "http", host: r.Host, uri: r.RequestURI, body: r.ContentLength, header: r.Header.Clone()}
	if r.TLS != nil {
		f.scheme = "https"
		for _, c := range r.TLS.PeerCertificates {
			f.identity += fmt.Sprintf("certificate=%x;", c.Raw)
		}
	}
	for _, name := range identityFields {
		if v := r.Header.Values(name); len(v) > 0 {
			f.identity += fmt.Sprintf("%s=%q;", name, v)
		}
	}
	for _, c := range r.Cookies() {
		if c.Name == "_ga" { // which the application promised not to read
			f.ignored += c.String() + ";"
			continue
		}
		f.identity += c.String() + ";"
	}
	for _, name := range forwardedFields {
		if v := r.Header.Values(name); len(v) > 0 {
			f.forwarded += fmt.Sprintf("%s=%q;", name, v)
		}
	}
	for _, line := range r.Header.Values("Forwarded") {
		for _, pair := range strings.FieldsFunc(line, func(c rune) bool { return c == ';' || c == ',' }) {
			if pair = strings.ToLower(strings.TrimSpace(pair)); strings.HasPrefix(pair, "host=") || strings.HasPrefix(pair, "proto=") {
				f.forwarded += pair + ";"
			}
		}
	}
	for _, name := range overrideFields {
		if v := r.Header.Values(name); len(v) > 0 {
			f.override += fmt.Sprintf("%s=%q;", name, v)
		}
	}
	f.noStore = strings.Contains(r.Header.Get("Cache-Control"), "no-store")
	return f
}

// record is one run of the site's handler.
type record struct {
	serial   int
	op       int // -1 for a background refresh
	facts    facts
	said     said
	base     *record // whose page a 304 or a HEAD speaks of; nil for its own
	status   int
	began    int64        // place in the sequence of the test
	after    atomic.Int64 // when its header had been written, in nanoseconds; 0 before
	date     time.Time    // when it was made, whole seconds
	echo     string
	partial  bool
	lesser   bool // its handler gave up because its client had left
	complete atomic.Bool
}

// page is the record of the page itself.
func (r *record) page() *record { return cmp.Or(r.base, r) }

// mediaType is the type of the page, which is that of its base.
func (r *record) mediaType() string {
	p := r.page()
	if !p.said.chooses {
		return cmp.Or(p.said.media, "text/plain")
	}
	if accept := p.facts.header.Get("Accept"); strings.HasPrefix(accept, "text/html") {
		return "text/html"
	}
	return "application/json"
}

func (r *record) etag() string {
	switch p := r.page(); p.said.etag {
	case "strong":
		return fmt.Sprintf(`"t%d"`, p.serial)
	case "weak":
		return fmt.Sprintf(`W/"t%d"`, p.serial)
	}
	return ""
}

// lastModified is another one for each page: the model's handlers do not lie.
func (r *record) lastModified() string {
	return time.Date(1990, 1, 1, 0, 0, r.page().serial, 0, time.UTC).Format(http.TimeFormat)
}

// text is the body: a token that says for whom it was made, and then enough of its number that a
// slice shows it.
func (r *record) text() string {
	if r.said.size == 0 || r.status == 204 || r.status == 304 {
		return ""
	}
	var b strings.Builder
	b.Grow(r.said.size + len(r.echo) + 16)
	b.WriteString(r.echo)
	unit := "|" + strconv.Itoa(r.serial)
	for b.Len() < r.said.size {
		b.WriteString(unit)
	}
	return b.String()
}

// modelSite is the application of the model: each URL has its ways, and every page says for whom it
// was made.
type modelSite struct {
	ways     func(host, uri string) said
	ops      []*op
	sequence *atomic.Int64
	sleep    bool     // time is fake
	outer    []string // what middleware around the cache adds to Vary

	mu      sync.Mutex
	records []*record
	calls   map[int]int // by op
	leak    string      // what a refresh carried that it must not
}

func (s *modelSite) record(serial int) *record {
	s.mu.Lock()
	defer s.mu.Unlock()
	if serial < 0 || serial >= len(s.records) {
		return nil
	}
	return s.records[serial]
}

func (s *modelSite) ran(op int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op] > 0
}

// begin notes that the handler runs.
func (s *modelSite) begin(r *http.Request) *record {
	rec := &record{op: -1, facts: factsOf(r), began: s.sequence.Add(1)}
	if id, err := strconv.Atoi(r.Header.Get(opField)); err == nil {
		rec.op = id
	}
	if rec.op >= 0 && s.ops[rec.op].ways != nil {
		rec.said = *s.ops[rec.op].ways
	} else {
		rec.said = s.ways(r.Host, r.RequestURI)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rec.serial = len(s.records)
	s.records = append(s.records, rec)
	s.calls[rec.op]++
	if rec.op < 0 && (rec.facts.identity != "" || rec.facts.override != "") {
		s.leak = "a background refresh came with " + rec.facts.identity + rec.facts.override
	}
	rec.said.outerVary = s.outer
	varying := ""
	for _, name := range slices.Concat(rec.said.vary, s.outer) {
		varying += fmt.Sprintf(" %s=%q", name, r.Header.Values(name))
	}
	rec.echo = fmt.Sprintf("#%d op=%d %s %s://%q %q identity=%q forwarded=%q override=%q%s", rec.serial, rec.op,
		rec.facts.method, rec.facts.scheme, rec.facts.host, rec.facts.uri, rec.facts.identity, rec.facts.forwarded, rec.facts.override, varying)
	return rec
}

// confirmed returns the page that a condition of the request is about, if the same client would get
// it again.
func (s *modelSite) confirmed(rec *record, r *http.Request) *record {
	tags, since := r.Header.Values("If-None-Match"), r.Header.Get("If-Modified-Since")
	if !rec.said.confirms || rec.said.end != normally || r.Method != "GET" && r.Method != "HEAD" ||
		r.Method == "GET" && len(tags) == 0 && since == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, old := range slices.Backward(s.records) {
		if !old.complete.Load() || old.base != nil || old.facts.method != "GET" || old.partial || old.status != 200 || !samePage(&old.said, &old.facts, &rec.facts) {
			continue
		}
		if rec.said.chooses && old.mediaType() != rec.mediaType() {
			continue
		}
		switch {
		case len(tags) > 0:
			if tag := old.etag(); tag != "" && slices.Contains(tags, tag) {
				return old
			}
		case since != "":
			if old.said.lastModified && old.lastModified() == since {
				return old
			}
		default:
			return old // HEAD without a condition
		}
	}
	return nil
}

// samePage reports whether an honest handler would make the same page of both requests.
func samePage(s *said, a, b *facts) bool {
	return a.scheme == b.scheme && a.host == b.host && a.uri == b.uri && a.identity == b.identity && a.forwarded == b.forwarded &&
		a.override == "" && b.override == "" && a.body == 0 && b.body == 0 && sameVary(s, a, b)
}

// head writes the header fields.
func (s *modelSite) head(h http.Header, rec *record) {
	set := func(name, value string) {
		if value != "" {
			h.Set(name, value)
		}
	}
	rec.date = time.Now().Truncate(time.Second)
	set("X-Serial", strconv.Itoa(rec.serial))
	set("X-Echo", strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, rec.echo))
	set("Content-Type", rec.mediaType())
	set("Cache-Control", rec.said.cacheControl())
	if rec.said.targeted {
		set("CDN-Cache-Control", rec.said.cdnCacheControl())
	}
	if rec.said.expires >= 0 {
		set("Expires", rec.date.Add(time.Duration(rec.said.expires)*time.Second).UTC().Format(http.TimeFormat))
	}
	if rec.said.age > 0 {
		set("Age", strconv.Itoa(rec.said.age))
	}
	for _, name := range rec.said.vary {
		h.Add("Vary", name)
	}
	if rec.status != 206 {
		set("Etag", rec.etag())
		if rec.said.lastModified {
			set("Last-Modified", rec.lastModified())
		}
	}
	if rec.said.ranges {
		set("Accept-Ranges", "bytes")
	}
	if rec.said.setCookie {
		set("Set-Cookie", fmt.Sprintf("session=%d", rec.serial))
	}
	set("Content-Encoding", rec.said.coding)
	if rec.said.allowOrigin {
		set("Access-Control-Allow-Origin", rec.facts.header.Get("Origin"))
	}
	if rec.status == 301 || rec.status == 302 {
		set("Location", "/elsewhere")
	}
}

func (s *modelSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := s.begin(r)
	if s.sleep {
		time.Sleep(rec.said.think)
		// A handler that degrades when its client leaves answers all the same, and says so to
		// nobody.
		rec.lesser = r.Context().Err() != nil
	}
	rec.status = rec.said.status
	if old := s.confirmed(rec, r); old != nil {
		s.confirm(w, r, rec, old)
		return
	}
	if rec.status == 304 {
		rec.status = 200
	}
	if rec.said.end == panicFirst {
		panic("the model's handler fails")
	}
	text := rec.text()
	if start, end, ok := oneRange(r, len(text)); ok && rec.said.ranges && rec.status == 200 && rec.said.end == normally {
		rec.status, rec.partial = 206, true
		s.head(w.Header(), rec)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, end-1, len(text)))
		text = text[start:end]
	} else {
		s.head(w.Header(), rec)
	}
	switch declared := len(text); {
	case rec.said.end == tooShort:
		w.Header().Set("Content-Length", strconv.Itoa(declared+7))
	case rec.said.end == tooLong:
		w.Header().Set("Content-Length", strconv.Itoa(declared/2))
	case rec.said.declared && rec.status != 204:
		w.Header().Set("Content-Length", strconv.Itoa(declared))
	}
	w.WriteHeader(rec.status)
	rec.after.Store(time.Now().UnixNano())
	first := text[:len(text)/2]
	_, _ = w.Write([]byte(first))
	if rec.said.flush {
		_ = http.NewResponseController(w).Flush()
	}
	switch rec.said.end {
	case panicLater:
		panic("the model's handler fails in the middle")
	case abort:
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write([]byte(text[len(first):]))
	rec.complete.Store(rec.said.end == normally)
}

// confirm answers that old still holds: by 304, or by its header if the request is a HEAD without a
// condition.
func (s *modelSite) confirm(w http.ResponseWriter, r *http.Request, rec, old *record) {
	turns := rec.said.turns && old.said.cacheControl() != ""
	rec.base = old
	rec.said = old.said
	if turns {
		rec.said.noStore = true
	}
	rec.said.setCookie = false
	rec.status = 304
	if len(r.Header["If-None-Match"]) == 0 && r.Header.Get("If-Modified-Since") == "" {
		rec.status = 200
	}
	s.head(w.Header(), rec)
	if rec.said.declared && rec.status == 200 {
		w.Header().Set("Content-Length", strconv.Itoa(len(old.text())))
	}
	w.WriteHeader(rec.status)
	rec.after.Store(time.Now().UnixNano())
	rec.complete.Store(true)
}

// oneRange reads the only form of Range that the model's handlers answer themselves.
func oneRange(r *http.Request, size int) (start, end int, ok bool) {
	if r.Method != "GET" || r.Header.Get("If-Range") != "" {
		return 0, 0, false
	}
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &start, &end); n != 2 || start < 0 || start > end || start >= size {
		return 0, 0, false
	}
	return start, min(end+1, size), true
}

func (s *modelSite) leaked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leak
}
