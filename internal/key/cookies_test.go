package key

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var analytics = NewCookies([]string{"_ga", "_ga_*", "consent", "x*", ""})

var cookieRows = []struct {
	name, line      string
	counts, ignored bool
	stripped, first string
}{
	{"nothing", "", false, false, "", ""},
	{"blanks", " ; ;", false, false, "", ""},
	{"one that counts", "session=1", true, false, "session=1", "session"},
	{"one that does not", "_ga=1", false, true, "", ""},
	{"by its beginning", "_ga_ABC=1", false, true, "", ""},
	{"by a beginning of one letter", "xy=1", false, true, "", ""},
	{"of that letter alone", "x=1", false, true, "", ""},
	{"a longer name", "_gat=1", true, false, "_gat=1", "_gat"},
	{"a shorter name", "_g=1", true, false, "_g=1", "_g"},
	{"first", "_ga=1; session=2", true, true, "session=2", "session"},
	{"last", "session=2; _ga=1", true, true, "session=2", "session"},
	{"in the middle, the rest as it is spelled", "a=1;b = 2 ;  _ga=1;c=\"3, 4\"", true, true, `a=1;b = 2 ;c="3, 4"`, "a"},
	{"without blanks", "a=1;_ga=1;b=2", true, true, "a=1;b=2", "a"},
	{"twice", "_ga=1; _ga=2", false, true, "", ""},
	{"empty pieces go with it", "; a=1;; _ga=1;", true, true, "a=1", "a"},
	{"in another case", "_GA=1", true, false, "_GA=1", "_GA"},
	{"without a name", "=1; _ga=2", true, true, "=1", ""},
	{"without =", "secret", true, false, "secret", ""},
	{"with a name that is none", "a b=1", true, false, "a b=1", ""},
	{"with a long name", strings.Repeat("n", 65) + "=1", true, false, strings.Repeat("n", 65) + "=1", ""},
	{"hides another behind a comma", "_ga=1, session=2", true, false, "_ga=1, session=2", "_ga"},
	{"in quotes that end", `_ga="1"; a=2`, true, true, "a=2", "a"},
	{"in the quotes of another", `a="1; _ga=2; 3"`, true, false, `a="1; _ga=2; 3"`, "a"},
	{"hides another in quotes", `_ga="1; session=2"`, true, false, `_ga="1; session=2"`, "_ga"},
	{"behind quotes that have ended", `a="1; 2"; _ga=3`, true, true, `a="1; 2"`, "a"},
}

func TestCookies(t *testing.T) {
	t.Run("of a line", func(t *testing.T) {
		for _, row := range cookieRows {
			counts, ignored := analytics.Identify(row.line)
			if counts != row.counts || ignored != row.ignored {
				t.Errorf("%s: %q counts %v, ignored %v", row.name, row.line, counts, ignored)
			}
			if got := analytics.Strip(row.line); got != row.stripped && (row.ignored || counts) {
				t.Errorf("%s: of %q remains %q, want %q", row.name, row.line, got, row.stripped)
			}
			if name, found := analytics.Name(row.line); name != row.first || found != row.counts {
				t.Errorf("%s: the name of %q is %q, %v", row.name, row.line, name, found)
			}
		}
	})
	t.Run("Vary: Cookie ignores cookies that do not count", func(t *testing.T) {
		values := func(lines ...string) string {
			h := http.Header{}
			var f Fields
			if lines != nil {
				h["Cookie"] = lines
				f.IgnoreCookies(analytics)
			}
			before := maps.Clone(h)
			long, short := Variant(nil, []string{"Cookie"}, h, &f), Values(nil, []string{"Cookie"}, h, &f)
			f.RemoveCookies(h)
			require.Equal(t, string(long), string(Variant(nil, []string{"Cookie"}, h, nil)), "what the handler sees is what is compared: %q", lines)
			require.Equal(t, lines, before["Cookie"], "the list stays as it is")
			return string(short)
		}
		require.Equal(t, values(), values("_ga=1"))
		require.Equal(t, values(), values("_ga=1", "consent=2; _ga=3"))
		require.Equal(t, values("a=1"), values("_ga=1; a=1"))
		require.Equal(t, values("a=1"), values("_ga=1", "a=1; _ga=2"))
		require.NotEqual(t, values("a=1"), values("a=2"))
		require.NotEqual(t, values(), values("a=1"))
		require.NotEqual(t, values("a=1; b=2"), values("a=1", "b=2"))
	})
	t.Run("another spelling of Cookie", func(t *testing.T) {
		h := http.Header{"Cookie": {"_ga=1"}, "cookie": {"_ga=1; a=2"}, "Other": {"_ga=1"}}
		var f Fields
		f.Note("cookie", "Cookie", false, h["cookie"])
		f.IgnoreCookies(analytics)
		require.Equal(t, Values(nil, []string{"Cookie"}, h, &f), Values(nil, []string{"Cookie"}, http.Header{"cookie": {"a=2"}}, &f))
		f.RemoveCookies(h)
		require.Equal(t, http.Header{"cookie": {"a=2"}, "Other": {"_ga=1"}}, h)
		require.True(t, f.IgnoresCookies())
		new(Fields).RemoveCookies(h)
		require.Len(t, h, 2)
	})
}

