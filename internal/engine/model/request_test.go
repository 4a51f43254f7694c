package model_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

// op is one request of the model's test.
type op struct {
	id       int
	wait     time.Duration // before it is sent
	method   string
	tls      bool
	cert     int // of the client; 0 for none
	host     string
	target   string
	absolute bool // in absolute-form
	header   [][2]string
	body     string
	ways     *said // how the site answers this one; nil for as always

	leaves time.Duration // after which the client is gone; 0 for one that waits
}

func (o *op) get(name string) string {
	for _, f := range o.header {
		if strings.EqualFold(f[0], name) {
			return f[1]
		}
	}
	return ""
}

func (o *op) scheme() string {
	if o.tls {
		return "https"
	}
	return "http"
}

// uri is the request target as it is sent.
func (o *op) uri() string {
	if o.absolute {
		return o.scheme() + "://" + o.host + o.target
	}
	return o.target
}

func (o *op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "op %d: +%v %s %s %s", o.id, o.wait, o.method, o.scheme(), o.uri())
	fmt.Fprintf(&b, " Host: %s", o.host)
	if o.cert > 0 {
		fmt.Fprintf(&b, " certificate %d", o.cert)
	}
	for _, f := range o.header {
		fmt.Fprintf(&b, " | %s: %s", f[0], f[1])
	}
	if o.body != "" {
		fmt.Fprintf(&b, " | body %q", o.body)
	}
	if o.leaves > 0 {
		fmt.Fprintf(&b, " | leaves after %v", o.leaves)
	}
	if o.ways != nil {
		fmt.Fprintf(&b, " | answered otherwise: %+v", *o.ways)
	}
	return b.String()
}

var (
	modelTargets = []string{
		"/a%2fb", "/a/b", "//a/b", "/a/../b", "/b", "/a%00b", "/a;b", "/a%3Bb", "/a%23b", "/a", "/A", "/a/", "/a%2Fb", "/a+b", "/a%20b",
		"/a?x=1&y=2", "/a?y=2&x=1", "/a?x=1&x=1", "/a?x=1", "/a?", "/a?x=1;y=2", "/a?x=%31", "/a??", "/a?x=1&", "/",
		"/" + strings.Repeat("long/", 600), "/" + strings.Repeat("long/", 600) + "x", "/" + strings.Repeat("toolong/", 1200),
	}
	modelHosts   = []string{"a.test", "A.test", "a.test.", "a.test:80", "a.test:8080", "a.test:443", "b.test", "b.test:8080"}
	modelMethods = []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "M-SEARCH"}
	modelVary    = []string{"Accept-Encoding", "accept-language", "Accept", "Cookie", "X-Custom", "Origin", "User-Agent"}
	modelRanges  = []string{
		"bytes=0-9", "bytes=5-40", "bytes=-20", "bytes=10-", "bytes=0-0,5-9", "bytes=0-9,20-29,40-", "bytes=999999-", "bytes=9-2", "bytes=0-0",
		"items=0-9", "bytes=", "bytes=0-9,5-20", "bytes=-0",
	}
)

// ways draws how a page is answered.
func drawWays(d harness.Dice) said {
	s := said{status: 200}
	s.maxAge, s.sMaxAge, s.whileRevalidate, s.ifError, s.expires = -1, -1, -1, -1, -1
	if d.OneIn(4) {
		s.status = harness.Pick(d, 203, 204, 301, 302, 304, 404, 410, 500, 503, 200)
	}
	seconds := func() int { return harness.Pick(d, 0, 1, 5, 60, 100, 3600) }
	if !d.OneIn(4) { // else it says nothing at all
		s.noStore, s.private, s.noCache = d.OneIn(12), d.OneIn(12), d.OneIn(10)
		s.public, s.mustRevalidate, s.immutable = d.OneIn(3), d.OneIn(6), d.OneIn(12)
		for _, v := range []*int{&s.maxAge, &s.sMaxAge, &s.whileRevalidate, &s.ifError, &s.expires} {
			if d.OneIn(3) {
				*v = seconds()
			}
		}
		if d.OneIn(8) {
			s.age = harness.Pick(d, 1, 10, 50, 5000)
		}
		if d.OneIn(10) {
			s.targeted, s.targetedPublic, s.targetedNoStore, s.targetedMaxAge = true, d.OneIn(2), d.OneIn(6), seconds()
		}
	}
	if d.OneIn(3) {
		for range 1 + d.IntN(2) {
			s.vary = append(s.vary, harness.Pick(d, modelVary...))
		}
		if d.OneIn(15) {
			s.vary = append(s.vary, "*")
		}
	}
	s.etag = harness.Pick(d, "", "", "strong", "weak")
	s.lastModified = d.OneIn(4)
	s.setCookie = d.OneIn(12)
	if d.OneIn(10) {
		s.coding = "gzip"
	}
	s.allowOrigin = d.OneIn(10)
	s.size = harness.Pick(d, 0, 1, 300, 600, 2047, 2048, 2049, 5000)
	if d.OneIn(60) {
		s.size = 150_000
	}
	s.declared, s.flush = d.OneIn(2), d.OneIn(4)
	s.ranges, s.confirms, s.turns = d.OneIn(2), !d.OneIn(3), d.OneIn(10)
	if d.OneIn(20) {
		s.think = time.Second
	}
	if d.OneIn(15) {
		s.end = harness.Pick(d, panicFirst, panicLater, abort, tooShort, tooLong)
		if s.status == 204 || s.size == 0 {
			s.end = normally
		}
	}
	return s
}

