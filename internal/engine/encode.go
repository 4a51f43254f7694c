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
	"github.com/edgecache-go/edgecache/internal/object"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// Limits of Config.Compress. Those of size and ratio are internal/coding's.
const (
	// MaxEncoders is how many responses are encoded at once.
	MaxEncoders = 2
	// MaxEncodings is how many wait for that. Any more are requested again by later hits.
	MaxEncodings = 256
)

// unencodable are the fields of a response that describe the very bytes of its content, or sign it,
// or belong to one client.
var unencodable = [...]string{
	"Content-Encoding", "Content-Range",
	"Content-Digest", "Repr-Digest", "Digest", "Content-Md5", "Want-Content-Digest", "Want-Repr-Digest", "Want-Digest",
	"Signature", "Signature-Input",
	"Set-Cookie", "Set-Cookie2",
}

// encodable reports whether a response may be encoded, as far as its header tells. A type that
// net/http will detect counts as compressible. Only a 200 may be encoded: conditions, made tags and
// ranges are about that, and other responses are short.
func (e *Engine) encodable(status int, h http.Header, vary []string, tag field.ETag) bool {
	if !e.config.Compress || status != http.StatusOK || slices.Contains(vary, "Accept-Encoding") {
		return false // the handler, or middleware outside, encodes by itself
	}
	if len(h["Etag"]) > 0 && tag.Opaque == "" {
		return false // not a valid tag, so none can be derived from it
	}
	if types, ok := h["Content-Type"]; ok && (len(types) != 1 || !coding.Compressible(types[0])) {
		return false
	}
	return !e.forbidsEncoding(h)
}

// forbidsEncoding reports whether a field of h forbids encoding the content.
func (e *Engine) forbidsEncoding(h http.Header) bool {
	for _, name := range unencodable {
		if len(h[name]) > 0 {
			return true
		}
	}
	return e.forbidsTransforming(h)
}

// forbidsTransforming reports whether h says no-transform, to this cache or to all caches (RFC
// 9111, 5.2.2.6).
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

// without returns h without the named fields. It does not change h.
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

// describeHead adds to a handler's own response to a HEAD what the response to the same GET would
// say about encodings. req describes the GET.
func (e *Engine) describeHead(h http.Header, req *rules.Request, status int, start time.Time) {
	canonical := field.Canonical(h)
	// A 304 has the fields that the 200 would have, as far as it has any (RFC 9110, 15.4.5).
	if status == http.StatusNotModified {
		status = http.StatusOK
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

// encoders encode responses in the background. Their goroutines run only while there is something
// to do.
type encoders struct {
	mu      sync.Mutex
	queue   []encodeJob // at most MaxEncodings
	running int         // at most MaxEncoders

	made atomic.Uint64
	// encode is coding.Encode, except in tests.
	encode func(c coding.Coding, from io.WriterTo, best bool) ([]byte, error)
}

// encodeJob asks for an encoding of each variant of key that is queued for it. It holds no
// response, so waiting costs no memory that the budget does not know of.
type encodeJob struct {
	key    []byte
	coding coding.Coding
}

// requestEncoding has v encoded later, unless that was tried before. r is a request for v.
func (e *Engine) requestEncoding(r *http.Request, v *cache.Variant, c coding.Coding) {
	s := v.Encodings()
	if !s.Ask(c) {
		return
	}
	k, ok := keyOf(nil, r)
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

// nextEncoding takes a job out of the queue. If there is none, or the Edge is closed, the calling
// encoder must end.
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

// encode makes an encoding of v. It publishes it if v is still stored and there is room.
func (e *Engine) encode(k []byte, v *cache.Variant, c coding.Coding) {
	s := v.Encodings()
	defer s.Settle(c)
	defer func() {
		if p := recover(); p != nil {
			err := fmt.Errorf("edgecache: encoding a response as %s panicked: %v", c, p)
			e.config.Logger.Error(err.Error())
			e.tell(Event{Kind: Failed, Err: err})
		}
	}()
	encoded, err := e.encoders.encode(c, v.Body, false)
	if err != nil || !coding.Worthwhile(int64(len(encoded)), v.Body.Size()) {
		s.SettleAll() // what one coding cannot make smaller the others cannot either
		return
	}
	if e.cache.AddEncoded(k, v, c, encoded) {
		e.encoders.made.Add(1)
	}
}
