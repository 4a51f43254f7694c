package object

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/frame"
	"github.com/edgecache-go/edgecache/internal/rules"
)

var start = time.Date(2026, time.March, 4, 5, 6, 7, 600e6, time.UTC)

func options() rules.Options {
	return rules.Options{
		DefaultTTL: 2 * time.Minute, HeuristicMax: time.Hour, MaxStaleUnreachable: time.Hour,
		CredentialFields: rules.DefaultCredentialFields(), IgnoreCookies: []string{"_ga"}, TargetedFields: []string{"Cdn-Cache-Control"},
	}
}

// stored returns the record that a fetch stores for a response to a plain GET.
func stored(t testing.TB, o rules.Options, status int, h http.Header, body ...string) *Object {
	t.Helper()
	meta, reason := o.Store(&rules.Request{}, status, h, start, start)
	require.Equal(t, rules.None, reason)
	h = h.Clone()
	if h["Date"] == nil {
		h["Date"] = []string{start.Format(http.TimeFormat)}
	}
	var chunks [][]byte
	for _, b := range body {
		chunks = append(chunks, []byte(b))
	}
	d := Draft{Status: status, Header: h, Body: NewBody(chunks...), Meta: meta, Scope: "scope", Variant: "variant"}
	obj := d.Seal()
	return &obj
}

func text(b Body) string {
	var buf bytes.Buffer
	_, _ = b.WriteTo(&buf)
	return buf.String()
}

// same compares what a hit can see of two objects at one moment.
func same(t *testing.T, got, want *Object, now time.Time) {
	t.Helper()
	if got.Status() != want.Status() || got.MadeETag() != want.MadeETag() || got.Selector() != want.Selector() {
		t.Errorf("got %d %v %q, want %d %v %q", got.Status(), got.MadeETag(), got.Selector(), want.Status(), want.MadeETag(), want.Selector())
	}
	if got.Header() != want.Header() {
		t.Errorf("header: got %q, want %q", got.Header().Unpack(), want.Header().Unpack())
	}
	if !got.Body.Equal(want.Body) {
		t.Errorf("body: got %q, want %q", text(got.Body), text(want.Body))
	}
	if g, w := got.Terms.Facts(nil, now), want.Terms.Facts(nil, now); g.InitialAge+g.Resident != w.InitialAge+w.Resident {
		t.Errorf("age: got %v, want %v", g.InitialAge+g.Resident, w.InitialAge+w.Resident)
	} else if g.InitialAge, w.InitialAge, g.Resident, w.Resident = 0, 0, 0, 0; !reflect.DeepEqual(g, w) {
		t.Errorf("facts: got %+v, want %+v", g, w)
	}
	if g, w := got.Size(), want.Size(); g > w+1024 || w > g+1024 {
		t.Errorf("size: got %d, want about %d", g, w)
	}
}

