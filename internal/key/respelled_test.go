package key

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFields(t *testing.T) {
	// A handler that reads header fields and one that reads CGI variables see different things in
	// these headers. So the variants differ, whichever of the two it is.
	t.Run("respelled fields in Vary (RFC 9111, 4.1)", func(t *testing.T) {
		headers := []http.Header{
			{},
			{"X-Custom": {"a"}},
			{"X-Custom": {""}},
			{"X_custom": {"a"}},
			{"X_custom": {""}},
			{"X_custom": {}},
			{"X_custom": {"a"}, "X-Custom": {"a"}},
			{"X_custom": {"b"}, "X-Custom": {"a"}},
			{"X_custom": {"a"}, "X-Custom": {"b"}},
			{"X_custom": {"a", "b"}},
			{"X_custom": {"a, b"}},
			{"X.custom": {"a"}},
			{"X.custom": {"a"}, "X_custom": {"b"}},
			{"X.custom": {"b"}, "X_custom": {"a"}},
			{"x-custom": {"a"}},
			{"X_custom": {strings.Repeat("a", 2*MaxVariant)}},
			{"X_custom": {strings.Repeat("a", 2*MaxVariant) + "b"}},
			{"Y_custom": {"a"}, "X_custom": {"c"}},
		}
		names, _, ok := VaryNames([]string{"Accept-Language, x-custom"})
		require.True(t, ok)
		variants, values := map[string]int{}, map[string]int{}
		for i, h := range headers {
			h["Other_field"] = []string{fmt.Sprint(i)} // not in Vary
			f := fieldsOf(h)
			variant, value := string(Variant(nil, names, h, &f)), string(Values(nil, names, h, &f))
			if other, found := variants[variant]; found {
				t.Errorf("%v and %v are one variant", headers[other], h)
			}
			if other, found := values[value]; found {
				t.Errorf("%v and %v have the same values", headers[other], h)
			}
			variants[variant], values[value] = i, i
			for range 8 { // maps have no order
				again := fieldsOf(h)
				require.Equal(t, variant, string(Variant(nil, names, h, &again)))
			}
		}
		underscored, _, _ := VaryNames([]string{"X_CUSTOM"})
		require.Equal(t, []string{"X-Custom"}, underscored, "Vary itself may be spelled so")
	})
	// At the limit, Note reports that a field cannot be told apart. The request must not be looked
	// up then.
	t.Run("the fields of one request are limited", func(t *testing.T) {
		for name, row := range map[string]struct {
			field  func(i int) string
			length int // of each value
			fits   int
		}{
			"in scope":                {func(i int) string { return fmt.Sprint("X-Forwarded-", i) }, 1, MaxFields},
			"in scope and respelled":  {func(i int) string { return fmt.Sprint("X_forwarded_", i) }, 1, MaxFields},
			"respelled":               {func(i int) string { return fmt.Sprint("X_other_", i) }, 1, MaxFields},
			"neither":                 {func(i int) string { return fmt.Sprint("X-Other-", i) }, 2 * MaxFieldsSize, 100},
			"in scope, and long":      {func(int) string { return "X-Forwarded-Host" }, MaxFieldsSize/4 - 17, 4},
			"in scope, and very long": {func(int) string { return "X-Forwarded-Host" }, MaxFieldsSize, 0},
		} {
			var f Fields
			for i := range row.fits {
				field := row.field(i)
				require.True(t, f.Note(field, Canonical(field), InScope(Canonical(field)), []string{strings.Repeat("v", row.length)}), "%s: %d", name, i)
			}
			field := row.field(row.fits)
			fits := f.Note(field, Canonical(field), InScope(Canonical(field)), []string{strings.Repeat("v", row.length)})
			require.Equal(t, name == "neither", fits, "%s: one more", name)
		}
	})
	t.Run("Remove deletes every spelling", func(t *testing.T) {
		h := http.Header{"If-None-Match": {"a"}, "If_none_match": {"a"}, "IF.NONE.match": {"a"}, "Range": {"a"}, "X_y": {"a"}}
		f := fieldsOf(h)
		require.True(t, f.Respelled())
		f.Remove(h, "If-None-Match", "Absent")
		require.Equal(t, http.Header{"Range": {"a"}, "X_y": {"a"}}, h)
		plain := fieldsOf(http.Header{"X-Forwarded-Host": {"a"}})
		require.False(t, plain.Respelled())
	})
}

// FuzzRespelled compares two headers with a field in two spellings. They must differ if a program
// that knows one of the spellings, or takes both for one, sees a difference.
func FuzzRespelled(f *testing.F) {
	f.Add("a", "b", "a", "")
	f.Add("", "X_f", "\x00r", "a")
	f.Add("1, 2", "x", "1,2", "x")
	f.Fuzz(func(t *testing.T, dashedA, respelledA, dashedB, respelledB string) {
		names := []string{"Accept", "X-F"}
		header := func(dashed, respelled string) http.Header {
			h := http.Header{}
			if dashed != "" {
				h["X-F"] = strings.Split(dashed, "\n")
			}
			if respelled != "" {
				h["X_f"] = strings.Split(respelled, "\n")
			}
			return h
		}
		a, b := header(dashedA, respelledA), header(dashedB, respelledB)
		fieldsA, fieldsB := fieldsOf(a), fieldsOf(b)
		same := string(Values(nil, names, a, &fieldsA)) == string(Values(nil, names, b, &fieldsB))
		if sameVariant := string(Variant(nil, names, a, &fieldsA)) == string(Variant(nil, names, b, &fieldsB)); same != sameVariant {
			t.Fatalf("%q and %q: the same values %v, the same variant %v", a, b, same, sameVariant)
		}
		plain := string(Values(nil, names, a, nil)) == string(Values(nil, names, b, nil)) // as if there were no other spelling
		if want := plain && slices.Equal(a["X_f"], b["X_f"]) && (respelledA == "") == (respelledB == ""); same != want {
			t.Fatalf("%q and %q: the same %v, want %v", a, b, same, want)
		}
	})
}
