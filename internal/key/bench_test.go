package key

import "testing"

const (
	browserFields = "GET /articles/2026/07/some-title?page=2 HTTP/1.1\nHost: www.example.com\nUser-Agent: Mozilla/5.0\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\nReferer: https://example.com/\n" +
		"Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: document\nSec-Fetch-Site: none\nUpgrade-Insecure-Requests: 1\nConnection: keep-alive"
	proxyFields = "\nX-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: www.example.com\nX-Forwarded-Port: 443"
)

// BenchmarkHit runs this package's steps of a hit.
func BenchmarkHit(b *testing.B) {
	run := func(name string, step func(dst []byte)) {
		b.Run(name, func(b *testing.B) {
			dst := make([]byte, 0, 512)
			b.ReportAllocs()
			for b.Loop() {
				step(dst)
			}
		})
	}
	for name, text := range map[string]string{"browser": browserFields, "proxied": browserFields + proxyFields} {
		r := read(b, false, text)
		run("key/"+name, func(dst []byte) { Of(dst, r) })
		f := fieldsOf(r.Header)
		run("scope/"+name, func(dst []byte) { Scope(dst, r, &f) })
	}
	h := read(b, false, browserFields).Header
	for name, vary := range map[string][]string{
		"nothing": nil, "Accept-Encoding": {"Accept-Encoding"}, "Accept-Language": {"Accept-Language"},
		"negotiated": {"Accept", "Accept-Encoding", "Accept-Language"}, "absent field": {"Origin"},
	} {
		run("variant/"+name, func(dst []byte) { Variant(dst, vary, h, nil) })
	}
}