// examples has one response of each kind.
func examples(t testing.TB) map[string]*Object {
	o := options()
	return map[string]*Object{
		"a page that says nothing":     stored(t, o, 200, http.Header{}, "hello"),
		"an empty page":                stored(t, o, 200, http.Header{}),
		"a page in chunks":             stored(t, o, 200, http.Header{"Content-Type": {"text/html"}}, "one ", "two ", "three"),
		"a large page":                 stored(t, o, 200, http.Header{}, strings.Repeat("0123456789abcdef", 1<<16)),
		"values in their order":        stored(t, o, 200, http.Header{"Link": {"<b>", "<a>", "<b>", ""}}, "x"),
		"fields that are forbidden":    stored(t, o, 200, http.Header{"Content-Type": {}, "X-Nothing": nil}, "x"),
		"an entity tag of the handler": stored(t, o, 200, http.Header{"Etag": {`W/"v1"`}, "Cache-Control": {"no-cache"}}, "x"),
		"a date of change":             stored(t, o, 200, http.Header{"Last-Modified": {"Wed, 04 Mar 2026 01:00:00 GMT"}, "Date": {"Wed, 04 Mar 2026 05:06:07 GMT"}}, "x"),
		"every directive":              stored(t, o, 200, http.Header{"Cache-Control": {"public, max-age=60, immutable, stale-while-revalidate=30, stale-if-error=40"}}, "x"),
		"for those with credentials":   stored(t, o, 200, http.Header{"Cache-Control": {"s-maxage=60, must-revalidate"}}, "x"),
		"an age of its own":            stored(t, o, 200, http.Header{"Age": {"30"}, "Cache-Control": {"max-age=100"}}, "x"),
		"an expiry":                    stored(t, o, 200, http.Header{"Expires": {"Wed, 04 Mar 2026 06:00:00 GMT"}, "Date": {"Wed, 04 Mar 2026 05:06:00 GMT"}}, "x"),
		"variants":                     stored(t, o, 200, http.Header{"Vary": {"Origin, Accept"}, "Content-Encoding": {"gzip"}}, "x"),
		"a redirect":                   stored(t, o, 301, http.Header{"Location": {"/new"}}, "moved"),
		"no content":                   stored(t, o, 204, http.Header{"Cache-Control": {"max-age=9"}}),
		"edits of outer fields": with(stored(t, o, 200, http.Header{"Link": {"</a>"}}, "x"), func(d *Draft) {
			d.Edits = field.Edits{"Link": field.Added, "X-Frame-Options": field.Removed, "Cache-Control": field.Overrode, "x-odd": field.Removed}
		}),
		"a type left to others": with(stored(t, o, 200, http.Header{"Etag": {`"1"`}}, "x"), func(d *Draft) {
			delete(d.Header, "Content-Type")
			d.Edits = field.Edits{"Content-Type": field.Left}
		}),
		"the longest life that can be said": stored(t, o, 200, http.Header{"Cache-Control": {"max-age=99999999999"}}, "x"),
	}
}

func record(o *Object) *Record {
	return &Record{Object: o, Key: "\x04http\x01a\x01/", Tags: []string{"a", "b\x00http://a"}, Stamp: Stamp{Instance: 7, Local: 8, Shared: 9}}
}

