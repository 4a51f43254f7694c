package model_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/harness"
)

func TestModel(t *testing.T) {
	t.Run("requests one after the other", requestsOneAfterTheOther)
	t.Run("requests together over HTTP1", requestsTogetherOverHTTP1)
	t.Run("requests together over HTTP2", requestsTogetherOverHTTP2)
}

// The model's tests send random requests to a random site behind a cache and ask an oracle about
// every answer. EDGECACHE_SEED=n plays one batch again; EDGECACHE_LONG=1 plays a million requests.
const (
	batchSize   = 400
	batches     = 375 // of batchSize; concurrently a third of that
	longBatches = 1900
)

// modelCache makes a cache in front of a handler, and what the oracle has to know about it.
type modelCache func(d harness.Dice, next http.Handler) (http.Handler, *oracle)

// realCache is the cache under test, in one of the configurations that people use.
func realCache(d harness.Dice, next http.Handler) (http.Handler, *oracle) {
	cfg := edgecache.Config{Logger: slog.New(slog.DiscardHandler)}
	o := &oracle{marks: true}
	cfg.HonorRequestDirectives = d.OneIn(2)
	o.honors = cfg.HonorRequestDirectives
	o.marks = true
	switch d.IntN(6) {
	case 0:
		cfg.ExplicitOnly, o.explicitOnly = true, true
	case 1:
		cfg.StripSetCookie, o.stripCookies = true, true
	case 2:
		cfg.MaxBytes = 64 << 10 // most things are soon evicted
	case 3:
		cfg.MaxObjectBytes = 1500
	}
	edge, err := edgecache.New(cfg)
	if err != nil {
		panic(err)
	}
	return mounted(d, edge.Handler, next), o
}

// mounted is a cache as people mount it: behind something else, inside of a router that has other
// handlers for HEAD, or as the server's own handler.
func mounted(d harness.Dice, cache func(http.Handler) http.Handler, next http.Handler) http.Handler {
	switch d.IntN(3) {
	case 0:
		return headRouter(cache, next)
	case 1:
		own := &http.Server{Handler: cache(next)}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			own.Handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, own)))
		})
	}
	return cache(next)
}

// headField tells the model's site that a request reached it by the route of HEAD.
const headField = "X-Route-Of-Head"

// headRouter has a cache in front of either of two handlers, one of which is that of HEAD.
func headRouter(cache func(http.Handler) http.Handler, next http.Handler) http.Handler {
	get, head := cache(next), cache(ofHead(next))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			head.ServeHTTP(w, r)
			return
		}
		get.ServeHTTP(w, r)
	})
}

// ofHead is the handler of HEAD.
func ofHead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner := r.WithContext(r.Context())
		inner.Header = r.Header.Clone()
		inner.Header.Set(headField, "1")
		next.ServeHTTP(w, inner)
	})
}

// trial is one batch: a site, a cache in front of it, and an observer.
type trial struct {
	site     *modelSite
	oracle   *oracle
	handler  http.Handler
	server   *http.Server // that requests come from; nil if it is not known
	sequence atomic.Int64

	mu       sync.Mutex
	tags     map[string][]string // by URL
	modified map[string]string
	log      map[string][]exchange // by URL
}

// exchange is a request and what came back.
type exchange struct {
	q *op
	a *answer
}

func (t *trial) history(url string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	log := t.log[url]
	for _, x := range log[max(0, len(log)-12):] {
		fmt.Fprintf(&b, "%v\n    -> %v\n", x.q, x.a)
	}
	return b.String()
}

func newTrial(seed uint64, ops []*op, cache modelCache) *trial {
	d := harness.NewDice(seed ^ 0xcafe)
	t := &trial{tags: map[string][]string{}, modified: map[string]string{}, log: map[string][]exchange{}}
	t.site = &modelSite{ways: siteWays(seed), ops: ops, sequence: &t.sequence, calls: map[int]int{}}
	if d.OneIn(5) {
		t.site.outer = []string{"Accept-Language"}
	}
	inner, o := cache(d, t.site)
	o.site, o.made, o.invalid = t.site, map[string]int{}, map[string][]unsafe{}
	t.oracle = o
	t.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", r.Header.Get(opField))
		for _, name := range t.site.outer {
			w.Header().Set("Vary", name)
		}
		inner.ServeHTTP(w, r)
	})
	if seed%2 == 0 { // its refreshes come through the middleware
		t.server = &http.Server{Handler: t.handler}
	}
	return t
}

