package edgecache

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache-go/edgecache/internal/validator"
)

func TestNotModified(t *testing.T) {
	t.Run("conditions are judged in order (RFC 9110, 13.2.2)", conditionsAreJudgedInOrder)
	t.Run("it sets the validators", itSetsTheValidators)
	t.Run("it uses the handler's own validators", itUsesTheHandlersOwnValidators)
	t.Run("a 304 carries what it must (RFC 9110, 15.4.5)", a304CarriesWhatItMust)
	t.Run("Last-Modified of the running second is not sent (RFC 9110, 8.8.2)", lastModifiedOfTheRunningSecondIsNotSent)
	t.Run("a revision changes with each part", aRevisionChangesWithEachPart)
	t.Run("a revision refuses what could change unseen", aRevisionRefusesWhatCouldChangeUnseen)
	t.Run("tags together are weak if one is", tagsTogetherAreWeakIfOneIs)
}

type (
	namedID    int64
	namedText  string
	namedByte  byte
	unreadable struct{}
)

func (unreadable) MarshalText() ([]byte, error) { return nil, errors.New("no text") }

var (
	march  = time.Date(2020, 3, 1, 12, 0, 0, 500, time.FixedZone("", 3600))
	marchH = "Sun, 01 Mar 2020 11:00:00 GMT"
	before = "Sun, 01 Mar 2020 10:59:59 GMT"
)

func conditionsAreJudgedInOrder(t *testing.T) {
	v := []Validator{ETag("v1"), LastModified(march)}
	for _, tt := range []struct {
		name       string
		method     string
		request    http.Header
		validators []Validator
		want       bool
	}{
		{"without conditions", "GET", nil, v, false},
		{"the tag matches", "GET", http.Header{"If-None-Match": {`"v1"`}}, v, true},
		{"a HEAD is answered like a GET", "HEAD", http.Header{"If-None-Match": {`"v1"`}}, v, true},
		{"tags are compared weakly", "GET", http.Header{"If-None-Match": {`W/"v1"`}}, v, true},
		{"one tag of a list matches", "GET", http.Header{"If-None-Match": {`"v0", "v1"`}}, v, true},
		{"one tag of the second line matches", "GET", http.Header{"If-None-Match": {`"v0"`, `"v1"`}}, v, true},
		{"a malformed neighbour is skipped", "GET", http.Header{"If-None-Match": {`v0, "v1"`}}, v, true},
		{"a comma inside a tag is part of it", "GET", http.Header{"If-None-Match": {`"v0,"v1"`}}, []Validator{ETag("v0,")}, false},
		{"another tag", "GET", http.Header{"If-None-Match": {`"v2"`}}, v, false},
		{"an unquoted tag is none", "GET", http.Header{"If-None-Match": {`v1`}}, v, false},
		{"a star matches whatever there is", "GET", http.Header{"If-None-Match": {"*"}}, v, true},
		{"a star matches nothing where nothing is known", "GET", http.Header{"If-None-Match": {"*"}}, nil, false},
		{"a star in a list is malformed", "GET", http.Header{"If-None-Match": {`"v0", *`}}, v, false},
		{"the date is ignored beside a tag that differs", "GET", http.Header{"If-None-Match": {`"v2"`}, "If-Modified-Since": {marchH}}, v, false},
		{"the date is ignored beside an empty tag field", "GET", http.Header{"If-None-Match": {""}, "If-Modified-Since": {marchH}}, v, false},
		{"the same second", "GET", http.Header{"If-Modified-Since": {marchH}}, v, true},
		{"a later date", "GET", http.Header{"If-Modified-Since": {"Mon, 02 Mar 2020 11:00:00 GMT"}}, v, true},
		{"a second earlier", "GET", http.Header{"If-Modified-Since": {before}}, v, false},
		{"the other two forms of a date", "GET", http.Header{"If-Modified-Since": {"Sun Mar  1 11:00:00 2020"}}, v, true},
		{"what is no date is ignored", "GET", http.Header{"If-Modified-Since": {"yesterday"}}, v, false},
		{"two dates are ignored", "GET", http.Header{"If-Modified-Since": {marchH, marchH}}, v, false},
		{"a date where no change is known", "GET", http.Header{"If-Modified-Since": {marchH}}, []Validator{ETag("v1")}, false},
		{"If-Match is not ours to answer", "GET", http.Header{"If-Match": {`"v1"`}, "If-None-Match": {`"v1"`}}, v, false},
		{"nor is If-Unmodified-Since", "GET", http.Header{"If-Unmodified-Since": {before}, "If-None-Match": {`"v1"`}}, v, false},
		{"a POST has its own answer", "POST", http.Header{"If-None-Match": {`"v1"`}}, v, false},
		{"an empty tag says nothing", "GET", http.Header{"If-None-Match": {`""`}}, []Validator{ETag(""), WeakETag(""), Revision()}, false},
		{"the zero time says nothing", "GET", http.Header{"If-Modified-Since": {marchH}}, []Validator{LastModified(time.Time{})}, false},
		{"the epoch says nothing", "GET", http.Header{"If-Modified-Since": {marchH}}, []Validator{LastModified(time.Unix(0, 0))}, false},
		{"a version that cannot be told spoils the others", "GET", http.Header{"If-None-Match": {`"v1"`}}, append(v, Revision(struct{}{})), false},
		{"of two times the later counts", "GET", http.Header{"If-Modified-Since": {marchH}}, append(v, LastModified(march.Add(time.Second)), LastModified(march)), false},
		{"of two tags one alone does not match", "GET", http.Header{"If-None-Match": {`"v1"`}}, append(v, ETag("v2")), false},
	} {
		r := httptest.NewRequest(tt.method, "/", nil)
		for name, values := range tt.request {
			r.Header[name] = values
		}
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "text/html")
		got := NotModified(w, r, tt.validators...)
		if got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if wantCode := map[bool]int{true: 304, false: 200}[tt.want]; w.Code != wantCode || w.Body.Len() > 0 {
			t.Errorf("%s: answered %d, want %d", tt.name, w.Code, wantCode)
		}
	}
}

