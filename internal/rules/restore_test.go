package rules

import (
	"slices"
	"testing"
	"time"
)

func TestRestore(t *testing.T) {
	// A stored response ages wherever it is.
	t.Run("age (RFC 9111, 4.2.3)", func(t *testing.T) {
		h := header("Cache-Control: max-age=100\nAge: 10\nDate: {0}")
		m, reason := usual.Store(usual.get(""), 200, h, start, start)
		if reason != None {
			t.Fatal(reason)
		}
		for _, row := range []struct {
			name                    string
			written, elapsed, later time.Duration
			want                    time.Duration
		}{
			{"written and read at once", 0, 0, 0, 10 * time.Second},
			{"written later", 7 * time.Second, 0, 0, 17 * time.Second},
			{"read later", 0, 8 * time.Second, 0, 18 * time.Second},
			{"used later", 0, 0, 9 * time.Second, 19 * time.Second},
			{"all of it", 7 * time.Second, 8 * time.Second, 9 * time.Second, 34 * time.Second},
			{"a clock that goes back after reading", 7 * time.Second, 8 * time.Second, -time.Hour, 25 * time.Second},
			{"a clock that went back before reading", 7 * time.Second, -time.Hour, 0, 17 * time.Second},
		} {
			f := m.Facts(m.Vary, start.Add(row.written))
			now := start.Add(row.written + row.elapsed)
			got, reason := usual.Restore(&f, 200, h, false, row.elapsed, now)
			if reason != None {
				t.Errorf("%s: got %q, want it restored", row.name, reason)
				continue
			}
			if age := got.Age(now.Add(row.later)); age != row.want {
				t.Errorf("%s: got age %v, want %v", row.name, age, row.want)
			}
			if action, _ := got.Reuse(&usual, usual.get(""), now); action != Serve {
				t.Errorf("%s: got %v, want serve", row.name, action)
			}
		}
	})
	t.Run("the stricter of both counts", func(t *testing.T) {
		minute := Facts{Lifetime: time.Minute, WhileRevalidate: 10 * time.Second, IfError: 20 * time.Second, Vary: []string{"Accept"}, Immutable: true, Explicit: true, Cookies: true, Authorization: true}
		with := func(change func(*Facts)) Facts { f := minute; change(&f); return f }
		const public = "Cache-Control: public, max-age=60, immutable, stale-while-revalidate=10, stale-if-error=20\nVary: Accept"
		for _, row := range []struct {
			name   string
			facts  Facts
			header string
			own    bool
			reason Reason
			check  func(Meta) bool
		}{
			{"both say the same", minute, public, false, None, func(m Meta) bool {
				return m.lifetime == time.Minute && m.whileRevalidate == 10*time.Second && m.ifError == 20*time.Second && m.immutable && m.explicit && m.cookies && m.authorization && m.stored
			}},
			{"a shorter life was stored", with(func(f *Facts) { f.Lifetime = time.Second }), public, false, None, func(m Meta) bool { return m.lifetime == time.Second }},
			{"the header gives a shorter one", with(func(f *Facts) { f.Lifetime = time.Hour }), public, false, None, func(m Meta) bool { return m.lifetime == time.Minute }},
			{"a life of less than nothing", with(func(f *Facts) { f.Lifetime = -1 }), public, false, None, func(m Meta) bool { return m.lifetime == 0 }},
			{"shorter windows were stored", with(func(f *Facts) { f.WhileRevalidate, f.IfError = 1, 2 }), public, false, None, func(m Meta) bool { return m.whileRevalidate == 1 && m.ifError == 2 }},
			{"no window in the header", minute, "Cache-Control: max-age=60\nVary: Accept", false, None, func(m Meta) bool { return m.whileRevalidate == 0 && m.ifError == 0 }},
			{"not for those with cookies", with(func(f *Facts) { f.Cookies = false }), public, false, None, func(m Meta) bool { return !m.cookies && m.authorization }},
			{"not for those with Authorization", with(func(f *Facts) { f.Authorization = false }), public, false, None, func(m Meta) bool { return m.cookies && !m.authorization }},
			{"the header lets no one share it", minute, "Cache-Control: max-age=60\nVary: Accept", false, None, func(m Meta) bool { return !m.cookies && !m.authorization }},
			{"never stale", with(func(f *Facts) { f.NoStale = true }), public, false, None, func(m Meta) bool { return m.ForbidsStale() }},
			{"never stale by the header", minute, "Cache-Control: max-age=60, must-revalidate\nVary: Accept", false, None, func(m Meta) bool { return m.ForbidsStale() }},
			{"not immutable", with(func(f *Facts) { f.Immutable = false }), public, false, None, func(m Meta) bool { return !m.immutable }},
			{"confirmed at each use", with(func(f *Facts) { f.NoCache = true }), public + "\nETag: \"a\"", false, None, func(m Meta) bool { return m.noCache }},
			{"confirmed at each use, with nothing to ask by", with(func(f *Facts) { f.NoCache = true }), public, false, NoCache, nil},
			{"confirmed at each use, with a tag that the handler does not know", with(func(f *Facts) { f.NoCache = true }), public + "\nETag: \"ec-1\"", true, NoCache, nil},
			{"a tag of our own is kept", minute, public + "\nETag: \"ec-1\"", true, None, func(m Meta) bool { return m.ETag.Opaque == `"ec-1"` }},
			{"no-cache in the header and a tag of our own", minute, "Cache-Control: no-cache\nVary: Accept\nETag: \"ec-1\"", true, NoCache, nil},
			{"varies by more than was told apart", minute, public + ", Cookie", false, VaryInvalid, nil},
			{"was told apart by more", with(func(f *Facts) { f.Vary = []string{"Accept", "Origin"} }), public, false, None, func(m Meta) bool { return len(m.Vary) == 2 }},
			{"private", minute, "Cache-Control: private", false, Private, nil},
			{"no-store", minute, "Cache-Control: no-store", false, NoStore, nil},
			{"Set-Cookie", minute, public + "\nSet-Cookie: a=b", false, SetCookie, nil},
		} {
			h := header(row.header)
			m, reason := usual.Restore(&row.facts, 200, h, row.own, 0, start)
			if reason != row.reason {
				t.Errorf("%s: got %q, want %q", row.name, reason, row.reason)
				continue
			}
			if row.check != nil && !row.check(m) {
				t.Errorf("%s: got %+v", row.name, m)
			}
			if row.check == nil && m.stored {
				t.Errorf("%s: refused, and still says that it is stored", row.name)
			}
			if row.own && len(h["Etag"]) == 0 {
				t.Errorf("%s: the header was changed", row.name)
			}
		}
	})
	t.Run("Keep", func(t *testing.T) {
		o := usual
		o.MaxStaleUnreachable = 30 * time.Minute
		for _, row := range []struct {
			name, response string
			asks           bool
			after          time.Duration
			want           time.Duration
		}{
			{"its life, then for an unreachable origin", "Cache-Control: max-age=60\nDate: {0}", false, 0, 31 * time.Minute},
			{"less as it ages", "Cache-Control: max-age=60\nDate: {0}", false, time.Minute, 30 * time.Minute},
			{"a longer window of its own", "Cache-Control: max-age=60, stale-if-error=7200\nDate: {0}", false, 0, 121 * time.Minute},
			{"nothing beyond its life if stale use is forbidden", "Cache-Control: max-age=60, must-revalidate\nDate: {0}", false, 0, time.Minute},
			{"an hour for a 304", "Cache-Control: max-age=60, must-revalidate\nETag: \"a\"\nDate: {0}", true, 0, 61 * time.Minute},
			{"no 304 by a tag that the handler does not know", "Cache-Control: max-age=60, must-revalidate\nETag: \"a\"\nDate: {0}", false, 0, time.Minute},
			{"no-cache is kept for a 304", "Cache-Control: no-cache, max-age=0\nETag: \"a\"\nDate: {0}", true, 0, time.Hour},
			{"over", "Cache-Control: max-age=60, must-revalidate\nDate: {0}", false, time.Minute, 0},
			{"long over", "Cache-Control: max-age=60, must-revalidate\nDate: {0}", false, time.Hour, -59 * time.Minute},
		} {
			m, reason := o.Store(o.get(""), 200, header(row.response), start, start)
			if reason != None {
				t.Fatalf("%s: %v", row.name, reason)
			}
			got := m.Keep(&o, row.asks, start.Add(row.after)).Round(time.Second)
			if got != row.want {
				t.Errorf("%s: got %v, want %v", row.name, got, row.want)
			}
		}
	})
	t.Run("Audience", func(t *testing.T) {
		base := Options{IgnoreCookies: []string{"a", "b"}, CredentialFields: []string{"C", "D"}, TargetedFields: []string{"E", "F"}}
		for name, row := range map[string]struct {
			change func(*Options)
			same   bool
		}{
			"nothing changed":                       {func(*Options) {}, true},
			"ignored cookies in another order":      {func(o *Options) { o.IgnoreCookies = []string{"b", "a"} }, true},
			"credentials in another order":          {func(o *Options) { o.CredentialFields = []string{"D", "C"} }, true},
			"another lifetime":                      {func(o *Options) { o.DefaultTTL = time.Hour }, true},
			"an index":                              {func(o *Options) { *o = o.Indexed() }, true},
			"targeted fields in another order":      {func(o *Options) { o.TargetedFields = []string{"F", "E"} }, false},
			"cookies shared":                        {func(o *Options) { o.InsecureShareCookies = true }, false},
			"one more cookie ignored":               {func(o *Options) { o.IgnoreCookies = []string{"a", "b", "c"} }, false},
			"a credential less":                     {func(o *Options) { o.CredentialFields = []string{"C"} }, false},
			"a cookie that has become a credential": {func(o *Options) { o.IgnoreCookies, o.CredentialFields = []string{"a"}, []string{"b", "C", "D"} }, false},
		} {
			o := base
			row.change(&o)
			if same := o.Audience() == base.Audience(); same != row.same {
				t.Errorf("%s: got the same %v, want %v", name, same, row.same)
			}
		}
		if got := base.IgnoreCookies; !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("the list was changed: %q", got)
		}
	})
}
