package rules

import (
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"
)

func TestValidators(t *testing.T) {
	t.Run("Ask (RFC 9111, 4.3.1)", func(t *testing.T) {
		rows := []struct {
			name     string
			response string
			has      bool
			want     string
		}{
			{"nothing to ask with", "", false, ""},
			{"a strong tag", `ETag: "abcdef"`, true, `If-None-Match: "abcdef"`},
			{"a weak tag stays weak", `ETag: W/"abcdef"`, true, `If-None-Match: W/"abcdef"`},
			{"a date", "Last-Modified: {-9}", true, "If-Modified-Since: {-9}"},
			{"a date is sent back as it was spelled", "Last-Modified: Thursday, 18-Aug-22 02:01:18 GMT", true, "If-Modified-Since: Thursday, 18-Aug-22 02:01:18 GMT"},
			{"both", "ETag: \"a\"\nLast-Modified: {-9}", true, "If-None-Match: \"a\"\nIf-Modified-Since: {-9}"},
			{"a tag without quotes is none", "ETag: abcdef", false, ""},
			{"two tags are none", "ETag: \"a\"\nETag: \"b\"", false, ""},
			{"an invalid date is none", "Last-Modified: yesterday", false, ""},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				v := ValidatorsOf(header(row.response), start)
				if v.Has() != row.has {
					t.Errorf("has: got %v", v.Has())
				}
				got := header("Accept: text/html\nIf-None-Match: \"client\"\nIf-Modified-Since: {0}\nIf-Range: \"client\"\nRange: bytes=0-1")
				v.Ask(got)
				want := header(row.want)
				want.Set("Accept", "text/html")
				if !maps.EqualFunc(got, want, slices.Equal) {
					t.Errorf("got %v, want %v", got, want)
				}
			})
		}
	})
	t.Run("Confirmed (RFC 9111, 4.3.4)", func(t *testing.T) {
		rows := []struct {
			name, stored, update string
			want                 bool
		}{
			{"the same strong tag", `ETag: "a"`, `ETag: "a"`, true},
			{"another strong tag", `ETag: "a"`, `ETag: "b"`, false},
			{"a strong tag for a weak one", `ETag: W/"a"`, `ETag: "a"`, false},
			{"a weak tag for a strong one", `ETag: "a"`, `ETag: W/"a"`, true},
			{"the same weak tag", `ETag: W/"a"`, `ETag: W/"a"`, true},
			{"another weak tag", `ETag: W/"a"`, `ETag: W/"b"`, false},
			{"a tag where there was none", "Last-Modified: {-9}", `ETag: "a"`, false},
			{"a malformed tag", `ETag: "a"`, "ETag: a", false},
			{"two tags", `ETag: "a"`, "ETag: \"a\"\nETag: \"a\"", false},
			{"the same strong tag beside another date", "ETag: \"a\"\nLast-Modified: {-9}", "ETag: \"a\"\nLast-Modified: {-8}", true},
			{"the same date", "Last-Modified: {-9}", "Last-Modified: {-9}", true},
			{"another date", "Last-Modified: {-9}", "Last-Modified: {-8}", false},
			{"an invalid date", "Last-Modified: {-9}", "Last-Modified: x", false},
			{"a date where there was none", `ETag: "a"`, "Last-Modified: {-9}", false},
			{"no validator: the condition was ours", `ETag: "a"`, "Cache-Control: max-age=9", true},
			{"nothing was asked", "", "", false},
			{"nothing was asked, whatever it says", "", `ETag: "a"`, false},
			{"any spelling", `ETag: "a"`, "etag: \"b\"", false},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				v := ValidatorsOf(header(row.stored), start)
				if got := v.Confirmed(header(row.update)); got != row.want {
					t.Errorf("got %v, want %v", got, row.want)
				}
			})
		}
	})
	t.Run("Freshen (RFC 9111, 3.2)", func(t *testing.T) {
		rows := []struct{ name, stored, update, want string }{
			{"what the 304 omits stays", "Test: 1", "", "Test: 1"},
			{"what it says replaces", "Test-Header: 1\nX-Test-Header: 1\nContent-Foo: 1", "Test-Header: 2\nX-Test-Header: 2\nContent-Foo: 2", "Test-Header: 2\nX-Test-Header: 2\nContent-Foo: 2"},
			{"all lines of it", "A: 1\nA: 2\nA: 3", "A: 4\nA: 5", "A: 4\nA: 5"},
			{"what it adds is added", "A: 1", "B: 2", "A: 1\nB: 2"},
			{"the caching fields", "Cache-Control: max-age=2\nETag: \"a\"\nExpires: {0}", "Cache-Control: max-age=9\nETag: \"a\"\nExpires: {9}", "Cache-Control: max-age=9\nETag: \"a\"\nExpires: {9}"},
			{"the type of the content, which is not processed here", "Content-Type: text/plain", "Content-Type: text/plain;charset=utf-8", "Content-Type: text/plain;charset=utf-8"},
			{"not the length of the content", "Content-Length: 10", "Content-Length: 0", "Content-Length: 10"},
			{"nor its coding", "Content-Encoding: gzip", "Content-Encoding: br", "Content-Encoding: gzip"},
			{"nor its range", "A: 1", "Content-Range: bytes 0-1/2", "A: 1"},
			{"nor what belongs to the connection", "A: 1", "Connection: X-Hop, close\nX-Hop: 1\nKeep-Alive: 1\nTransfer-Encoding: chunked\nUpgrade: h2c\nProxy-Authenticate: x", "A: 1"},
			{"a cookie belongs to its client", "A: 1", "Set-Cookie: session=1\nSet-Cookie2: a", "A: 1"},
			{"one that is stored by the letter of the RFC stays as it is", "Set-Cookie: a=b", "Set-Cookie: a=c", "Set-Cookie: a=b"},
			{"Age and Date are the 304's", "Age: 100\nDate: {-100}", "Age: 1\nDate: {0}", "Age: 1\nDate: {0}"},
			{"or none", "Age: 100\nDate: {-100}", "", ""},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				stored, update := header(row.stored), header(row.update)
				got, want := Freshen(stored, update), header(row.want)
				if !maps.EqualFunc(got, want, slices.Equal) {
					t.Errorf("got %v, want %v", got, want)
				}
				for _, lines := range got {
					lines[0] = "changed"
				}
				if !maps.EqualFunc(stored, header(row.stored), slices.Equal) || !maps.EqualFunc(update, header(row.update), slices.Equal) {
					t.Error("an argument was changed, or shares slices with the result")
				}
			})
		}
		t.Run("a name that a handler wrote past Set replaces", func(t *testing.T) {
			got := Freshen(header("Cache-Control: max-age=9"), http.Header{"cache-control": {"no-store"}})
			if _, reason := usual.Store(usual.get(""), 200, got, start, start); reason != NoStore {
				t.Errorf("got %v", reason)
			}
		})
		t.Run("what a 304 without Date confirms is new again", func(t *testing.T) {
			stored := header("Cache-Control: max-age=60\nDate: {-100}\nETag: \"a\"\nAge: 5")
			m, reason := usual.Store(usual.get(""), 200, Freshen(stored, header(`ETag: "a"`)), start, start)
			if reason != None || m.Age(start) != 0 {
				t.Errorf("got age %v (%v)", m.Age(start), reason)
			}
		})
	})
	t.Run("Date", func(t *testing.T) {
		for text, want := range map[string]time.Time{
			"Date: {-5}": start.Add(-5 * time.Second).Truncate(time.Second),
			"Date: foo":  start,
			"":           start,
		} {
			if v := ValidatorsOf(header(text), start); !v.Date().Equal(want) {
				t.Errorf("%q: got %v, want %v", text, v.Date(), want)
			}
		}
	})
	t.Run("Plain", func(t *testing.T) {
		h := header("Accept: a\nIf-None-Match: \"a\"\nIf-Modified-Since: {0}\nIf-Range: \"a\"\nRange: bytes=0-1\nIf-Match: *")
		usual.get("").Plain(h)
		if want := header("Accept: a\nIf-Match: *"); !maps.EqualFunc(h, want, slices.Equal) {
			t.Errorf("got %v, want %v", h, want)
		}
	})
}