func TestDecode(t *testing.T) {
	t.Run("returns what was encoded", func(t *testing.T) {
		o := options()
		c := NewCodec(&o, frame.Sealer{})
		for name, obj := range examples(t) {
			t.Run(name, func(t *testing.T) {
				written := start.Add(3 * time.Second)
				value, keep := c.Append([]byte("before"), "name", record(obj), written)
				require.Positive(t, keep)
				require.Equal(t, "before", string(value[:6]))
				for _, after := range []time.Duration{0, 5 * time.Second} {
					now := written.Add(after)
					got, err := c.Decode(bytes.Clone(value[6:]), "name", now)
					require.NoError(t, err)
					want := record(obj)
					if got.Key != want.Key || !reflect.DeepEqual(got.Tags, want.Tags) || got.Stamp != want.Stamp {
						t.Errorf("got %q %q %v", got.Key, got.Tags, got.Stamp)
					}
					same(t, got.Object, obj, now)
					same(t, got.Object, obj, now.Add(time.Second))
				}
				again, _ := c.Append(nil, "name", record(obj), written)
				if !bytes.Equal(again, value[6:]) {
					t.Error("encoded again: got other bytes")
				}
			})
		}
	})
	t.Run("refuses every corruption", func(t *testing.T) {
		o := options()
		for who, sealer := range map[string]frame.Sealer{"no key": {}, "a key": frame.NewSealer([]byte("key"))} {
			t.Run(who, func(t *testing.T) {
				c := NewCodec(&o, sealer)
				value, _ := c.Append(nil, "name", record(stored(t, o, 200, http.Header{"Vary": {"Accept"}}, "some body")), start)
				refused := func(what string, value []byte, name string) {
					t.Helper()
					if _, err := c.Decode(value, name, start); !errors.Is(err, ErrCorrupt) {
						t.Errorf("%s: got %v, want ErrCorrupt", what, err)
					}
				}
				for i := range value {
					for bit := range 8 {
						changed := bytes.Clone(value)
						changed[i] ^= 1 << bit
						refused("a turned bit", changed, "name")
					}
					refused("cut", value[:i], "name")
				}
				refused("a byte too many", append(bytes.Clone(value), 'x'), "name")
				refused("under another name", bytes.Clone(value), "other")
				refused("under no name", bytes.Clone(value), "")
				_, err := c.Decode(value, "name", start)
				require.NoError(t, err)
			})
		}
	})
	// No value can be made without the key, however well it is made.
	t.Run("refuses forged values", func(t *testing.T) {
		o := options()
		obj := stored(t, o, 200, http.Header{}, "some body")
		c := NewCodec(&o, frame.NewSealer([]byte("the key of the application")))
		own, _ := c.Append(nil, "name", record(obj), start)
		for name, forger := range map[string]frame.Sealer{
			"no key": {}, "another key": frame.NewSealer([]byte("another")), "an empty key": frame.NewSealer([]byte{}),
			"a key that begins so": frame.NewSealer([]byte("the key of the")),
		} {
			forged, _ := NewCodec(&o, forger).Append(nil, "name", record(obj), start)
			proofs := [][]byte{forged}
			if name == "no key" { // the same, with the proof of the true one
				proofs = append(proofs, append(append(bytes.Clone(own[:36]), forged[8:len(forged)-1]...), 'Y'))
			}
			for _, value := range proofs {
				if _, err := c.Decode(value, "name", start); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: got %v, want ErrCorrupt", name, err)
				}
			}
		}
	})
	// Values whose checksum is right: an attacker made them.
	t.Run("refuses contradictions", func(t *testing.T) {
		o := options()
		c := NewCodec(&o, frame.Sealer{})
		for name, change := range map[string]func(*Draft, *[]fieldLines){
			"a length that is not that of the body":            func(_ *Draft, f *[]fieldLines) { set(f, "Content-Length", "4") },
			"two lengths":                                      func(_ *Draft, f *[]fieldLines) { set(f, "Content-Length", "5", "5") },
			"a body where none is allowed":                     func(d *Draft, _ *[]fieldLines) { d.Status = 204 },
			"a made tag that is not of our making":             func(_ *Draft, f *[]fieldLines) { set(f, "Etag", `"mine"`) },
			"a made tag beside a date of change":               func(_ *Draft, f *[]fieldLines) { *f = append(*f, fieldLines{"Last-Modified", []string{"1"}}) },
			"a made tag without the tag":                       func(_ *Draft, f *[]fieldLines) { rename(*f, "Etag", "Ftag") },
			"a field without a name":                           func(_ *Draft, f *[]fieldLines) { rename(*f, "Content-Length", "") },
			"a field twice":                                    func(_ *Draft, f *[]fieldLines) { rename(*f, "Date", "Content-Type") },
			"fields out of order":                              func(_ *Draft, f *[]fieldLines) { (*f)[0], (*f)[1] = (*f)[1], (*f)[0] },
			"names of Vary out of order":                       func(d *Draft, _ *[]fieldLines) { d.Meta.Vary = []string{"B", "A"} },
			"an empty name in Vary":                            func(d *Draft, _ *[]fieldLines) { d.Meta.Vary = []string{""} },
			"an entity tag of ours that came with a weak mark": func(_ *Draft, f *[]fieldLines) { set(f, "Etag", `W/"ec-0123456789abcdef01234567"`) },
		} {
			t.Run(name, func(t *testing.T) {
				d := draftOf(stored(t, o, 200, http.Header{}, "hello"))
				fields := []fieldLines{}
				for _, name := range slices.Sorted(maps.Keys(d.Header)) {
					fields = append(fields, fieldLines{name, d.Header[name]})
				}
				obj := contradict(&d, fields)
				value, _ := c.Append(nil, "name", record(obj), start)
				_, err := c.Decode(value, "name", start)
				require.NoError(t, err, "before the change")

				change(&d, &fields)
				value, _ = c.Append(nil, "name", record(contradict(&d, fields)), start)
				require.NotEmpty(t, value)
				if _, err := c.Decode(value, "name", start); !errors.Is(err, ErrCorrupt) {
					t.Errorf("got %v, want ErrCorrupt", err)
				}
			})
		}
	})
	// Readers that know no edits refuse a response that has some: without them its fields mean
	// something else. All others read as ever.
	t.Run("edits have a flag", func(t *testing.T) {
		o := options()
		plain := stored(t, o, 200, http.Header{"Link": {"</a>"}}, "x")
		flagsOf := func(o *Object) uint64 {
			c := NewCodec(&rules.Options{}, frame.Sealer{})
			selector := o.Selector()
			d := frame.NewReader(string(c.appendHead(nil, record(o), &selector, nil, time.Hour, start)))
			d.Fixed()
			d.Fixed()
			d.Uint()
			d.Uint()
			d.Fixed()
			for range 6 {
				d.Uint()
			}
			return d.Uint()
		}
		require.Zero(t, flagsOf(plain)&edited)
		require.NotZero(t, flagsOf(with(plain, func(d *Draft) { d.Edits = field.Edits{"A": field.Removed} }))&edited)
		c := NewCodec(&o, frame.Sealer{})
		for name, edits := range map[string]field.Edits{
			"an edit that is unknown": {"A": '?'},
			"an edit without a name":  {"": field.Added},
		} {
			value, _ := c.Append(nil, "name", record(with(plain, func(d *Draft) { d.Edits = edits })), start)
			require.NotEmpty(t, value)
			_, err := c.Decode(value, "name", start)
			require.ErrorIs(t, err, ErrCorrupt, name)
		}
		many := make(field.Edits)
		for i := range maxEdits + 1 {
			many["X-"+strconv.Itoa(i)] = field.Removed
		}
		value, _ := c.Append(nil, "name", record(with(plain, func(d *Draft) { d.Edits = many })), start)
		require.Empty(t, value)
		delete(many, "X-0")
		value, _ = c.Append(nil, "name", record(with(plain, func(d *Draft) { d.Edits = many })), start)
		_, err := c.Decode(value, "name", start)
		require.NoError(t, err)
	})
	// What was made for a request with an Origin is known by a flag, unless the header says it
	// already: all others are encoded as ever.
	t.Run("origins have a flag", func(t *testing.T) {
		o := options()
		c := NewCodec(&o, frame.Sealer{})
		for _, row := range []struct {
			name    string
			request rules.Request
			header  http.Header
			fits    bool
		}{
			{"made without an Origin", rules.Request{}, http.Header{}, false},
			{"made with one", rules.Request{Origin: true}, http.Header{}, true},
			{"allows all", rules.Request{}, http.Header{"Access-Control-Allow-Origin": {"*"}}, true},
			{"varies", rules.Request{}, http.Header{"Vary": {"Origin"}}, true},
		} {
			meta, reason := o.Store(&row.request, 200, row.header, start, start)
			require.Equal(t, rules.None, reason)
			d := Draft{Status: 200, Header: row.header, Body: NewBody([]byte("x")), Meta: meta}
			obj := d.Seal()
			value, _ := c.Append(nil, "name", record(&obj), start)
			got, err := c.Decode(value, "name", start)
			require.NoError(t, err)
			if fits := got.Terms.Fits(&rules.Request{Origin: true}); fits != row.fits {
				t.Errorf("%s: got %v, want %v", row.name, fits, row.fits)
			}
		}
	})
	t.Run("keeps time", func(t *testing.T) {
		o := options()
		c := NewCodec(&o, frame.Sealer{})
		obj := stored(t, o, 200, http.Header{"Cache-Control": {"max-age=60, must-revalidate"}}, "x")
		value, keep := c.Append(nil, "name", record(obj), start.Add(10*time.Second))
		if want := 50 * time.Second; keep != want {
			t.Errorf("keep: got %v, want %v", keep, want)
		}
		for _, row := range []struct {
			name string
			at   time.Duration
			err  error
		}{
			{"from the future", 10*time.Second - 1, ErrOutdated},
			{"from tomorrow", -24 * time.Hour, ErrOutdated},
			{"at once", 10 * time.Second, nil},
			{"to the last moment", time.Minute - 1, nil},
			{"when its time is over", time.Minute, ErrOutdated},
			{"the year after", 365 * 24 * time.Hour, ErrOutdated},
		} {
			now := start.Add(row.at)
			got, err := c.Decode(bytes.Clone(value), "name", now)
			if !errors.Is(err, row.err) {
				t.Errorf("%s: got %v, want %v", row.name, err, row.err)
			}
			if err != nil {
				if got != nil {
					t.Errorf("%s: got a record beside the error", row.name)
				}
				continue
			}
			if age := got.Terms.Age(now); age != row.at {
				t.Errorf("%s: got age %v, want %v", row.name, age, row.at)
			}
			if age := got.Terms.Age(now.Add(-time.Hour)); age < 0 {
				t.Errorf("%s: got age %v when the clock goes back", row.name, age)
			}
		}
		if value, keep := c.Append(nil, "name", record(obj), start.Add(time.Minute)); keep > 0 || len(value) > 0 {
			t.Errorf("past its time: got %d bytes for %v, want none", len(value), keep)
		}
	})
	// A longer stale use that is allowed now is for what is stored from now on.
	t.Run("keeps to the time that was given", func(t *testing.T) {
		before, after := options(), options()
		before.MaxStaleUnreachable = 0
		value, keep := NewCodec(&before, frame.Sealer{}).Append(nil, "name", record(stored(t, before, 200, http.Header{}, "x")), start)
		require.Equal(t, 2*time.Minute, keep)
		c := NewCodec(&after, frame.Sealer{})
		if _, err := c.Decode(bytes.Clone(value), "name", start.Add(keep-1)); err != nil {
			t.Errorf("within it: got %v, want no error", err)
		}
		if _, err := c.Decode(value, "name", start.Add(keep)); !errors.Is(err, ErrOutdated) {
			t.Errorf("after it: got %v, want ErrOutdated", err)
		}
	})
	t.Run("obeys the rules of today", func(t *testing.T) {
		for _, row := range []struct {
			name   string
			header http.Header
			before func(*rules.Options)
			after  func(*rules.Options)
			err    bool
			ttl    time.Duration
		}{
			{"the same rules", http.Header{}, nil, nil, false, 2 * time.Minute},
			{"only explicit lifetimes now", http.Header{}, nil, func(o *rules.Options) { o.ExplicitOnly, o.MaxStaleUnreachable = true, 0 }, true, 0},
			{"shorter by default", http.Header{}, nil, func(o *rules.Options) { o.DefaultTTL = time.Minute }, false, time.Minute},
			{"longer by default is for new pages", http.Header{}, nil, func(o *rules.Options) { o.DefaultTTL = time.Hour }, false, 2 * time.Minute},
			{"cookies no longer shared", http.Header{}, func(o *rules.Options) { o.InsecureShareCookies = true }, nil, true, 0},
			{"cookies shared from now on", http.Header{}, nil, func(o *rules.Options) { o.InsecureShareCookies = true }, true, 0},
			{"a cookie that counts now", http.Header{}, nil, func(o *rules.Options) { o.IgnoreCookies = nil }, true, 0},
			{"a credential that counts now", http.Header{}, func(o *rules.Options) { o.CredentialFields = nil }, nil, true, 0},
			{"another targeted field", http.Header{}, nil, func(o *rules.Options) { o.TargetedFields = nil }, true, 0},
			{"cookies of the response no longer stored", http.Header{"Set-Cookie": {"a=b"}}, func(o *rules.Options) { o.InsecureStoreSetCookie = true }, nil, true, 0},
			{"cookies of the response taken off now", http.Header{"Set-Cookie": {"a=b"}}, func(o *rules.Options) { o.InsecureStoreSetCookie = true },
				func(o *rules.Options) { o.StripSetCookie = true }, false, 2 * time.Minute},
		} {
			t.Run(row.name, func(t *testing.T) {
				before, after := options(), options()
				if row.before != nil {
					row.before(&before)
				}
				if row.after != nil {
					row.after(&after)
				}
				value, keep := NewCodec(&before, frame.Sealer{}).Append(nil, "name", record(stored(t, before, 200, row.header, "x")), start)
				require.Positive(t, keep)
				got, err := NewCodec(&after, frame.Sealer{}).Decode(value, "name", start)
				if row.err {
					if !errors.Is(err, ErrOutdated) {
						t.Errorf("got %v, want ErrOutdated", err)
					}
					return
				}
				require.NoError(t, err)
				if ttl := got.Terms.TTL(start); ttl != row.ttl {
					t.Errorf("got TTL %v, want %v", ttl, row.ttl)
				}
				if got.Header().Get("Set-Cookie") != "" {
					t.Error("Set-Cookie came back")
				}
			})
		}
	})
	// Outer middleware said it, or Connection named the field, so it is not among what is stored.
	t.Run("keeps what the header does not say", func(t *testing.T) {
		o := options()
		c := NewCodec(&o, frame.Sealer{})
		said := http.Header{"Cache-Control": {"max-age=5, must-revalidate"}, "Vary": {"Accept-Language"}}
		meta, reason := o.Store(&rules.Request{}, 200, said, start, start)
		require.Equal(t, rules.None, reason)
		d := Draft{Status: 200, Body: cut("x"), Meta: meta}
		obj := d.Seal()
		value, _ := c.Append(nil, "name", record(&obj), start)
		got, err := c.Decode(value, "name", start)
		require.NoError(t, err)
		if ttl := got.Terms.TTL(start); ttl != 5*time.Second {
			t.Errorf("TTL: got %v, want 5 s", ttl)
		}
		if !got.Terms.ForbidsStale() {
			t.Error("may be served stale: want not")
		}
		if got, want := got.Selector().Vary.Append(nil), []string{"Accept-Language"}; !reflect.DeepEqual(got, want) {
			t.Errorf("Vary: got %q, want %q", got, want)
		}
	})
	t.Run("copies no large body", func(t *testing.T) {
		o := options()
		c := NewCodec(&o, frame.Sealer{})
		large := strings.Repeat("x", 1<<20)
		value, _ := c.Append(nil, "name", record(stored(t, o, 200, http.Header{}, large)), start)
		if cap(value) > len(value)+len(value)/8 {
			t.Errorf("encoded into %d bytes for %d", cap(value), len(value))
		}
		got, err := c.Decode(value, "name", start)
		require.NoError(t, err)
		if chunk := got.Body.first; &chunk[0] != &value[len(value)-len(large)] {
			t.Error("the body was copied")
		} else if cap(chunk) != len(chunk) {
			t.Error("the body has room behind it")
		}
		small, _ := c.Append(nil, "name", record(stored(t, o, 200, http.Header{}, "small")), start)
		got, err = c.Decode(small, "name", start)
		require.NoError(t, err)
		if chunk := got.Body.first; &chunk[0] == &small[len(small)-5] {
			t.Error("a small body keeps the whole value in memory")
		}
	})
	// Values whose numbers promise more than there is, and about those that have as many small
	// things as fit.
	t.Run("allocations", func(t *testing.T) {
		o := options()
		c := NewCodec(&o, frame.Sealer{})
		many := http.Header{"X-Many": make([]string, 1<<16)}
		for i := range 1 << 10 {
			many["X-"+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676))] = []string{}
		}
		obj := stored(t, o, 200, many, "x")
		value, _ := c.Append(nil, "name", record(obj), start)
		bounded(t, c, value)
		for _, payload := range []string{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x7f", "\xff\xff\xff\x7f"} {
			lying := append(frame.Sealer{}.Begin(nil, kind), payload...)
			frame.Sealer{}.Seal(lying, "name")
			bounded(t, c, lying)
		}
	})
}

