package rules

import "testing"

// BenchmarkHit runs this package's steps of a hit.
func BenchmarkHit(b *testing.B) {
	o := usual
	o.IgnoreCookies = []string{"_ga", "_ga_*", "_gid", "_gat", "_gat_*", "_gcl_*", "__utm*", "_fbp", "_hj*", "_pk_*"}
	for _, row := range []struct {
		name, text string // added to what a browser sends
	}{
		{"browser", ""},
		{"ignored cookies", "Cookie: _ga=GA1.1.1.1; _gid=GA1.1.2.2; _fbp=3; theme_hint=1"},
		{"session", "Cookie: session=0123456789abcdef; _ga=GA1.1.1.1"},
		{"reload", "Cache-Control: max-age=0"},
	} {
		r := browser()
		for name, lines := range header(row.text) {
			r.Header[name] = lines
		}
		b.Run("request/"+row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if q := o.Request(r); q.Bypass != None {
					b.Fatal(q.Bypass)
				}
			}
		})
	}
	m, _ := o.Store(o.get(""), 200, header("Cache-Control: max-age=60\nETag: \"a\"\nLast-Modified: {-9}"), start, start)
	req := o.Request(browser())
	b.Run("reuse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if action, _ := m.Reuse(&o, &req, start); action != Serve {
				b.Fatal(action)
			}
		}
	})
	for _, text := range []string{`If-None-Match: "a"`, `If-None-Match: "x", W/"y", "a"`, "If-Modified-Since: {-9}"} {
		h := header(text)
		b.Run("condition/"+text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := m.Condition(h, 200, start); got != Unmodified {
					b.Fatal(got)
				}
			}
		})
	}
}