func (o *op) url() string { return o.scheme() + " " + o.host + " " + o.uri() }

// sender carries a request to the server. The second form is for a server that is called directly.
type sender func(*op, *http.Request) *answer

// play sends one request by send and judges the answer.
func (t *trial) play(q *op, send sender) error {
	t.mu.Lock()
	q = q.recall(t.tags[q.url()], t.modified[q.url()])
	t.mu.Unlock()
	r := q.request()
	f := factsOf(r)
	place, sent := t.sequence.Add(1), time.Now()
	a := send(q, r)
	t.oracle.invalidated(q, a, t.sequence.Add(1))
	err := t.oracle.judge(q, &f, a, sent, place)
	t.mu.Lock()
	defer t.mu.Unlock()
	if tag := a.header.Get("Etag"); tag != "" && !slices.Contains(t.tags[q.url()], tag) {
		t.tags[q.url()] = append(t.tags[q.url()], tag)
	}
	if modified := a.header.Get("Last-Modified"); modified != "" {
		t.modified[q.url()] = modified
	}
	t.log[q.url()] = append(t.log[q.url()], exchange{q, a})
	return err
}

// playAll sends requests one after the other, on a clock that only the requests move.
func playAll(t *testing.T, seed uint64, ops []*op, cache modelCache) (failed int, history string, err error) {
	synctest.Test(t, func(*testing.T) {
		trial := newTrial(seed, ops, cache)
		trial.site.sleep = true
		defer time.Sleep(time.Minute) // background refreshes end before the clock does
		for i, q := range ops {
			time.Sleep(q.wait)
			if err = trial.play(q, trial.call); err != nil {
				failed, history = i, trial.history(q.url())
				return
			}
			synctest.Wait() // for background refreshes
		}
	})
	return failed, history, err
}

// call serves a request without a connection.
func (t *trial) call(q *op, r *http.Request) *answer {
	w := &modelWriter{header: make(http.Header), declared: -1, head: q.method == "HEAD"}
	a := &answer{}
	if t.server != nil {
		r = r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, t.server))
	}
	if q.leaves > 0 {
		ctx, leave := context.WithCancel(r.Context())
		defer time.AfterFunc(q.leaves, leave).Stop()
		r = r.WithContext(ctx)
	}
	func() {
		defer func() { a.broken = recover() != nil }()
		t.handler.ServeHTTP(w, r)
	}()
	if !a.broken {
		w.WriteHeader(http.StatusOK)
	}
	a.status, a.header, a.body = w.status, w.sent, w.body
	a.broken = a.broken || !w.head && w.declared >= 0 && w.declared != w.tried && w.status != 204 && w.status != 304
	return a
}

// modelWriter is a client's writer with the manners of net/http.
type modelWriter struct {
	header, sent    http.Header
	status          int
	body            []byte
	declared, tried int
	head            bool
}

func (w *modelWriter) Header() http.Header { return w.header }
func (w *modelWriter) Flush()              {}

func (w *modelWriter) WriteHeader(status int) {
	if w.status != 0 || status < 200 {
		return
	}
	w.status, w.sent = status, w.header.Clone()
	if n, err := strconv.Atoi(w.sent.Get("Content-Length")); err == nil {
		w.declared = n
	}
}

func (w *modelWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.status == 204 || w.status == 304 {
		return 0, http.ErrBodyNotAllowed
	}
	w.tried += len(p)
	if w.declared >= 0 && w.tried > w.declared {
		return 0, http.ErrContentLength
	}
	if !w.head {
		w.body = append(w.body, p...)
	}
	return len(p), nil
}

func batchOf(seed uint64) []*op {
	c := newCrowd(harness.NewDice(seed))
	ops := make([]*op, batchSize)
	for i := range ops {
		ops[i] = c.op(i)
	}
	return ops
}