// draftOf is what sealing made into o.
func draftOf(o *Object) Draft {
	s := o.Selector()
	return Draft{
		Status: o.Status(), Header: o.Header().Unpack(), Edits: o.Header().Edits(), Body: o.Body, Scope: s.Scope, Variant: s.Variant, MadeETag: o.MadeETag(),
		Meta: rules.Meta{Terms: o.Terms, Vary: s.Vary.Append(nil)},
	}
}

func with(o *Object, change func(*Draft)) *Object {
	d := draftOf(o)
	change(&d)
	changed := d.Seal()
	return &changed
}

type fieldLines struct {
	name  string
	lines []string
}

// contradict makes an object that Seal would not: with these fields in this order.
func contradict(d *Draft, fields []fieldLines) *Object {
	o := d.Seal()
	text := appendNames(frame.AppendText(frame.AppendText(nil, d.Scope), d.Variant), d.Meta.Vary)
	values := 0
	for _, f := range fields {
		values += len(f.lines)
	}
	o.header = uint32(len(text))
	text = appendNumber(text, values)
	for _, f := range fields {
		text = appendNumber(appendName(text, f.name), len(f.lines))
		for _, l := range f.lines {
			text = frame.AppendText(text, l)
		}
	}
	o.text = string(text)
	return &o
}

