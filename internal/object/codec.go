package object

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/frame"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// kind is the layout below. It changes with the layout, and with the meaning of keys, scopes and
// variants: a value of another version is not read.
var kind = frame.Kind{'e', 'c', 'o', 3}

// Limits of what is decoded. What exceeds them is not encoded either.
const (
	maxTags  = 2048 // a response has at most field.MaxStrings groups, each under two names
	maxVary  = 64   // key.MaxVary, and the names that a response implies
	maxEdits = 1024 // of fields that outer middleware set
)

// Why a value cannot be used.
var (
	// ErrCorrupt says that the value is not what was stored: cut, changed, or something else.
	ErrCorrupt = errors.New("edgecache: value is not a stored response of this version")
	// ErrOutdated says that the value was stored, but must not be used here or now.
	ErrOutdated = errors.New("edgecache: stored response is not to be used any more")
)

// Record is a response, with all that a store of bytes must keep beside it.
type Record struct {
	*Object
	Key   string   // the primary key
	Tags  []string // the names under which it can be purged, besides those from its URL
	Stamp Stamp
}

// Stamp says how far the sequences of purges had come when the fetch of the response began.
type Stamp struct {
	Instance uint64 // the process that stored it
	Local    uint64 // in the sequence of that process
	Shared   uint64 // in the sequence of the store
}

// MaxKeep is the longest time that a value is of use. A store may forget how long it was to keep a
// value, but not a purge that is younger than this: an older value could be a response that was
// purged.
const MaxKeep = 30 * 24 * time.Hour

// Codec turns records into bytes and back. It uses the rules that it was made with, and is safe for
// concurrent use.
type Codec struct {
	rules    *rules.Options
	audience uint64
	sealer   frame.Sealer
}

// NewCodec returns a codec for responses that are stored and read under o, and that s proves.
func NewCodec(o *rules.Options, s frame.Sealer) *Codec {
	return &Codec{rules: o, audience: o.Audience(), sealer: s}
}

// Audience tells apart codecs that do not read each other's values.
func (c *Codec) Audience() uint64 { return c.audience }

// Append appends the encoding of r, to be stored under name, to dst. It also returns how long the
// value is of use, at most MaxKeep. If storing it is of no use, keep is not positive and nothing is
// appended.
//
// The layout: kind and proof; the length of the head; the head, which is all but the body; the
// body. Times are by the wall clock, the only clock that processes share: when this was written,
// and how old the response was then by the clock of this process, so that setting the wall clock in
// between does not matter.
func (c *Codec) Append(dst []byte, name string, r *Record, now time.Time) (value []byte, keep time.Duration) {
	keep = min(r.Terms.Keep(c.rules, r.Asks(), now), MaxKeep)
	selector := r.Selector()
	vary := selector.Vary.Append(nil)
	if keep <= 0 || len(r.Tags) > maxTags || len(vary) > maxVary || r.Header().editReader().count > maxEdits {
		return dst, 0
	}
	head := c.appendHead(nil, r, &selector, vary, keep, now)
	start := len(dst)
	dst = slices.Grow(dst, c.sealer.Overhead()+binary.MaxVarintLen64+len(head)+int(r.Body.Size()))
	dst = c.sealer.Begin(dst, kind)
	dst = frame.AppendText(dst, head)
	for i := range r.Body.len() {
		dst = append(dst, r.Body.chunk(i)...)
	}
	c.sealer.Seal(dst[start:], name)
	return dst, keep
}

// The flags of a head.
const (
	madeETag = 1 << iota
	noCache
	noStale
	immutable
	explicit
	cookies
	authorization
	edited
	origins // origins, if the header does not say so
	flagsEnd
)

