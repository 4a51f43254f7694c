package l2

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// Representations among which the handler chooses without Vary are all kept, and the caller says
// which will do.
func TestRepresentation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cache := open(t, newShared())
		html, json := Representation{What: "text/html\n", For: "a"}, Representation{What: "application/json\n", For: "b"}
		require.True(t, cache.Put(home, response(t, "html"), nil, html, cache.Mark()))
		synctest.Wait()
		require.True(t, cache.Put(home, response(t, "json"), nil, json, cache.Mark()))
		synctest.Wait()
		for want, form := range map[string]Representation{"html": html, "json": json} {
			r := cache.Lookup(t.Context(), home, nil, nil, nil, func(f Representation) bool { return f == form })
			require.Equal(t, Found, r.Outcome)
			require.Equal(t, want, text(r.Object))
		}
		require.Equal(t, Mismatch, cache.Lookup(t.Context(), home, nil, nil, nil, func(Representation) bool { return false }).Outcome)
		html.For = "c" // the same, made for others: it takes the place of the first
		require.True(t, cache.Put(home, response(t, "again"), nil, html, cache.Mark()))
		synctest.Wait()
		require.Equal(t, Mismatch, cache.Lookup(t.Context(), home, nil, nil, nil, func(f Representation) bool { return f.For == "a" }).Outcome)
		require.Equal(t, "again", text(cache.Lookup(t.Context(), home, nil, nil, nil, func(f Representation) bool { return f == html }).Object))
	})
}