func itSetsTheValidators(t *testing.T) {
	for _, tt := range []struct {
		name         string
		validators   []Validator
		tag, changed string
	}{
		{"both", []Validator{ETag("v1"), LastModified(march)}, `"v1"`, marchH},
		{"a weak tag", []Validator{WeakETag("v1")}, `W/"v1"`, ""},
		{"a whole tag is taken as it is", []Validator{ETag(`W/"v1"`)}, `W/"v1"`, ""},
		{"a whole tag made weak", []Validator{WeakETag(`"v1"`)}, `W/"v1"`, ""},
		{"nothing", []Validator{{}}, "", ""},
		{"a version that cannot be told", []Validator{ETag("v1"), LastModified(march), Revision(unreadable{})}, "", ""},
	} {
		w := httptest.NewRecorder()
		NotModified(w, httptest.NewRequest("GET", "/", nil), tt.validators...)
		if tag, changed := w.Header().Get("ETag"), w.Header().Get("Last-Modified"); tag != tt.tag || changed != tt.changed {
			t.Errorf("%s: got %q, %q, want %q, %q", tt.name, tag, changed, tt.tag, tt.changed)
		}
	}
}

func itUsesTheHandlersOwnValidators(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("If-None-Match", `"mine"`)
	w := httptest.NewRecorder()
	w.Header().Set("ETag", `"mine"`)
	if !NotModified(w, r) {
		t.Error("the handler's own tag was not looked at")
	}
}

func a304CarriesWhatItMust(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("If-None-Match", `"v1"`)
	w := httptest.NewRecorder()
	MaxAge(w, time.Minute)
	Vary(w, "Accept-Language")
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding", "Content-Range"} {
		w.Header().Set(name, "1")
	}
	w.Header().Set("Content-Location", "/en")
	if !NotModified(w, r, ETag("v1"), LastModified(march)) {
		t.Fatal("not fresh")
	}
	var got []string
	for _, name := range []string{"Cache-Control", "Content-Encoding", "Content-Length", "Content-Location", "Content-Range", "Content-Type", "Etag", "Last-Modified", "Vary"} {
		if v := w.Header().Get(name); v != "" {
			got = append(got, name+": "+v)
		}
	}
	if got, want := strings.Join(got, "\n"), "Cache-Control: max-age=60\nContent-Location: /en\nEtag: \"v1\"\nVary: Accept-Language"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A page that changes twice in one second would get one date for both, and the first of them be