func set(fields *[]fieldLines, name string, lines ...string) {
	for i := range *fields {
		if (*fields)[i].name == name {
			(*fields)[i].lines = lines
		}
	}
}

func rename(fields []fieldLines, from, to string) {
	for i := range fields {
		if fields[i].name == from {
			fields[i].name = to
		}
	}
}

func TestAppend(t *testing.T) {
	t.Run("refuses what Decode would refuse", func(t *testing.T) {
		o := options()
		c := NewCodec(&o, frame.Sealer{})
		r := record(stored(t, o, 200, http.Header{}, "x"))
		r.Tags = make([]string, maxTags)
		value, keep := c.Append(nil, "name", r, start)
		require.Positive(t, keep)
		_, err := c.Decode(value, "name", start)
		require.NoError(t, err)
		r.Tags = make([]string, maxTags+1)
		if value, keep := c.Append(nil, "name", r, start); keep > 0 || value != nil {
			t.Error("one tag too many: got a value, want none")
		}
		r = record(stored(t, o, 200, http.Header{}, "x"))
		r.Object = with(r.Object, func(d *Draft) { d.Meta.Vary = slices.Repeat([]string{"X"}, maxVary+1) })
		if value, keep := c.Append(nil, "name", r, start); keep > 0 || value != nil {
			t.Error("one name too many in Vary: got a value, want none")
		}
	})
	// Also when a store never forgets.
	t.Run("nothing is of use for longer than purges are remembered", func(t *testing.T) {
		o := options()
		c := NewCodec(&o, frame.Sealer{})
		value, keep := c.Append(nil, "name", record(stored(t, o, 200, http.Header{"Cache-Control": {"max-age=99999999"}}, "x")), start)
		if keep != MaxKeep {
			t.Errorf("got kept for %v, want %v", keep, MaxKeep)
		}
		if _, err := c.Decode(bytes.Clone(value), "name", start.Add(MaxKeep-1)); err != nil {
			t.Errorf("to the last moment: got %v", err)
		}
		if _, err := c.Decode(value, "name", start.Add(MaxKeep)); !errors.Is(err, ErrOutdated) {
			t.Errorf("after it: got %v, want ErrOutdated", err)
		}
	})
}

