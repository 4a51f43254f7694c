package model_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/edgecache-go/edgecache/internal/rules"
)

// answer is what a client of the model got.
type answer struct {
	status int
	header http.Header
	body   []byte
	broken bool // the connection was cut, so that the client knows that it has not got everything
}

func (a *answer) String() string {
	return fmt.Sprintf("%d, %d bytes, broken %v, X-Cache %s, Cache-Status %s, token %s, Etag %s, Age %s, Cache-Control %q, Vary %q", a.status, len(a.body), a.broken,
		a.header.Get("X-Cache"), a.header.Get("Cache-Status"), a.header.Get("X-Serial"), a.header.Get("Etag"), a.header.Get("Age"), a.header.Get("Cache-Control"), a.header["Vary"])
}

// collapsed reports whether the client got a page while it was being made for another: it is not
// known yet how its handler will end.
func (a *answer) collapsed() bool {
	return strings.Contains(a.header.Get("Cache-Status"), "; collapsed")
}

// oracle knows what a shared cache may do, in its own words: nothing of it comes from the code that
// it judges, except the list of reasons.
type oracle struct {
	site         *modelSite
	explicitOnly bool
	stripCookies bool
	honors       bool // directives of requests count
	marks        bool // personal responses say for whom they are

	mu      sync.Mutex
	made    map[string]int      // pages by the entity tags that the cache made
	invalid map[string][]unsafe // by URL
}

// unsafe is a request that has changed what stands behind its URL, by places in the sequence.
type unsafe struct {
	began    int64 // its handler; what was made before may be outdated
	answered int64 // the client knows that it is done
}

// permissions are what a response allows to a shared cache, whichever field says it.
type permissions struct {
	forbidden bool // no-store, private, or without an end
	everybody bool // for users with any credentials
	bearers   bool // for those with Authorization or a certificate
	ask       bool // no-cache
	noStale   bool
	lifetime  time.Duration
	window    time.Duration // in which it may be used although it is stale; the larger one
}

func (o *oracle) permits(s *said, status int) permissions {
	seconds := func(n int) time.Duration { return time.Duration(max(n, 0)) * time.Second }
	if s.targeted {
		return permissions{forbidden: s.targetedNoStore || s.endless(), everybody: s.targetedPublic, bearers: s.targetedPublic, lifetime: seconds(s.targetedMaxAge)}
	}
	p := permissions{
		forbidden: s.noStore || s.private || s.endless(),
		everybody: s.public || s.sMaxAge >= 0,
		ask:       s.noCache,
		noStale:   s.mustRevalidate || s.sMaxAge >= 0,
		window:    seconds(max(s.whileRevalidate, s.ifError)),
	}
	p.bearers = p.everybody
	switch {
	case s.sMaxAge >= 0:
		p.lifetime = seconds(s.sMaxAge)
	case s.maxAge >= 0:
		p.lifetime = seconds(s.maxAge)
	case s.expires >= 0:
		p.lifetime = seconds(s.expires)
	case s.lastModified:
		p.lifetime = time.Hour // the cap: the model's pages are years old
	case o.explicitOnly:
	case status == 200:
		p.lifetime = 2 * time.Minute
	case slices.Contains([]int{203, 301, 404, 410}, status):
		p.lifetime = 30 * time.Second
	}
	return p
}