// siteWays gives every URL its ways, the same for each of its requests.
func siteWays(seed uint64) func(host, uri string) said {
	known := make(map[uint64]said)
	for i := range uint64(64) {
		d := harness.NewDice(seed*64 + i)
		s := drawWays(d)
		if d.OneIn(8) {
			s.media = harness.Pick(d, "application/x-ndjson", "audio/mpeg")
		} else {
			s.chooses = d.OneIn(4)
		}
		known[i] = s
	}
	return func(host, uri string) said {
		var sum uint64 = 14695981039346656037 // FNV-1a: the same in each process, so that a seed tells all
		for _, c := range []byte(host + " " + uri) {
			sum = (sum ^ uint64(c)) * 1099511628211
		}
		return known[sum>>32%64]
	}
}

// crowd draws the requests of one batch.
type crowd struct {
	harness.Dice
	targets []string
	hosts   []string
}

func newCrowd(d harness.Dice) *crowd {
	c := &crowd{Dice: d}
	for range 3 {
		i := d.IntN(len(modelTargets) - 1)
		c.targets = append(c.targets, modelTargets[i], modelTargets[i], modelTargets[i+1])
	}
	c.hosts = []string{"a.test", "a.test", harness.Pick(d, modelHosts...)}
	return c
}

func (c *crowd) op(id int) *op {
	o := &op{id: id, method: "GET", host: harness.Pick(c.Dice, c.hosts...), target: harness.Pick(c.Dice, c.targets...)}
	add := func(name, value string) { o.header = append(o.header, [2]string{name, value}) }
	if c.OneIn(8) {
		o.wait = time.Duration(harness.Pick(c.Dice, 1, 2, 10, 30, 61, 119, 400, 4000)) * time.Second
	}
	switch {
	case c.OneIn(8):
		o.method = "HEAD"
	case c.OneIn(25):
		o.method = harness.Pick(c.Dice, modelMethods...)
	}
	o.tls = c.OneIn(6)
	o.absolute = c.OneIn(30)
	if c.OneIn(4) {
		c.identity(o, add)
	}
	if c.OneIn(4) {
		c.negotiation(add)
	}
	if c.OneIn(14) {
		c.proxies(add)
	}
	if c.OneIn(40) {
		add(harness.Pick(c.Dice, overrideFields...), harness.Pick(c.Dice, "/admin", "DELETE"))
	}
	if c.OneIn(8) {
		c.conditions(add)
	}
	if c.OneIn(10) {
		add("Range", harness.Pick(c.Dice, modelRanges...))
		if c.OneIn(4) {
			add("If-Range", c.tag())
		}
	}
	if c.OneIn(10) {
		add("Cache-Control", harness.Pick(c.Dice, "no-cache", "no-store", "max-age=0", "max-age=10", "min-fresh=20", "max-stale", "max-stale=30", "only-if-cached", "stale-if-error=600"))
	}
	if c.OneIn(60) && o.method != "HEAD" {
		o.body = "abc"
	}
	if c.OneIn(8) {
		w := drawWays(c.Dice)
		o.ways = &w
	}
	if c.OneIn(20) {
		o.leaves = harness.Pick(c.Dice, time.Millisecond, 500*time.Millisecond, 999*time.Millisecond)
		w := drawWays(c.Dice)
		w.think = time.Second
		o.ways = &w
	}
	return o
}

func (c *crowd) identity(o *op, add func(name, value string)) {
	user := strconv.Itoa(c.IntN(3))
	switch c.IntN(10) {
	case 0, 1:
		add("Cookie", "session="+user)
	case 2:
		add("Cookie", "_ga=GA1."+user)
	case 3:
		add("Cookie", "_ga=GA1.2; session="+user)
	case 4, 5:
		add("Authorization", "Bearer "+user)
	case 6:
		add(harness.Pick(c.Dice, "X-Api-Key", "X-Forwarded-User"), "user"+user)
	case 7:
		o.tls, o.cert = true, 1+c.IntN(2)
	case 8:
		add(harness.Pick(c.Dice, unlistedFields...), "user"+user)
	case 9:
		add(harness.Pick(c.Dice, underscoreFields...), "user"+user)
	}
}