// The rest has no cookie that does not count, and identifies as before.
func FuzzCookies(f *testing.F) {
	for _, row := range cookieRows {
		f.Add(row.line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		counts, _ := analytics.Identify(line)
		left := analytics.Strip(line)
		again, ignored := analytics.Identify(left)
		if again != counts || ignored || analytics.Strip(left) != left && !strings.Contains(left, ";") {
			t.Errorf("of %q remains %q, which counts %v", line, left, again)
		}
		if len(left) > len(line) {
			t.Errorf("%q grows to %q", line, left)
		}
	})
}

func TestPreference(t *testing.T) {
	h := http.Header{"Accept": {"a"}, "Accept-Language": {"de"}, "Accept_language": {"en"}}
	var f Fields
	f.Note("Accept_language", "Accept-Language", false, h["Accept_language"])
	lines, respelled := f.Preference(h, "Accept-Language")
	require.Equal(t, []string{"de"}, lines)
	require.Equal(t, []string{"en"}, respelled)
	require.False(t, f.Ignores())
	f.Ignore("Accept-Language")
	require.True(t, f.Ignores())
	lines, respelled = f.Preference(h, "Accept-Language")
	require.Empty(t, lines)
	require.Empty(t, respelled)
	lines, _ = f.Preference(h, "Accept")
	require.Equal(t, []string{"a"}, lines)
	f = Fields{}
	f.Ignore("Accept-Language")
	require.Equal(t, Values(nil, []string{"Accept-Language"}, nil, nil), Values(nil, []string{"Accept-Language"}, http.Header{"Accept-Language": {"de"}}, &f))
	f = Fields{}
	f.Ignore("Accept")
	lines, _ = f.Preference(h, "Accept")
	require.Empty(t, lines)
	f.Ignore("Hx-Current-Url")
	lines, _ = f.Preference(h, "Accept-Language")
	require.Equal(t, []string{"de"}, lines)
}

// A field that asks for a part of a page, or refines that, separates, by its prefix.
func TestFragmentsAreInScope(t *testing.T) {
	for _, name := range []string{
		"X-Inertia", "X-Inertia-Version", "X-Inertia-Partial-Data", "X-Inertia-Partial-Component", "X-Inertia-Partial-Except", "X-Inertia-Whatever-Comes",
		"X-Pjax", "X-Pjax-Container", "Hx-Request", "Hx-Boosted", "Hx-Current-Url", "Hx-History-Restore-Request", "Hx-Prompt", "Hx-Target", "Hx-Trigger", "Hx-Trigger-Name",
		"X-Up-Target", "X-Up-Mode", "X-Up-Version", "X-Up-Context", "X-Up-Fail-Target", "Next-Router-Prefetch", "Next-Router-State-Tree", "Next-Url", "Rsc", "Turbo-Frame",
		"X-Alpine-Request", "X-Alpine-Target", "Fx-Request", "X-Barba", "Barba", "X-Ic-Request", "X-Livewire", "X-Livewire-Navigate", "Datastar-Request", "X-Requested-With",
	} {
		for _, spelled := range []string{name, strings.ReplaceAll(name, "-", "_")} {
			if !InScope(Canonical(spelled)) {
				t.Errorf("%s does not separate", spelled)
			}
		}
	}
	for _, name := range []string{
		"X-Upload", "X-Inertial", "Hxx", "Fxx", "Nextcloud", "Newrelic", "X-Icon", "X-Real-Ip", "X-", "X", "Rscx", "Turbo-Request-Id", "X-Turbo-Request-Id", "Barbara", "Basic", "Datastars", "X-Alpines", "X-Lives",
	} {
		if InScope(name) {
			t.Errorf("%s separates", name)
		}
	}
}