// judge returns what is wrong with an answer to q, which was sent at the given time and place in
// the sequence.
func (o *oracle) judge(q *op, f *facts, a *answer, sent time.Time, place int64) error {
	if o.site.leaked() != "" {
		return errors.New(o.site.leaked())
	}
	if a.status == 0 {
		return nil // cut before the header
	}
	if err := o.status(q, a); err != nil {
		return err
	}
	if ids := a.header["X-Request-Id"]; len(ids) != 1 || ids[0] != strconv.Itoa(q.id) {
		return fmt.Errorf("X-Request-Id of the middleware outside is %q, want one %d", ids, q.id)
	}
	serial, err := strconv.Atoi(a.header.Get("X-Serial"))
	if err != nil {
		// RFC 9111, 5.2.1.7 and 5.2.2.2: nothing stored for a client that wants that only, or a
		// handler that broke down where stale is forbidden.
		if a.status == 504 && a.header.Get("Cache-Control") == "no-store" && (o.wants(q) == "only-if-cached" || o.site.ran(q.id)) || a.broken {
			return nil
		}
		return fmt.Errorf("an answer without a token: %w", err)
	}
	head := o.site.record(serial)
	if head == nil {
		return fmt.Errorf("token %d was never made", serial)
	}
	if err := o.body(q, a, head); err != nil {
		return err
	}
	if err := o.learn(a.header.Get("Etag"), head); err != nil {
		return err
	}
	own := head.op == q.id
	switch {
	case own && head.said.end > panicFirst && head.said.end != tooLong && !a.broken && q.method != "HEAD" && a.status != 304 && a.status != 206 && a.status != 416: // the last three are whole before their handler ends
		return errors.New("an answer that its handler did not end well came as if it were whole")
	case !own:
		err = cmp.Or(o.reuse(head, q, f, a), o.reuse(head.page(), q, f, a), o.named(head, f), o.fresh(head, q, a, sent), o.valid(head, q, place))
	case head.base != nil && len(a.body) > 0:
		err = o.reuse(head.base, q, f, a)
	}
	if err == nil && a.status == 304 {
		err = o.condition(q, a, head)
	}
	if err == nil && o.marks && f.identity != "" {
		err = saysForWhom(a.header)
	}
	return err
}

// saysForWhom returns what is wrong with a personal response that a cache in front may take for
// everybody's.
func saysForWhom(h http.Header) error {
	cc, cdn := strings.Join(h["Cache-Control"], ","), strings.Join(h["Cdn-Cache-Control"], ",")
	shared := func(cc string) bool { return strings.Contains(cc, "public") || strings.Contains(cc, "s-maxage") }
	switch private := strings.Contains(cc, "private") || strings.Contains(cc, "no-store"); {
	case shared(cc) || shared(cdn):
		return nil
	case !private:
		return fmt.Errorf("an answer to somebody does not say for whom it is: Cache-Control %q", cc)
	case cdn != "":
		return fmt.Errorf("an answer to somebody says CDN-Cache-Control %q", cdn)
	}
	return nil
}

var errBody = errors.New("body")

// body checks that the bytes are those of the page that the header speaks of.
func (o *oracle) body(q *op, a *answer, head *record) error {
	page := head.page()
	if page.status == 304 {
		page = head
	}
	switch {
	case q.method == "HEAD" || a.status == 304 || a.status == 204:
		if len(a.body) > 0 {
			return fmt.Errorf("%w: %d bytes where there must be none", errBody, len(a.body))
		}
		return nil
	case a.status == 416:
		return nil
	case a.status == 206:
		return o.parts(q, a, page)
	}
	if values := a.header["Content-Length"]; len(values) > 0 && !a.broken && values[0] != strconv.Itoa(len(a.body)) {
		return fmt.Errorf("%w: %d bytes, Content-Length %s", errBody, len(a.body), values[0])
	}
	text := page.text()
	if a.broken || (page.op == q.id || a.collapsed()) && page.said.end == tooLong {
		if !strings.HasPrefix(text, string(a.body)) {
			return fmt.Errorf("%w: %.200q is no beginning of %.200q", errBody, a.body, text)
		}
		return nil
	}
	if string(a.body) != text {
		return fmt.Errorf("%w: got %d bytes %.200q, want %d bytes %.200q", errBody, len(a.body), a.body, len(text), text)
	}
	return nil
}

