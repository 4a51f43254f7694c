package key

import (
	"net/http"
	"testing"
)

func TestCanonical(t *testing.T) {
	for name, want := range map[string]string{
		"":                 "",
		"-":                "-",
		"X-Forwarded-Host": "X-Forwarded-Host",
		"x-forwarded-host": "X-Forwarded-Host",
		"X-FORWARDED-HOST": "X-Forwarded-Host",
		"X_Forwarded_Host": "X-Forwarded-Host",
		"X_forwarded_host": "X-Forwarded-Host", // as net/http spells it
		"X-Forwarded_host": "X-Forwarded-Host",
		"X.forwarded.host": "X-Forwarded-Host", // PHP makes an underscore of it
		"X!forwarded~host": "X-Forwarded-Host", // lighttpd does
		"Oidc_claim_sub":   "Oidc-Claim-Sub",
		"_x":               "-X",
		"X__y":             "X--Y",
		"X-B3-Traceid":     "X-B3-Traceid",
		"X-1a":             "X-1a",
		"\xc3\xa4":         "--",
	} {
		if got := Canonical(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"X-Forwarded-Host", "User-Agent", "X-B3-Traceid"} {
		if n := testing.AllocsPerRun(100, func() { Canonical(name) }); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"X_Forwarded_Host", "x-b3", "Sec-Ch-Ua", "_-_", "K\xc3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := Canonical(name)
		if len(got) != len(name) || Canonical(got) != got {
			t.Fatalf("%q: got %q, and of that %q", name, got, Canonical(got))
		}
		plain := true // letters, digits and dashes only: then net/http agrees
		for i := range len(name) {
			c := lower(name[i])
			plain = plain && (c == '-' || isDigit(c) || 'a' <= c && c <= 'z')
			if letter := 'a' <= c && c <= 'z' || isDigit(c); letter != (got[i] != '-') || letter && lower(got[i]) != c {
				t.Fatalf("%q: got %q, another letter at %d", name, got, i)
			}
		}
		if plain && got != http.CanonicalHeaderKey(name) {
			t.Fatalf("%q: got %q, net/http says %q", name, got, http.CanonicalHeaderKey(name))
		}
	})
}