func bounded(t *testing.T, c *Codec, value []byte) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _ = c.Decode(value, "name", start)
	runtime.ReadMemStats(&after)
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(128*len(value)+16<<10); got > most {
		t.Errorf("%d bytes decoded: got %d bytes allocated, want at most %d", len(value), got, most)
	}
}

// FuzzDecode gives every input the right checksum: without, no input would get past it.
func FuzzDecode(f *testing.F) {
	o := options()
	c := NewCodec(&o, frame.Sealer{})
	for _, obj := range examples(f) {
		if obj.Body.Size() < 1<<10 {
			value, _ := c.Append(nil, "name", record(obj), start)
			f.Add(value, true)
			f.Add(value, false)
		}
	}
	f.Fuzz(func(t *testing.T, value []byte, seal bool) {
		if seal && len(value) >= 8 {
			copy(value, kind[:])
			frame.Sealer{}.Seal(value, "name")
		}
		bounded(t, c, bytes.Clone(value))
		r, err := c.Decode(bytes.Clone(value), "name", start)
		if err != nil {
			if r != nil || !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrOutdated) {
				t.Fatalf("got %v, %v", r, err)
			}
			return
		}
		if r.Terms.Age(start) < 0 || r.Terms.Keep(&o, r.Asks(), start) <= 0 {
			t.Fatalf("age %v, of use for %v", r.Terms.Age(start), r.Terms.Keep(&o, r.Asks(), start))
		}
		again, keep := c.Append(nil, "name", r, start)
		if keep <= 0 {
			t.Fatal("decoded what is not worth encoding")
		}
		back, err := c.Decode(again, "name", start)
		if err != nil {
			t.Fatalf("encoded again: %v", err)
		}
		same(t, back.Object, r.Object, start)
	})
}