// learn remembers for which page the cache made a tag: never for two.
func (o *oracle) learn(tag string, head *record) error {
	if !strings.HasPrefix(tag, `"ec-`) {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	serial := head.page().serial
	if other, known := o.made[tag]; known && other != serial && head.said.size > 0 {
		return fmt.Errorf("entity tag %s stands for the pages %d and %d", tag, other, serial)
	}
	o.made[tag] = serial
	return nil
}

// parts checks a 206.
func (o *oracle) parts(q *op, a *answer, page *record) error {
	if q.get("Range") == "" {
		return errors.New("206 to a request without Range")
	}
	if tag := q.get("If-Range"); tag != "" && (tag != a.header.Get("Etag") || strings.HasPrefix(tag, "W/")) {
		return fmt.Errorf("206 although If-Range is %s and the page is %s", tag, a.header.Get("Etag"))
	}
	text := page.text()
	slice := func(contentRange string, got []byte) error {
		var start, end, size int
		if _, err := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &start, &end, &size); err != nil {
			return fmt.Errorf("content-range %q: %w", contentRange, err)
		}
		if (page.op == q.id || a.collapsed()) && page.said.end >= tooShort {
			size, start, end = len(text), min(start, len(text)-1), min(end, len(text)-1) // its handler announced a length that it did not keep
		}
		if size != len(text) || start < 0 || start > end || end >= size {
			return fmt.Errorf("%w: Content-Range is %s, the page has %d bytes", errBody, contentRange, len(text))
		}
		want := text[start : end+1]
		if string(got) != want && !(a.broken && strings.HasPrefix(want, string(got))) {
			return fmt.Errorf("%w: Content-Range is %s, got %.80q, want %.80q", errBody, contentRange, got, want)
		}
		return nil
	}
	kind, params, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	if kind != "multipart/byteranges" {
		return slice(a.header.Get("Content-Range"), a.body)
	}
	parts := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	for {
		part, err := parts.NextPart()
		if err != nil {
			if errors.Is(err, io.EOF) || a.broken {
				return nil
			}
			return err
		}
		got, err := io.ReadAll(part)
		if err != nil && !a.broken {
			return err
		}
		if err := slice(part.Header.Get("Content-Range"), got); err != nil {
			return err
		}
	}
}

// reuse says why rec, made for a person, must not reach q.
func (o *oracle) reuse(rec *record, q *op, f *facts, a *answer) error {
	p := o.permits(&rec.said, rec.status)
	refuse := func(why string, args ...any) error {
		return fmt.Errorf("page %d, made for %s, reached somebody else: %s", rec.serial, rec.echo, fmt.Sprintf(why, args...))
	}
	g := &rec.facts
	switch {
	case f.method != "GET" && f.method != "HEAD" || g.method != "GET":
		return refuse("the methods are %s and %s", g.method, f.method)
	case g.ofHead:
		return refuse("the handler of HEAD made it")
	case g.scheme != f.scheme || g.host != f.host || g.uri != f.uri:
		return refuse("the URLs differ")
	case g.forwarded != f.forwarded:
		return refuse("proxies said %q and %q", g.forwarded, f.forwarded)
	case g.override != "" || f.override != "":
		return refuse("the target is overridden")
	case g.body != 0 || f.body != 0:
		return refuse("a request has a body")
	case !sameVary(&rec.said, g, f):
		return refuse("Vary tells them apart")
	case rec.lesser:
		return refuse("its client had left before its handler was done")
	case g.noStore:
		return refuse("its request said no-store")
	case p.forbidden:
		return refuse("it is forbidden")
	case !(permitted(&p, g) && permitted(&p, f)):
		return refuse("identities %q and %q, and no word that permits it", g.identity, f.identity)
	case g.ignored != "":
		return refuse("its handler had seen %q, which is in no key", g.ignored)
	case rec.said.setCookie && !o.stripCookies:
		return refuse("it sets a cookie")
	case len(a.header["Set-Cookie"]) > 0:
		return refuse("a cookie came along: %q", a.header["Set-Cookie"])
	case rec.partial || rec.status == 304 && rec.base == nil || rec.status == 206:
		return refuse("it is a part")
	case !rec.complete.Load() && !a.broken && !a.collapsed():
		return refuse("it is not whole")
	case a.status != rec.page().status && !(rec.page().status == 200 && slices.Contains([]int{206, 304, 416}, a.status)):
		return refuse("its status was %d", rec.page().status)
	}
	return nil
}

// named says why rec, or what it confirms, is not the representation for a request: the request
// must name its type, take anything, or have the Accept that it was made for (RFC 9110, 12.5.1).
// Redirects and plain errors are none, and what Vary says about Accept is for sameVary.
func (o *oracle) named(rec *record, f *facts) error {
	accept, made, mediaType, status := f.header.Get("Accept"), rec.facts.header.Get("Accept"), rec.mediaType(), rec.page().status
	if status >= 300 && status <= 399 || status >= 400 && mediaType == "text/plain" || accept == "" || accept == "*/*" || accept == made {
		return nil
	}
	for _, name := range slices.Concat(rec.said.vary, rec.said.outerVary) {
		if name == "Accept" {
			return nil
		}
	}
	for member := range strings.SplitSeq(accept, ",") {
		if strings.TrimSpace(member) == mediaType {
			return nil
		}
	}
	return fmt.Errorf("page %d is %s, made for Accept %q, and reached one with Accept %q, which does not name it", rec.serial, mediaType, made, accept)
}

