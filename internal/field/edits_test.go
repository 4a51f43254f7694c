package field

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEdits(t *testing.T) {
	t.Run("Apply", func(t *testing.T) {
		edits := Edits{"Link": Added, "Via": Added, "Warning": Before, "X-Frame-Options": Removed, "Cache-Control": Overrode, "Content-Type": Left}
		own := http.Header{"Warning": {"1"}, "Link": {"</b>"}, "Via": {"1.1 b"}, "Cache-Control": {"max-age=1"}, "Server": {"s"}}
		for _, row := range []struct {
			name       string
			outer, got http.Header
		}{
			{"where nothing stands the fields are all", http.Header{}, http.Header{
				"Link": {"</b>"}, "Via": {"1.1 b"}, "Cache-Control": {"max-age=1"}, "Server": {"s"}, "Warning": {"1"},
			}},
			{"each edit does what it says", http.Header{
				"Link": {"</a>"}, "X-Frame-Options": {"DENY"}, "Cache-Control": {"no-store"}, "Content-Type": {"text/css"}, "Server": {"t"}, "Date": {"now"}, "Warning": {"2", "3"},
			}, http.Header{
				"Link": {"</a>", "</b>"}, "Via": {"1.1 b"}, "Cache-Control": {"max-age=1"}, "Content-Type": {"text/css"}, "Server": {"s"}, "Date": {"now"}, "Warning": {"1", "2", "3"},
			}},
		} {
			outer := row.outer.Clone()
			edits.Apply(outer, own)
			require.Equal(t, row.got, outer, row.name)
		}
		require.Equal(t, []string{"</b>"}, own["Link"])
		Edits{"Cache-Control": Overrode}.Apply(own, nil)
		require.NotContains(t, own, "Cache-Control", "taken off")
	})
	t.Run("Prune", func(t *testing.T) {
		edits := Edits{"Link": Added, "Via": Added, "Warning": Before, "X-Frame-Options": Removed, "Connection": Removed, "Keep-Alive": Removed, http.TrailerPrefix + "A": Removed}
		edits.Prune(http.Header{"Link": {"a"}})
		require.Equal(t, Edits{"Link": Added, "X-Frame-Options": Removed}, edits)
		Edits(nil).Prune(nil)
	})
	t.Run("Texts", func(t *testing.T) {
		edits := Edits{"X-B": Added, "x-b": Removed, "A": Overrode, "X": Left, "C": Before}
		texts := edits.Texts()
		require.Equal(t, []string{"!A", "<C", "=X", "+X-B", "-x-b"}, texts)
		parsed, ok := ParseEdits(texts)
		require.True(t, ok)
		require.Equal(t, edits, parsed)
		require.Nil(t, Edits{}.Texts())
		for _, bad := range [][]string{{""}, {"+"}, {"A"}, {"?A"}, {"+B", "+A"}, {"+A", "-A"}} {
			_, ok := ParseEdits(bad)
			require.False(t, ok, bad)
		}
	})
}

func FuzzParseEdits(f *testing.F) {
	f.Add("+A", "-B")
	f.Add("!Cache-Control", "=Content-Type")
	f.Add("", "+")
	f.Fuzz(func(t *testing.T, a, b string) {
		texts := []string{a, b}
		if edits, ok := ParseEdits(texts); ok && !slices.Equal(edits.Texts(), texts) {
			t.Errorf("%q became %q", texts, edits.Texts())
		}
	})
}

func TestUniteVary(t *testing.T) {
	for _, row := range []struct {
		name             string
		outer, own, want []string
	}{
		{"nothing", nil, nil, nil},
		{"one alone", []string{"A"}, nil, []string{"A"}},
		{"the other alone", nil, []string{"A"}, []string{"A"}},
		{"both", []string{"A"}, []string{"B"}, []string{"A", "B"}},
		{"names are compared without case, over all lines", []string{"a, B", "C"}, []string{"c", "b,A"}, []string{"c", "b,A"}},
		{"a line that says something new stays whole", []string{"A, B", "C"}, []string{"C, A"}, []string{"A, B", "C, A"}},
		{"a star stays", []string{"*"}, []string{"A"}, []string{"*", "A"}},
		{"a star does not stand for names", []string{"A"}, []string{"*"}, []string{"A", "*"}},
		{"an empty line says nothing", []string{" ,"}, []string{"A"}, []string{"A"}},
	} {
		if got := UniteVary(row.outer, row.own); !slices.Equal(got, row.want) {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestRestrictionsOf(t *testing.T) {
	for _, row := range []struct {
		name  string
		lines []string
		want  Restrictions
	}{
		{"nothing", nil, 0},
		{"lifetimes and permissions", []string{"public, max-age=0, must-revalidate"}, 0},
		{"each over all lines", []string{"No-Store", "private, NO-CACHE"}, RestrictsStoring | RestrictsSharing | RestrictsReuse},
		{"the qualified forms concern fields only (RFC 9111, 5.2.2.4 and 5.2.2.7)", []string{`private="set-cookie", no-cache="x"`}, 0},
		{"the unqualified form wins", []string{`private="set-cookie", private`}, RestrictsSharing},
	} {
		if got := RestrictionsOf(row.lines); got != row.want {
			t.Errorf("%s: got %d, want %d", row.name, got, row.want)
		}
	}
}