// shrink takes requests away as long as the last one still gets a wrong answer.
func shrink(t *testing.T, seed uint64, ops []*op, cache modelCache) (least []*op, history string, err error) {
	try := func(ops []*op) bool {
		var again []*op
		for i, o := range ops {
			renumbered := *o
			renumbered.id = i
			again = append(again, &renumbered)
		}
		failed, h, e := playAll(t, seed, again, cache)
		if e == nil {
			return false
		}
		least, history, err = again[:failed+1], h, e
		return true
	}
	if !try(ops) {
		return ops, "", nil
	}
	for size := max(1, len(least)/2); size >= 1; size /= 2 {
		for i := max(0, len(least)-1-size); i >= 0; i -= size {
			if i+size >= len(least) {
				continue
			}
			fewer := slices.Clone(least)
			next := *fewer[i+size]
			for _, gone := range fewer[i : i+size] {
				next.wait += gone.wait
			}
			fewer[i+size] = &next
			try(slices.Delete(fewer, i, i+size))
		}
	}
	return least, history, err
}

// tell shows the least history that goes wrong.
func tell(t *testing.T, seed uint64, ops []*op, cache modelCache, err error) {
	least, history, again := shrink(t, seed, ops, cache)
	if again == nil {
		t.Fatalf("EDGECACHE_SEED=%d: %v\n(it does not happen again)", seed, err)
	}
	var b strings.Builder
	for _, o := range least {
		fmt.Fprintf(&b, "%v\n    site: %+v\n", o, siteWays(seed)(o.host, o.uri()))
	}
	t.Fatalf("EDGECACHE_SEED=%d: %v\nThe least history:\n%s\nAnswers for this URL:\n%s", seed, again, &b, history)
}

func requestsOneAfterTheOther(t *testing.T) {
	first, n := harness.Batches(t, batches, longBatches)
	words := &tally{count: map[string]int{}}
	t.Run("batches", func(t *testing.T) {
		workers := uint64(runtime.GOMAXPROCS(0))
		for worker := range workers {
			t.Run(strconv.FormatUint(worker, 10), func(t *testing.T) {
				t.Parallel()
				for seed := first + worker; seed < first+n; seed += workers {
					ops := batchOf(seed)
					if failed, _, err := playAll(t, seed, ops, words.cache); err != nil {
						tell(t, seed, ops[:failed+1], realCache, err)
					}
				}
			})
		}
	})
	t.Logf("%d requests from seed %d: %v", n*batchSize, first, words.count)
	if n > 10 {
		for _, word := range statusWords {
			if words.count[word] == 0 {
				t.Errorf("no answer was %s: the model has lost its way", word)
			}
		}
	}
}

// tally counts the short statuses, so that a model that never hits is noticed.
type tally struct {
	mu    sync.Mutex
	count map[string]int
}

func (c *tally) cache(d harness.Dice, next http.Handler) (http.Handler, *oracle) {
	h, o := realCache(d, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.count[w.Header().Get("X-Cache")]++
		}()
		h.ServeHTTP(w, r)
	}), o
}

// playTogether sends requests from many clients at once.
func playTogether(ops []*op, trial *trial, client func() (send sender, done func())) error {
	var (
		next  atomic.Int64
		group sync.WaitGroup
		once  sync.Once
		first error
	)
	for range 4 * runtime.GOMAXPROCS(0) {
		group.Go(func() {
			send, done := client()
			defer done()
			for {
				i := int(next.Add(1)) - 1
				if i >= len(ops) {
					return
				}
				if err := trial.play(ops[i], send); err != nil {
					once.Do(func() {
						first = fmt.Errorf("op %d: %w\nAnswers for this URL:\n%s", i, err, trial.history(ops[i].url()))
					})
					next.Store(int64(len(ops)))
					return
				}
			}
		})
	}
	group.Wait()
	return first
}

// concurrently plays batches on a server that many clients use at once.
func concurrently(t *testing.T, normal int, adapt func(*op), start func(http.Handler) *httptest.Server, client func(*httptest.Server) (sender, func())) {
	first, n := harness.Batches(t, normal, 5*normal)
	for seed := first; seed < first+n; seed++ {
		ops := batchOf(seed)
		for _, o := range ops {
			adapt(o)
		}
		trial := newTrial(seed, ops, realCache)
		server := start(trial.handler)
		err := playTogether(ops, trial, func() (sender, func()) { return client(server) })
		server.Close()
		if err != nil {
			t.Fatalf("EDGECACHE_SEED=%d: %v", seed, err)
		}
	}
	t.Logf("%d requests from seed %d", n*batchSize, first)
}