// FuzzDecodeWithKey: nothing but what was stored is decoded, and only under its name.
func FuzzDecodeWithKey(f *testing.F) {
	o := options()
	c := NewCodec(&o, frame.NewSealer([]byte("0123456789abcdef0123456789abcdef")))
	plain := NewCodec(&o, frame.Sealer{})
	true1, _ := c.Append(nil, "one", record(stored(f, o, 200, http.Header{}, "one")), start)
	true2, _ := c.Append(nil, "two", record(stored(f, o, 200, http.Header{"Vary": {"Accept"}}, "two")), start)
	forged, _ := plain.Append(nil, "one", record(stored(f, o, 200, http.Header{}, "forged")), start)
	for _, value := range [][]byte{true1, true2, forged, true1[:40], append(bytes.Clone(true1[:36]), true2[36:]...), nil} {
		for _, name := range []string{"one", "two", ""} {
			f.Add(value, name)
		}
	}
	f.Fuzz(func(t *testing.T, value []byte, name string) {
		stored := name == "one" && bytes.Equal(value, true1) || name == "two" && bytes.Equal(value, true2)
		if r, err := c.Decode(bytes.Clone(value), name, start); (err == nil) != stored || (r != nil) != stored {
			t.Fatalf("got %v, %v, want a record only for what was stored", r, err)
		}
	})
}