func (c *crowd) negotiation(add func(name, value string)) {
	if c.OneIn(2) {
		add("Accept-Encoding", harness.Pick(c.Dice, "gzip", "gzip, br", "br, gzip", "gzip;q=0", "identity", ""))
	}
	if c.OneIn(2) {
		add("Accept-Language", harness.Pick(c.Dice, "de", "DE", "en, de", "de, en", "en,de"))
	}
	if c.OneIn(3) {
		add("Accept", harness.Pick(c.Dice, "text/html", "application/json", "text/html, */*;q=0.1", "*/*", "application/json, text/html;q=0", "image/png"))
	}
	if c.OneIn(3) {
		add("X-Custom", harness.Pick(c.Dice, "1", "2", "", "a, b", "a,b", "a b"))
	}
	if c.OneIn(3) {
		add("Origin", harness.Pick(c.Dice, "https://x.test", "https://y.test", "null"))
	}
	if c.OneIn(3) {
		add("User-Agent", harness.Pick(c.Dice, "curl", "browser"))
	}
}

func (c *crowd) proxies(add func(name, value string)) {
	switch c.IntN(4) {
	case 0:
		add(harness.Pick(c.Dice, forwardedFields...), harness.Pick(c.Dice, "evil.test", "https", "8443", "/prefix"))
	case 1:
		add("X-Forwarded-Host", harness.Pick(c.Dice, "evil.test", "good.test"))
		add("X-Forwarded-Proto", harness.Pick(c.Dice, "https", "http"))
	case 2:
		add("Forwarded", harness.Pick(c.Dice, "for=1.2.3.4", "for=5.6.7.8", "for=1.2.3.4;host=evil.test", `host="evil.test";proto=https`, "for=1;proto=https, for=2;host=c.test", "HOST=evil.test"))
	case 3:
		add("X-Forwarded-For", harness.Pick(c.Dice, "1.2.3.4", "5.6.7.8"))
	}
}

func (c *crowd) conditions(add func(name, value string)) {
	switch c.IntN(6) {
	case 0, 1:
		add("If-None-Match", c.tag())
	case 2:
		add("If-None-Match", "*")
	case 3:
		add("If-None-Match", c.tag()+", "+c.tag())
	case 4:
		add("If-Modified-Since", harness.Pick(c.Dice, "SINCE", "SINCE", "Fri, 01 Jan 1990 00:00:03 GMT", "Sat, 01 Jan 2000 00:00:30 GMT", "Sun, 01 Jan 2040 00:00:00 GMT"))
	case 5:
		add(harness.Pick(c.Dice, "If-Match", "If-Unmodified-Since"), harness.Pick(c.Dice, c.tag(), "Sat, 01 Jan 2000 00:00:00 GMT"))
	}
}

// tag is an entity tag that the client has seen: TAG0 is the last one of this URL, TAG1 the one
// before it. It is not known before the test runs.
func (c *crowd) tag() string {
	return harness.Pick(c.Dice, "TAG0", "TAG0", "TAG1", "W/TAG0", `"other"`)
}

// recall puts what was seen in the place of tags and dates.
func (o *op) recall(tags []string, modified string) *op {
	at := func(i int) string {
		if i < len(tags) {
			return tags[len(tags)-1-i]
		}
		return `"unseen"`
	}
	filled := *o
	filled.header = nil
	replace := strings.NewReplacer("W/TAG0", "W/"+strings.TrimPrefix(at(0), "W/"), "TAG0", at(0), "TAG1", at(1), "SINCE", modified)
	for _, f := range o.header {
		filled.header = append(filled.header, [2]string{f[0], replace.Replace(f[1])})
	}
	return &filled
}

// text is the request as it stands on an HTTP/1.1 connection.
func (o *op) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n%s: %d\r\n", o.method, o.uri(), o.host, opField, o.id)
	for _, f := range o.header {
		fmt.Fprintf(&b, "%s: %s\r\n", f[0], f[1])
	}
	if o.body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(o.body))
	}
	return b.String() + "\r\n" + o.body
}

// request is the request as a server hands it to its handler.
func (o *op) request() *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(o.text())))
	if err != nil {
		panic(fmt.Sprintf("the model makes no broken requests: %v in %q", err, o.text()))
	}
	r.RemoteAddr = "192.0.2.1:1234"
	if o.tls {
		name, _, _ := strings.Cut(o.host, ":")
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, ServerName: strings.ToLower(strings.TrimSuffix(name, "."))}
		if o.cert > 0 {
			r.TLS.PeerCertificates = []*x509.Certificate{{Raw: []byte{byte(o.cert)}}}
		}
	}
	return r
}