func quiet(s *httptest.Server) *httptest.Server {
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // the model's handlers panic
	return s
}

func requestsTogetherOverHTTP1(t *testing.T) {
	concurrently(t, batches/4, func(o *op) { o.tls, o.cert = false, 0 },
		func(h http.Handler) *httptest.Server {
			s := quiet(httptest.NewUnstartedServer(h))
			s.Start()
			return s
		},
		func(s *httptest.Server) (sender, func()) {
			c := &plainClient{address: s.Listener.Addr().String()}
			return c.send, c.close
		})
}

// plainClient speaks HTTP/1.1 byte by byte, so that no library tidies its requests.
type plainClient struct {
	address string
	conn    net.Conn
	reader  *bufio.Reader
}

func (c *plainClient) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *plainClient) send(q *op, _ *http.Request) *answer {
	a := &answer{header: http.Header{}, broken: true}
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			return a
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	if _, err := io.WriteString(c.conn, q.text()); err != nil {
		c.close()
		return a
	}
	r, err := http.ReadResponse(c.reader, &http.Request{Method: q.method})
	if err != nil {
		c.close()
		return a
	}
	a.status, a.header = r.StatusCode, r.Header
	a.body, err = io.ReadAll(r.Body)
	if a.broken = err != nil; err != nil || r.Close || q.body != "" {
		c.close()
	}
	return a
}

func requestsTogetherOverHTTP2(t *testing.T) {
	certificates := []tls.Certificate{{}, selfSigned(t, 1), selfSigned(t, 2)}
	concurrently(t, batches/12,
		func(o *op) {
			o.tls, o.absolute = true, false
			o.target = "/" + strings.TrimLeft(o.target, "/") // a :path that begins with two slashes is more than net/http sends
		},
		func(h http.Handler) *httptest.Server {
			s := quiet(httptest.NewUnstartedServer(h))
			s.EnableHTTP2 = true
			s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
			s.StartTLS()
			return s
		},
		func(s *httptest.Server) (sender, func()) {
			transports := make([]*http.Transport, len(certificates))
			for i := range certificates {
				transports[i] = transportTo(s, certificates[i])
			}
			return func(q *op, _ *http.Request) *answer { return overHTTP2(transports[q.cert], q) }, func() {
				for _, tr := range transports {
					tr.CloseIdleConnections()
				}
			}
		})
}

func transportTo(s *httptest.Server, certificate tls.Certificate) *http.Transport {
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "a.test", NextProtos: []string{"h2"}}
	if certificate.Certificate != nil {
		config.Certificates = []tls.Certificate{certificate}
	}
	return &http.Transport{
		ForceAttemptHTTP2: true, DisableCompression: true,
		DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			d := tls.Dialer{Config: config}
			return d.DialContext(ctx, network, s.Listener.Addr().String())
		},
	}
}

func overHTTP2(transport *http.Transport, q *op) *answer {
	a := &answer{header: http.Header{}, broken: true}
	r := &http.Request{
		Method: q.method, Host: q.host, URL: &url.URL{Scheme: "https", Host: q.host, Opaque: q.target},
		Header: http.Header{opField: {fmt.Sprint(q.id)}}, ContentLength: int64(len(q.body)), Body: http.NoBody,
	}
	if q.body != "" {
		r.Body = io.NopCloser(strings.NewReader(q.body))
	}
	for _, f := range q.header {
		r.Header.Add(f[0], f[1])
	}
	if _, set := r.Header["User-Agent"]; !set {
		r.Header["User-Agent"] = nil
	}
	w, err := transport.RoundTrip(r)
	if err != nil {
		return a
	}
	defer w.Body.Close()
	a.status, a.header = w.StatusCode, w.Header
	a.body, err = io.ReadAll(w.Body)
	a.broken = err != nil
	return a
}

func selfSigned(t *testing.T, serial int64) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