func (c *Codec) appendHead(dst []byte, r *Record, selector *Selector, vary []string, keep time.Duration, now time.Time) []byte {
	f := r.Terms.Facts(vary, now)
	var flags uint64
	header := r.Header()
	edits := header.Edits().Texts()
	for _, claim := range [...]struct {
		holds bool
		flag  uint64
	}{
		{r.made, madeETag}, {f.NoCache, noCache}, {f.NoStale, noStale}, {f.Immutable, immutable},
		{f.Explicit, explicit}, {f.Cookies, cookies}, {f.Authorization, authorization}, {edits != nil, edited},
		{f.Origins && !saysOrigins(header, vary), origins},
	} {
		if claim.holds {
			flags |= claim.flag
		}
	}
	dst = frame.AppendFixed(dst, c.audience)
	dst = frame.AppendFixed(dst, r.Stamp.Instance)
	dst = frame.AppendUint(dst, r.Stamp.Local)
	dst = frame.AppendUint(dst, r.Stamp.Shared)
	dst = frame.AppendFixed(dst, uint64(now.UnixNano()))
	for _, d := range [...]time.Duration{keep, f.Resident, f.InitialAge, f.Lifetime, f.WhileRevalidate, f.IfError} {
		dst = frame.AppendUint(dst, uint64(d))
	}
	dst = frame.AppendUint(dst, flags)
	dst = frame.AppendUint(dst, uint64(r.status))
	dst = frame.AppendText(dst, r.Key)
	dst = frame.AppendText(dst, selector.Scope)
	dst = frame.AppendText(dst, selector.Variant)
	dst = frame.AppendTexts(dst, f.Vary)
	dst = frame.AppendTexts(dst, r.Tags)
	dst = frame.AppendUint(dst, uint64(header.Len()))
	for name, values := range header.All() {
		dst = frame.AppendText(dst, name)
		dst = frame.AppendTexts(dst, values)
	}
	if edits != nil {
		dst = frame.AppendTexts(dst, edits)
	}
	return frame.AppendUint(dst, uint64(r.Body.Size()))
}

// saysOrigins reports whether the stored header says already that requests with an Origin may share
// the response.
func saysOrigins(h Header, vary []string) bool {
	allowed := h.append(nil, "Access-Control-Allow-Origin")
	return slices.Contains(vary, "Origin") || len(allowed) == 1 && allowed[0] == "*"
}

// Decode returns the record that value encodes, if it was stored under name and may still be used.
// Otherwise the error is ErrCorrupt or ErrOutdated. It takes ownership of value, and the body of
// the object may be a part of it. The length of value bounds the work and what is allocated.
func (c *Codec) Decode(value []byte, name string, now time.Time) (*Record, error) {
	payload, ok := c.sealer.Open(value, kind, name)
	if !ok {
		return nil, ErrCorrupt
	}
	length, n := binary.Uvarint(payload)
	if n <= 0 || length > uint64(len(payload)-n) {
		return nil, ErrCorrupt
	}
	head, body := payload[n:n+int(length)], payload[n+int(length):]
	var (
		r     = new(Record)
		draft Draft
		f     rules.Facts
		d     = frame.NewReader(string(head)) // the only copy: every text is a part of it
	)
	audience := d.Fixed()
	r.Stamp = Stamp{Instance: d.Fixed(), Local: d.Uint(), Shared: d.Uint()}
	written := time.Unix(0, int64(d.Fixed()))
	keep := min(duration(&d), MaxKeep)
	f.Resident, f.InitialAge, f.Lifetime = duration(&d), duration(&d), duration(&d)
	f.WhileRevalidate, f.IfError = duration(&d), duration(&d)
	flags := d.Uint()
	draft.Status = int(min(d.Uint(), math.MaxUint16))
	r.Key, draft.Scope, draft.Variant = d.Text(), d.Text(), d.Text()
	f.Vary = d.Texts(maxVary)
	r.Tags = d.Texts(maxTags)
	draft.Header = header(&d)
	known := true
	if flags&edited != 0 {
		draft.Edits, known = field.ParseEdits(d.Texts(maxEdits))
		known = known && draft.Edits != nil
	}
	size := d.Uint()
	if !d.Done() || size != uint64(len(body)) || flags >= flagsEnd || !known || !ascending(f.Vary) {
		return nil, ErrCorrupt
	}
	draft.MadeETag = flags&madeETag != 0
	f.NoCache, f.NoStale, f.Immutable = flags&noCache != 0, flags&noStale != 0, flags&immutable != 0
	f.Explicit, f.Cookies, f.Authorization = flags&explicit != 0, flags&cookies != 0, flags&authorization != 0
	f.Origins = flags&origins != 0
	draft.Body = owned(body, cap(value))
	if !draft.consistent() {
		return nil, ErrCorrupt
	}
	if err := c.admit(&draft, &f, audience, written, keep, now); err != nil {
		return nil, err
	}
	o := draft.Seal()
	r.Object = &o
	for i := range r.Tags {
		r.Tags[i] = strings.Clone(r.Tags[i]) // they live as long as the object, but the head must not
	}
	return r, nil
}