// permitted reports whether a client with these credentials, if any, may make or get a shared
// page.
func permitted(p *permissions, f *facts) bool {
	if f.identity == "" || p.everybody {
		return true
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(f.identity, ";"), ";") {
		if !strings.HasPrefix(name, "certificate=") && !strings.HasPrefix(name, "Authorization=") {
			return false
		}
	}
	return p.bearers
}

// sameVary compares the fields that a response depends on, by their meaning.
func sameVary(s *said, a, b *facts) bool {
	names := slices.Concat(s.vary, s.outerVary)
	if s.coding != "" {
		names = append(names, "Accept-Encoding")
	}
	if s.allowOrigin && a.header.Get("Origin") != "" {
		names = append(names, "Origin")
	}
	for _, name := range names {
		if name == "*" || meaning(name, a.header) != meaning(name, b.header) {
			return false
		}
	}
	return true
}

// withoutIgnored is a Cookie without the one that the application promised not to read.
func withoutIgnored(cookies string) string {
	kept := slices.DeleteFunc(strings.Split(cookies, "; "), func(c string) bool { return c == "" || strings.HasPrefix(c, "_ga=") })
	return strings.Join(kept, "; ")
}

func meaning(name string, h http.Header) string {
	name = http.CanonicalHeaderKey(name)
	values := h.Values(name)
	if values == nil {
		return "absent"
	}
	text := strings.Join(values, ",")
	switch name {
	case "Cookie":
		if text = withoutIgnored(text); text == "" {
			return "absent"
		}
	case "Accept-Encoding", "Accept-Language", "Accept":
		text = strings.ToLower(strings.ReplaceAll(text, " ", ""))
	case "X-Custom":
		text = strings.ReplaceAll(text, ", ", ",")
	}
	if name == "Accept-Encoding" {
		codings := strings.Split(text, ",")
		slices.Sort(codings)
		text = strings.Join(codings, ",")
	}
	return "is " + text
}

// fresh says why a page was too old to be used, or not used as its header wants it.
func (o *oracle) fresh(head *record, q *op, a *answer, sent time.Time) error {
	p := o.permits(&head.said, head.status)
	if head.status == 304 || head.facts.method == "HEAD" {
		p = o.permits(&head.said, head.page().status)
	}
	age := time.Duration(head.said.age) * time.Second
	if after := head.after.Load(); after != 0 {
		age += max(0, time.Duration(sent.UnixNano()-after))
	}
	word, wants := a.header.Get("X-Cache"), o.wants(q)
	refuse := func(why string) error {
		return fmt.Errorf("page %d came as %s: %s (age %v, lifetime %v)", head.serial, word, why, age, p.lifetime)
	}
	if text := a.header.Get("Age"); text != "" || word == "HIT" {
		if n, err := strconv.Atoi(text); err != nil || n < int(age/time.Second) {
			return refuse("its Age is " + text)
		}
	}
	if p.ask || wants == "no-cache" {
		return refuse("it wants to be validated")
	}
	switch word {
	case "STALE", "UPDATING":
		limit := p.lifetime + p.window
		switch {
		case wants == "max-stale" && word == "STALE":
			limit = age + 1
		case word == "STALE":
			limit = max(limit, p.lifetime+time.Hour) // the handler broke down, or the client takes it
		}
		if age >= limit || p.noStale {
			return refuse("it must not be used when stale")
		}
	case "HIT", "MISS", "EXPIRED":
		if age >= p.lifetime {
			return refuse("it is stale")
		}
		if (wants == "max-age=0" || wants == "max-age=10" && age > 10*time.Second) && !head.said.immutable {
			return refuse("its client wants a younger one")
		}
	default:
		return refuse("that is no word for a stored page")
	}
	return nil
}

// wants is the directive by which the client may steer the cache.
func (o *oracle) wants(q *op) string {
	if !o.honors {
		return ""
	}
	return q.get("Cache-Control")
}

