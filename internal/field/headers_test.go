package field

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCanonical(t *testing.T) {
	t.Run("canonical keys give the same map and no garbage", func(t *testing.T) {
		h := http.Header{"Cache-Control": {"no-store"}, "X-A": {"1"}, "Trailer:X-B": {"2"}}
		got := Canonical(h)
		got["X-Probe"] = nil
		require.Contains(t, h, "X-Probe")
		if allocs := testing.AllocsPerRun(100, func() { Canonical(h) }); allocs != 0 {
			t.Errorf("got %v allocations, want 0", allocs)
		}
	})
	t.Run("odd spellings are folded behind the canonical one in a fixed order", func(t *testing.T) {
		h := http.Header{
			"cache-control":  {"private"},
			"Cache-Control":  {"max-age=60"},
			"Cache-Control ": {"no-store"},
			"vary":           {"Accept", "Cookie"},
			"X-A":            {"1"},
		}
		got := Canonical(h)
		require.Equal(t, http.Header{
			"Cache-Control": {"max-age=60", "no-store", "private"},
			"Vary":          {"Accept", "Cookie"},
			"X-A":           {"1"},
		}, got)
		got["X-A"][0], got["Vary"][0] = "changed", "changed"
		require.Equal(t, "1", h["X-A"][0], "the input must stay untouched")
		require.Equal(t, "Accept", h["vary"][0], "the input must stay untouched")
		require.Len(t, h, 5)
	})
}

func TestRemoveHopByHop_RFC9111_3_1(t *testing.T) {
	h := http.Header{
		"Connection":                {"close, X-Private", "x-other"},
		"X-Private":                 {"1"},
		"X-Other":                   {"1"},
		"Keep-Alive":                {"timeout=5"},
		"Proxy-Connection":          {"close"},
		"Proxy-Authenticate":        {"Basic"},
		"Proxy-Authentication-Info": {"x"},
		"Proxy-Authorization":       {"x"},
		"Te":                        {"trailers"},
		"Trailer":                   {"X-T"},
		"Transfer-Encoding":         {"chunked"},
		"Upgrade":                   {"h2c"},
		http.TrailerPrefix + "X-T":  {"1"},
		"Content-Type":              {"text/html"},
		"Cache-Control":             {"max-age=1"},
	}
	RemoveHopByHop(h)
	require.Equal(t, http.Header{"Content-Type": {"text/html"}, "Cache-Control": {"max-age=1"}}, h)
	RemoveHopByHop(nil)
}

func TestOneLine(t *testing.T) {
	for value, want := range map[string]string{
		"": "", "text/html": "text/html", " a\tb\t": "a\tb", "a\r\nB: c": "a  B: c", "a\n": "a", "\r\n\r\n<p>": "<p>",
	} {
		if got := OneLine(value); got != want {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
}

func TestAddVary_RFC9110_12_5_5(t *testing.T) {
	for _, row := range []struct {
		name        string
		lines, want []string
	}{
		{"no line", nil, []string{"Accept"}},
		{"another field", []string{"Accept-Language"}, []string{"Accept-Language", "Accept"}},
		{"the field, in any case and among others", []string{"Origin, accept"}, []string{"Origin, accept"}},
		{"everything", []string{"Origin", "*"}, []string{"Origin", "*"}},
	} {
		shared := append(make([]string, 0, 8), row.lines...)
		require.Equal(t, row.want, AddVary(shared, "Accept"), row.name)
		if whole := shared[:cap(shared)]; whole[len(shared)] != "" {
			t.Errorf("%s: got %q written behind the lines", row.name, whole[len(shared)])
		}
	}
}
