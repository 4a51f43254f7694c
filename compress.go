package edgecache

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Limits of Config.Compress. Those of size and ratio are internal/coding's.
const (
	// maxEncoders is how many pages are coded at once.
	maxEncoders = 2
	// maxEncodings is how many wait for it. What comes on top is asked for again by a later hit.
	maxEncodings = 256

	// encodingsOverhead and formOverhead are what a page that may be coded, and each of its forms, keep beside the bytes, in bytes.
	encodingsOverhead = 64
	encodedOverhead   = 112
)

// The states of a form.
const (
	untried uint32 = iota
	queued         // a hit has asked for it
	making
	settled // made, or not to be had: not worth it, or not worth the room
)

// encodings are the forms of one stored page beside identity, which is what the page itself is. Each is made when a hit asks for it.
type encodings struct {
	states  [coding.Count]atomic.Uint32
	encoded [coding.Count]atomic.Pointer[encoded]
}

// encoded is a page in one coding. It is immutable.
type encoded struct {
	body   object.Body
	etag   string // "" if the page has none
	length string // of body, as it is written
}

func newEncoded(c coding.Coding, body object.Body, page field.ETag) *encoded {
	f := &encoded{body: body, length: strconv.FormatInt(body.Size(), 10)}
	if page.Opaque != "" {
		f.etag = coding.Tag(page, c).String()
	}
	return f
}

func (f *encoded) size() int64 {
	return encodedOverhead + f.body.Footprint() + int64(len(f.etag)+len(f.length))
}

// size is what the forms keep in memory, in bytes. nil has none.
func (s *encodings) size() int64 {
	if s == nil {
		return 0
	}
	n := int64(encodingsOverhead)
	for c := range s.encoded {
		if f := s.encoded[c].Load(); f != nil {
			n += f.size()
		}
	}
	return n
}

// names are those of the codings that are there.
func (s *encodings) names() (names []string) {
	for c := coding.Brotli; s != nil && c < coding.Count; c++ {
		if s.encoded[c].Load() != nil {
			names = append(names, c.String())
		}
	}
	return names
}

// best returns what a client likes best: among the forms that are there, and among all. Of those that it likes equally the first counts, and identity only if it likes that more.
func (s *encodings) best(accepts *coding.Weights) (there, wanted coding.Coding) {
	for c := coding.Brotli; c < coding.Count; c++ {
		if accepts[c] == 0 || accepts[c] < accepts[coding.Identity] {
			continue
		}
		if wanted == coding.Identity || accepts[c] > accepts[wanted] {
			wanted = c
		}
		if s.encoded[c].Load() != nil && (there == coding.Identity || accepts[c] > accepts[there]) {
			there = c
		}
	}
	return there, wanted
}

// unencodable are the fields of a response that speak of the very bytes of its content, or sign it, or belong to one client.
var unencodable = [...]string{
	"Content-Encoding", "Content-Range",
	"Content-Digest", "Repr-Digest", "Digest", "Content-Md5", "Want-Content-Digest", "Want-Repr-Digest", "Want-Digest",
	"Signature", "Signature-Input",
	"Set-Cookie", "Set-Cookie2",
}

// encodable reports whether a response may be coded, as far as its header tells. A type that net/http will find out is taken for one that may.
// Only a 200 is: conditions, made tags and ranges are about that, and other pages are short.
func (e *Edge) encodable(status int, h http.Header, vary []string, tag field.ETag) bool {
	if !e.config.Compress || status != http.StatusOK || slices.Contains(vary, "Accept-Encoding") {
		return false // the handler, or somebody outside, codes by itself
	}
	if len(h["Etag"]) > 0 && tag.Opaque == "" {
		return false // it is no tag, so none can be made from it
	}
	if types, ok := h["Content-Type"]; ok && (len(types) != 1 || !coding.Compressible(types[0])) {
		return false
	}
	return !e.forbidsEncoding(h)
}

// forbidsEncoding reports whether a field of h forbids to code the content.
func (e *Edge) forbidsEncoding(h http.Header) bool {
	for _, name := range unencodable {
		if len(h[name]) > 0 {
			return true
		}
	}
	return e.forbidsTransforming(h)
}

// forbidsTransforming reports whether h says no-transform, to this cache or to all (RFC 9111, 5.2.2.6).
func (e *Edge) forbidsTransforming(h http.Header) bool {
	if lines := h["Cache-Control"]; len(lines) > 0 {
		if cc := field.ParseCacheControl(lines); cc.NoTransform {
			return true
		}
	}
	for _, name := range e.config.TargetedHeaders {
		if lines := h[name]; len(lines) > 0 {
			if cc := field.ParseCacheControl(lines); cc.NoTransform {
				return true
			}
		}
	}
	return false
}

// without returns h without some fields. It leaves h as it is.
func without(h http.Header, names []string) http.Header {
	if len(names) == 0 {
		return h
	}
	h = maps.Clone(h)
	for _, name := range names {
		delete(h, name)
	}
	return h
}