// admit decides whether a complete response may be used, and completes it.
func (c *Codec) admit(d *Draft, f *rules.Facts, audience uint64, written time.Time, keep time.Duration, now time.Time) error {
	elapsed := now.Sub(written) // by the wall clock: written has no other
	switch {
	case audience != c.audience:
		return fmt.Errorf("%w: credentials are told by other rules now", ErrOutdated)
	case elapsed < 0:
		return fmt.Errorf("%w: it is from the future", ErrOutdated) // its age is unknown
	case elapsed >= keep:
		return fmt.Errorf("%w: its time is over", ErrOutdated)
	}
	var reason rules.Reason
	d.Meta, reason = c.rules.Restore(f, d.Status, d.Header, d.MadeETag, elapsed, now)
	if reason != rules.None {
		return fmt.Errorf("%w: %s", ErrOutdated, reason)
	}
	if d.Meta.Keep(c.rules, !d.MadeETag && d.Meta.Has(), now) <= 0 {
		return fmt.Errorf("%w: %s", ErrOutdated, rules.Expired)
	}
	for _, name := range d.Meta.Strip {
		delete(d.Header, name)
	}
	return nil
}

// header reads fields in strictly ascending order.
func header(d *frame.Reader) http.Header {
	n := d.Count(3) // the shortest: a name of one byte with its length, and an empty list
	h := make(http.Header, n)
	last := ""
	for range n {
		name := d.Text()
		if name <= last {
			d.Fail()
			return nil
		}
		last = name
		values := d.Texts(math.MaxInt)
		if values == nil {
			values = []string{} // an empty list keeps net/http from adding the field
		}
		h[name] = values
	}
	return h
}

func duration(d *frame.Reader) time.Duration {
	n := d.Uint()
	if n > math.MaxInt64 {
		d.Fail()
		return 0
	}
	return time.Duration(n)
}

// ascending reports whether names are sorted and without duplicates.
func ascending(names []string) bool {
	for i := range names {
		if names[i] == "" || i > 0 && names[i-1] >= names[i] {
			return false
		}
	}
	return true
}

// owned returns the body that is a part of a value of the given capacity: the part itself, or a
// copy if the rest of the value, which is not counted, would be more than an eighth of it.
func owned(body []byte, capacity int) Body {
	switch {
	case len(body) == 0:
		return Body{}
	case capacity-len(body) > len(body)/8:
		body = append(make([]byte, 0, len(body)), body...)
	}
	return NewBody(body[:len(body):len(body)])
}

// consistent reports whether header, body and flags can be those of a sealed object.
func (d *Draft) consistent() bool {
	if !BodyAllowed(d.Status) {
		return d.Body.Size() == 0 && !d.MadeETag
	}
	length := d.Header["Content-Length"]
	if len(length) != 1 || length[0] != strconv.FormatInt(d.Body.Size(), 10) {
		return false
	}
	if !d.MadeETag {
		return true
	}
	tags := d.Header["Etag"]
	return len(tags) == 1 && IsMade(field.ETag{Opaque: tags[0]}) && len(d.Header["Last-Modified"]) == 0
}