// FuzzEncode: decode(encode(o)) = o.
func FuzzEncode(f *testing.F) {
	f.Add("max-age=60", "Accept", `"v"`, "body", uint64(1))
	f.Add("public, no-cache, stale-if-error=9", "Cookie, B, a", "", "", uint64(2))
	f.Fuzz(func(t *testing.T, cacheControl, vary, etag, body string, seed uint64) {
		o := options()
		h := http.Header{"Cache-Control": {cacheControl}, "Vary": {vary}}
		if etag != "" {
			h["Etag"] = []string{etag}
		}
		random := rand.New(rand.NewPCG(seed, seed))
		for range random.IntN(5) {
			name := http.CanonicalHeaderKey("x-" + string(rune('a'+random.IntN(26))))
			h[name] = strings.SplitAfter(body, " ")[:random.IntN(2)]
		}
		if _, reason := o.Store(&rules.Request{}, 200, h, start, start); reason != rules.None {
			return
		}
		obj := stored(t, o, 200, h, strings.SplitAfter(body, "\n")...)
		c := NewCodec(&o, frame.Sealer{})
		value, keep := c.Append(nil, "name", record(obj), start)
		if keep <= 0 {
			return
		}
		got, err := c.Decode(value, "name", start)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got.Object, obj, start)
	})
}