// describeHead adds to the answer to a HEAD that the handler gives what the same GET, of which req tells, would say.
func (e *Edge) describeHead(h http.Header, req *rules.Request, status int, start time.Time) {
	canonical := field.Canonical(h)
	if status == http.StatusNotModified {
		status = http.StatusOK // it says of that what it would say itself, as far as it says anything (RFC 9110, 15.4.5)
	}
	meta, reason := e.rules.Store(req, status, canonical, start, time.Now())
	if reason == rules.None && e.encodable(status, without(canonical, meta.Strip), meta.Vary, meta.ETag) {
		h["Vary"] = coding.AddVary(h["Vary"])
	}
}

// encodingsOf returns an empty set of forms for a page that may have some, else nil.
func (e *Edge) encodingsOf(o *object.Object) *encodings {
	size := o.Body.Size()
	if !e.config.Compress || size < coding.MinSize || size > coding.MaxSize {
		return nil
	}
	h := make(http.Header)
	o.CopyHeader(h, 0)
	page := o.Validators()
	if _, typed := h["Content-Type"]; !typed || !e.encodable(o.Status(), h, o.Selector().Vary.Append(nil), page.ETag) {
		return nil
	}
	return new(encodings)
}

// inherit takes the forms of old over, if v has the same bytes, so that a refresh costs no coding. k is the key of both.
func (e *Edge) inherit(v, old *variant, k []byte) {
	if old != nil && old.strays(time.Now()) {
		v.withFailures().straysUntil.Store(old.failures.Load().straysUntil.Load())
	}
	if old == nil || v.encodings() == nil || old.encodings() == nil || !v.Body.Equal(old.Body) {
		return
	}
	from, to := old.encodings(), v.encodings()
	alone := resource{newest: v}
	if alone.size()+from.size()+int64(len(k))+1<<10 > e.maxObject {
		return // the page itself comes first
	}
	for c := range to.encoded {
		if from.states[c].Load() != settled {
			continue
		}
		to.states[c].Store(settled)
		if f := from.encoded[c].Load(); f != nil {
			to.encoded[c].Store(newEncoded(coding.Coding(c), f.body, v.tag()))
		}
	}
}

// encoders code pages in the background. Their goroutines run while there is something to do.
type encoders struct {
	mu      sync.Mutex
	queue   []encodeJob // at most maxEncodings
	running int         // at most maxEncoders

	made   atomic.Uint64
	encode func(c coding.Coding, from io.WriterTo, best bool) ([]byte, error) // coding.Encode, but in tests
}

// encodeJob asks for forms: of the variants of key that are queued in this coding. It holds no page, so that what waits costs no memory that nobody is charged for.
type encodeJob struct {
	key    []byte
	coding coding.Coding
}

// requestEncoding has a form of v made later, unless that was tried before. r is a request for v.
func (e *Edge) requestEncoding(r *http.Request, v *variant, c coding.Coding) {
	state := &v.encodings().states[c]
	if state.Load() != untried || !state.CompareAndSwap(untried, queued) {
		return
	}
	k, ok := key.Of(nil, r)
	if !ok || !e.enqueue(encodeJob{k, c}) {
		state.Store(untried)
	}
}

func (e *Edge) enqueue(next encodeJob) bool {
	s := &e.encoders
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) >= maxEncodings {
		return false
	}
	if s.running < maxEncoders && e.begin() {
		s.running++
		go e.encodeAll()
	}
	if s.running == 0 {
		return false // the Edge is closed
	}
	s.queue = append(s.queue, next)
	return true
}

func (e *Edge) encodeAll() {
	defer e.background.Done()
	for next, ok := e.nextEncoding(); ok; next, ok = e.nextEncoding() {
		res, _ := e.memory.Peek(next.key)
		for v := range res.variants {
			if s := v.encodings(); s != nil && s.states[next.coding].CompareAndSwap(queued, making) {
				e.encode(next.key, v, next.coding)
			}
		}
	}
}

// nextEncoding takes one out of the queue. When there is none, or the Edge is closed, the encoder that asks must end.
func (e *Edge) nextEncoding() (next encodeJob, ok bool) {
	s := &e.encoders
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 || e.isClosed() {
		s.queue = nil
		s.running--
		return encodeJob{}, false
	}
	next, s.queue = s.queue[0], s.queue[1:]
	return next, true
}

// encode makes a form of v, and publishes it if v is still what is stored, and there is room.
func (e *Edge) encode(k []byte, v *variant, c coding.Coding) {
	s := v.encodings()
	defer s.states[c].Store(settled)
	defer func() {
		if p := recover(); p != nil {
			err := fmt.Errorf("edgecache: coding a page as %s panicked: %v", c, p)
			e.config.Logger.Error(err.Error())
			e.tell(Event{Kind: Failed, Err: err})
		}
	}()
	packed, err := e.encoders.encode(c, v.Body, false)
	if err != nil || !coding.Worthwhile(int64(len(packed)), v.Body.Size()) {
		for other := range s.states {
			s.states[other].Store(settled) // what one cannot make smaller the others cannot either
		}
		return
	}
	f := newEncoded(c, object.NewBody(packed), v.tag())
	if e.memory.Grow(k, f.size(), func(res resource) bool {
		if !res.has(v) || v.purged() {
			return false // nobody would see it, and nobody is charged for it
		}
		s.encoded[c].Store(f)
		if set := f.body.Readers(); set != nil {
			set.Pay()
		}
		return true
	}) {
		e.encoders.made.Add(1)
	}
}
