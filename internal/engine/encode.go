package engine

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/key"
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Limits of Config.Compress. Those of size and ratio are internal/coding's.
const (
	// MaxEncoders is how many responses are encoded at once.
	MaxEncoders = 2
	// MaxEncodings is how many wait for it. What comes on top is asked for again by a later hit.
	MaxEncodings = 256
)

// unencodable are the fields of a response that speak of the very bytes of its content, or sign it, or belong to one client.
var unencodable = [...]string{
	"Content-Encoding", "Content-Range",
	"Content-Digest", "Repr-Digest", "Digest", "Content-Md5", "Want-Content-Digest", "Want-Repr-Digest", "Want-Digest",
	"Signature", "Signature-Input",
	"Set-Cookie", "Set-Cookie2",
}

// encodable reports whether a response may be coded, as far as its header tells. A type that net/http will find out is taken for one that may.
// Only a 200 is: conditions, made tags and ranges are about that, and other pages are short.
func (e *Engine) encodable(status int, h http.Header, vary []string, tag field.ETag) bool {
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
func (e *Engine) forbidsEncoding(h http.Header) bool {
	for _, name := range unencodable {
		if len(h[name]) > 0 {
			return true
		}
	}
	return e.forbidsTransforming(h)
}

// forbidsTransforming reports whether h says no-transform, to this cache or to all (RFC 9111, 5.2.2.6).
func (e *Engine) forbidsTransforming(h http.Header) bool {
	if lines := h["Cache-Control"]; len(lines) > 0 {
		if cc := field.ParseCacheControl(lines); cc.NoTransform {
			return true
		}
	}
	for _, name := range e.rules.TargetedFields {
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
func (e *Engine) describeHead(h http.Header, req *rules.Request, status int, start time.Time) {
	canonical := field.Canonical(h)
	if status == http.StatusNotModified {
		status = http.StatusOK // it says of that what it would say itself, as far as it says anything (RFC 9110, 15.4.5)
	}
	meta, reason := e.rules.Store(req, status, canonical, start, time.Now())
	if reason == rules.None && e.encodable(status, without(canonical, meta.Strip), meta.Vary, meta.ETag) {
		h["Vary"] = coding.AddVary(h["Vary"])
	}
}

// encodableObject reports whether a stored response may be encoded.
func (e *Engine) encodableObject(o *object.Object) bool {
	size := o.Body.Size()
	if size < coding.MinSize || size > coding.MaxSize {
		return false
	}
	h := make(http.Header)
	o.CopyHeader(h, 0)
	validators := o.Validators()
	_, typed := h["Content-Type"]
	return typed && e.encodable(o.Status(), h, o.Selector().Vary.Append(nil), validators.ETag)
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
func (e *Engine) requestEncoding(r *http.Request, v *cache.Variant, c coding.Coding) {
	s := v.Encodings()
	if !s.Ask(c) {
		return
	}
	k, ok := key.Of(nil, r)
	if !ok || !e.enqueue(encodeJob{k, c}) {
		s.TakeBack(c)
	}
}

func (e *Engine) enqueue(next encodeJob) bool {
	s := &e.encoders
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) >= MaxEncodings {
		return false
	}
	if s.running < MaxEncoders && e.begin() {
		s.running++
		go e.encodeAll()
	}
	if s.running == 0 {
		return false // the Edge is closed
	}
	s.queue = append(s.queue, next)
	return true
}

func (e *Engine) encodeAll() {
	defer e.background.Done()
	for next, ok := e.nextEncoding(); ok; next, ok = e.nextEncoding() {
		res := e.cache.Peek(next.key)
		for v := range res.Variants {
			if s := v.Encodings(); s != nil && s.Begin(next.coding) {
				e.encode(next.key, v, next.coding)
			}
		}
	}
}

// nextEncoding takes one out of the queue. When there is none, or the Edge is closed, the encoder that asks must end.
func (e *Engine) nextEncoding() (next encodeJob, ok bool) {
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
func (e *Engine) encode(k []byte, v *cache.Variant, c coding.Coding) {
	s := v.Encodings()
	defer s.Settle(c)
	defer func() {
		if p := recover(); p != nil {
			err := fmt.Errorf("edgecache: coding a page as %s panicked: %v", c, p)
			e.config.Logger.Error(err.Error())
			e.tell(Event{Kind: Failed, Err: err})
		}
	}()
	packed, err := e.encoders.encode(c, v.Body, false)
	if err != nil || !coding.Worthwhile(int64(len(packed)), v.Body.Size()) {
		s.SettleAll() // what one cannot make smaller the others cannot either
		return
	}
	if e.cache.AddEncoded(k, v, c, packed) {
		e.encoders.made.Add(1)
	}
}
