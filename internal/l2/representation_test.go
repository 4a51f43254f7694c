package l2

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// Of representations that the handler chooses among without Vary each is kept, and the caller says which will do.
func TestRepresentation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tier := open(t, newShared())
		html, json := Representation{What: "text/html\n", For: "a"}, Representation{What: "application/json\n", For: "b"}
		require.True(t, tier.Put(home, page(t, "html"), nil, html, tier.Mark()))
		synctest.Wait()
		require.True(t, tier.Put(home, page(t, "json"), nil, json, tier.Mark()))
		synctest.Wait()
		for want, form := range map[string]Representation{"html": html, "json": json} {
			r := tier.Lookup(t.Context(), home, nil, nil, nil, func(f Representation) bool { return f == form })
			require.Equal(t, Found, r.Outcome)
			require.Equal(t, want, text(r.Object))
		}
		require.Equal(t, Mismatch, tier.Lookup(t.Context(), home, nil, nil, nil, func(Representation) bool { return false }).Outcome)
		html.For = "c" // the same, made for others: it takes the place of the first
		require.True(t, tier.Put(home, page(t, "again"), nil, html, tier.Mark()))
		synctest.Wait()
		require.Equal(t, Mismatch, tier.Lookup(t.Context(), home, nil, nil, nil, func(f Representation) bool { return f.For == "a" }).Outcome)
		require.Equal(t, "again", text(tier.Lookup(t.Context(), home, nil, nil, nil, func(f Representation) bool { return f == html }).Object))
	})
}