// valid says whether an unsafe request has made the page invalid, which head confirms.
func (o *oracle) valid(head *record, q *op, place int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, u := range o.invalid[q.url()] {
		if head.began < u.began && u.answered < place {
			return fmt.Errorf("page %d came after an unsafe request to its URL had succeeded", head.serial)
		}
	}
	return nil
}

// invalidated notes that an unsafe request has been answered.
func (o *oracle) invalidated(q *op, a *answer, place int64) {
	if slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, q.method) || a.broken || a.status < 200 || a.status > 399 {
		return
	}
	serial, err := strconv.Atoi(a.header.Get("X-Serial"))
	if err != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.invalid[q.url()] = append(o.invalid[q.url()], unsafe{o.site.record(serial).began, place})
}

// condition says whether a 304 is what its client asked for.
func (o *oracle) condition(q *op, a *answer, head *record) error {
	tags, tag := q.get("If-None-Match"), a.header.Get("Etag")
	if tags != "" {
		opaque := strings.TrimPrefix(tag, "W/")
		if tags == "*" || opaque != "" && strings.Contains(tags, opaque) {
			o.mu.Lock()
			defer o.mu.Unlock()
			if made, known := o.made[tag]; known && made != head.page().serial && head.said.size > 0 || !known && tag != head.etag() && tags != "*" {
				return fmt.Errorf("304 with the tag %s, which is that of another page than %d", tag, head.serial)
			}
			return nil
		}
		return fmt.Errorf("304, but the page is %q and the client has %s", tag, tags)
	}
	since, err := http.ParseTime(q.get("If-Modified-Since"))
	if err != nil {
		return errors.New("304 to a request without a condition")
	}
	modified, err := http.ParseTime(cmp.Or(a.header.Get("Last-Modified"), a.header.Get("Date")))
	if err != nil {
		modified = head.date
	}
	if modified.After(since) {
		return fmt.Errorf("304, but the page is of %v and the client's of %v", modified, since)
	}
	return nil
}

var (
	statusWords  = []string{"HIT", "MISS", "EXPIRED", "REVALIDATED", "STALE", "UPDATING", "BYPASS", "DYNAMIC"}
	forwardWords = []string{"bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"}
)

// status checks the two status fields.
func (o *oracle) status(q *op, a *answer) error {
	words := a.header["X-Cache"]
	if len(words) != 1 || !slices.Contains(statusWords, words[0]) {
		return fmt.Errorf("X-Cache is %q", words)
	}
	if a.status == 504 && a.header.Get("X-Serial") == "" {
		return nil // made up by the cache itself
	}
	list, err := httpsfv.UnmarshalList(a.header["Cache-Status"])
	if err != nil || len(list) != 1 {
		return fmt.Errorf("%d members in Cache-Status %q: %w", len(list), a.header["Cache-Status"], err)
	}
	item, ok := list[0].(httpsfv.Item)
	if !ok || item.Value != httpsfv.Token("edgecache") {
		return fmt.Errorf("Cache-Status is %q", a.header["Cache-Status"])
	}
	_, hit := item.Params.Get("hit")
	forward, forwarded := item.Params.Get("fwd")
	if word, _ := forward.(httpsfv.Token); hit == forwarded || forwarded && !slices.Contains(forwardWords, string(word)) {
		return fmt.Errorf("Cache-Status %q has hit: %v, fwd: %v", a.header["Cache-Status"], hit, forward)
	}
	if detail, ok := item.Params.Get("detail"); ok {
		word, _ := detail.(httpsfv.Token)
		known := false
		for r := range rules.Reasons() {
			known = known || r.String() == string(word)
		}
		if !known {
			return fmt.Errorf("the reason %q is not in the list", word)
		}
	}
	_, collapsed := item.Params.Get("collapsed")
	if (words[0] == "HIT" || words[0] == "UPDATING") != (hit || collapsed) && words[0] != "STALE" {
		return fmt.Errorf("X-Cache %s, but Cache-Status %q", words[0], a.header["Cache-Status"])
	}
	if (hit || collapsed) && o.site.ran(q.id) {
		return fmt.Errorf("%s, but the handler ran", words[0])
	}
	return nil
}