// kept for ever.
func lastModifiedOfTheRunningSecondIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changed := time.Now()
		ask := func(header ...string) (*httptest.ResponseRecorder, bool) {
			r := httptest.NewRequest("GET", "/", nil)
			if len(header) == 2 {
				r.Header.Set(header[0], header[1])
			}
			w := httptest.NewRecorder()
			w.Header().Set("Last-Modified", before) // an older word of the handler does not stand in
			fresh := NotModified(w, r, LastModified(changed))
			return w, fresh
		}
		for _, wait := range []time.Duration{0, 999 * time.Millisecond} {
			<-time.After(wait)
			w, fresh := ask("If-Modified-Since", changed.UTC().Format(http.TimeFormat))
			if got := w.Header().Get("Last-Modified"); got != "" || fresh {
				t.Errorf("after %v: sent %q, fresh %v", time.Since(changed), got, fresh)
			}
		}
		<-time.After(time.Millisecond)
		w, _ := ask()
		sent := w.Header().Get("Last-Modified")
		if sent != changed.UTC().Format(http.TimeFormat) {
			t.Errorf("a second later: sent %q", sent)
		}
		if _, fresh := ask("If-Modified-Since", sent); !fresh {
			t.Error("a second later: not fresh")
		}
		changed = time.Now().Add(time.Hour)
		if w, _ = ask(); w.Header().Get("Last-Modified") != "" {
			t.Errorf("a date in the future was sent: %q", w.Header().Get("Last-Modified"))
		}
	})
}

func together(a, b Validator) Validator {
	var sum validator.Sum
	sum.Add(a.is)
	sum.Add(b.is)
	return Validator{sum.Validator}
}

func aRevisionChangesWithEachPart(t *testing.T) {
	text, number, none := "a", namedID(1), (*time.Time)(nil)
	same := [][2]Validator{
		{Revision("a", 1), Revision("a", 1)},
		{Revision(march), Revision(march.UTC())},
		{Revision(&march), Revision(march)},
		{Revision(&text, &number), Revision("a", 1)},
		{Revision(namedText("a"), namedID(1)), Revision("a", int8(1))},
		{Revision([]byte("ab")), Revision([2]namedByte{'a', 'b'})},
		{Revision(sha256.Sum256(nil)), Revision(sha256.Sum256([]byte{}))},
		{Revision(nil), Revision(none)},
		{Revision(netip.MustParseAddr("::1")), Revision(netip.MustParseAddr("::1"))},
	}
	for i, pair := range same {
		if pair[0] != pair[1] || pair[0].is.Tag.Opaque == "" {
			t.Errorf("row %d: %v and %v, want the same tag", i, pair[0].is.Tag, pair[1].is.Tag)
		}
	}
	different := []Validator{
		Revision("a"), Revision("b"), Revision("a", ""), Revision("", "a"), Revision("ab"), Revision("a", "b"), Revision("b", "a"), Revision(""), Revision("as", "b"), Revision("a", "sb"),
		Revision(1), Revision(2), Revision(-1), Revision(uint(1)), Revision(1.0), Revision(1.5), Revision(true), Revision(false), Revision(nil), Revision(nil, nil),
		Revision(march), Revision(march.Add(1)), Revision(march.Add(time.Second)), Revision(march.Format(time.RFC3339Nano)),
		Revision(netip.MustParseAddr("::1")), Revision("::1"), Revision([]byte("abc")),
		ETag("a"), WeakETag("b"), ETag("a b"), ETag(`a"b`), ETag("a\nb"), together(ETag("a"), ETag("b")), together(ETag("b"), ETag("a")),
	}
	seen := map[string]int{}
	for i, v := range different {
		if other, ok := seen[v.is.Tag.Opaque]; ok {
			t.Errorf("rows %d and %d have one tag %q", other, i, v.is.Tag.Opaque)
		}
		seen[v.is.Tag.Opaque] = i
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("If-None-Match", v.is.Tag.String())
		if !NotModified(w, r, v) {
			t.Errorf("row %d: %q does not match itself", i, v.is.Tag)
		}
	}
}

func aRevisionRefusesWhatCouldChangeUnseen(t *testing.T) {
	for _, part := range []any{struct{ A int }{1}, &struct{ A int }{1}, map[string]int{}, []string{"a"}, []any{1}, func() {}, make(chan int), unreadable{}, 1i} {
		if v := Revision("a", part); !v.is.Unknown {
			t.Errorf("%T was taken as %q", part, v.is.Tag)
		}
	}
}

func tagsTogetherAreWeakIfOneIs(t *testing.T) {
	if v := together(ETag("a"), ETag("b")); v.is.Tag.Weak {
		t.Error("two strong tags made a weak one")
	}
	if v := together(ETag("a"), WeakETag("b")); !v.is.Tag.Weak {
		t.Error("a strong and a weak tag made a strong one")
	}
}
