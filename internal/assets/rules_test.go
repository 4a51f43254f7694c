package assets_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/assets"
)

func TestRules(t *testing.T) {
	t.Run("each row holds", eachRowHolds)
}

// script is two kilobytes that compress well.
var script = strings.Repeat("export const answer = 42; // of course\n", 55)

func gzipped(t testing.TB, text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// site is a tree with one file for each rule.
func site(t testing.TB) fstest.MapFS {
	noise := make([]byte, 3000)
	random := rand.NewChaCha8([32]byte{})
	_, err := random.Read(noise)
	require.NoError(t, err)
	var br bytes.Buffer
	bw := brotli.NewWriter(&br)
	_, err = io.WriteString(bw, script+"1")
	require.NoError(t, err)
	require.NoError(t, bw.Close())
	zw, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	files := map[string]string{
		"css/app.css":           `@import "base.css"; a{background:url(../img/logo.png)} b{background:url(gone.png)}`,
		"css/base.css":          "b{color:red}",
		"img/logo.png":          "\x89PNG logo",
		"img/logo.svg":          "<svg>" + script + "</svg>",
		"js/app.js":             script,
		"js/app.js.map":         `{"version":3}`,
		"js/lib.mjs":            "export {}",
		"js/side.js":            script + "1",
		"js/side.js.br":         br.String(),
		"js/side.js.zst":        string(zw.EncodeAll([]byte(script+"1"), nil)),
		"js/side.js.gz":         string(gzipped(t, script+"1")),
		"js/bad.js":             script + "2",
		"js/bad.js.gz":          "no gzip at all",
		"js/other.js":           script + "3",
		"js/other.js.gz":        string(gzipped(t, script)),
		"jquery-3.7.1.min.js":   "jquery()",
		"x-0123456789abcdef.js": "literal()",
		"x.js":                  "x()",
		"fonts/a.woff2":         "wOF2",
		"doc.html":              "<!DOCTYPE html>",
		"sw.js":                 "self",
		"robots.txt":            "User-agent: *",
		"favicon.ico":           "icon",
		"site.webmanifest":      "{}",
		"data.xyz":              "<script>alert(1)</script>",
		"page":                  "<script>alert(1)</script>",
		"LICENSE":               "MIT",
		"notes.txt":             strings.Repeat("0123456789", 200),
		"noise.txt":             string(noise),
		"tiny.txt":              "tiny",
		"empty.txt":             "",
		"large.txt":             strings.Repeat("a", 4<<20+1),
		"archive.gz":            "gz",
		"name with space.txt":   "space",
		"ü.txt":                 "umlaut",
		"a+b&c'd.txt":           "odd",
		"dir/index.html":        "index",
		".env":                  "SECRET=1",
		".git/config":           "secret",
		"dir/.hidden/x.txt":     "secret",
		".well-known/x.txt":     "known",
		".well-known/.secret":   "secret",
		"index.html":            "<!DOCTYPE html><title>shell</title>",
		"img/icon.svgz":         string(gzipped(t, "<svg>"+script+"</svg>")),
		"img/icon.svgz.br":      "a coding of a coding",
		"card.vcf":              "BEGIN:VCARD",
		"feed.foo":              strings.Repeat("foo ", 400),
		"theme.pcss":            "a{b:url(img/logo.png)}",

		"apple-app-site-association":             "{}",
		".well-known/apple-app-site-association": "{}",
		"build/meta.json":                        `{"outputs":{}}`,
		".vite/manifest.json":                    `{"src/main.ts":{"file":"assets/main-BRBmoGS9.js","name":"main","src":"src/main.ts","isEntry":true,"css":["assets/main-5UjPuW-k.css"]},"src/page.html":{"file":"assets/page.html"},"src/plain.ts":{"file":"assets/plain.js","name":"plain","src":"src/plain.ts"}}`,
		"assets/main-BRBmoGS9.js":                "main()",
		"assets/main-5UjPuW-k.css":               "main{}",
		"assets/page.html":                       "page",
		"assets/plain.js":                        "plain()",
	}
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}

// staticRow is one request and its answer.
type staticRow struct {
	name    string
	request string // "GET target"; a target @name is the file's URL, {name} inside one is its hash
	fields  string // "Name: value | Name: value"
	want    string // "200 | Name: value | -Name | body: text"; -Name is absence, ~Name: text is a part of the value
}

// staticRows are the rules. A request with the method WARM is sent twice as a GET: the first one
// gets identity and has the variants made.
var staticRows = []struct {
	options edgecache.StaticOptions
	rows    []staticRow
}{
	{edgecache.StaticOptions{}, []staticRow{
		{"a hashed URL is cached for ever", "GET @js/app.js", "", "200 | Cache-Control: public, max-age=31536000, immutable"},
		{"a plain URL is asked for each time", "GET /static/js/app.js", "", `200 | Cache-Control: no-cache | Etag: "{js/app.js}"`},
		{"both have the same strong tag", "GET @js/app.js", "", `200 | Etag: "{js/app.js}"`},
		{"the bytes are those of the file", "GET @js/lib.mjs", "", "200 | body: export {}"},
		{"no answer has a date of change", "GET @js/app.js", "", "200 | -Last-Modified"},
		{"a file without an extension has the hash at its end", "GET @LICENSE", "", "200 | Cache-Control: public, max-age=31536000, immutable | body: MIT"},
		{"a name with dots keeps them", "GET @jquery-3.7.1.min.js", "", "200 | Cache-Control: public, max-age=31536000, immutable | body: jquery()"},
		{"a version in a name is no hash", "GET /static/jquery-3.7.1.min.js", "", "200 | Cache-Control: no-cache"},
		{"a name that looks hashed is not", "GET /static/x-0123456789abcdef.js", "", "200 | Cache-Control: no-cache | body: literal()"},
		{"and gets a hash of its own", "GET @x-0123456789abcdef.js", "", "200 | Cache-Control: public, max-age=31536000, immutable | body: literal()"},
		{"a name with a blank", "GET @name with space.txt", "", "200 | body: space"},
		{"a name beyond ASCII", "GET @ü.txt", "", "200 | body: umlaut"},
		{"a name with signs", "GET @a+b&c'd.txt", "", "200 | body: odd"},
		{"an empty file", "GET @empty.txt", "", "200 | Content-Length: 0 | body: "},
		{"a query changes nothing", "GET /static/x.js?v=1", "", "200 | body: x()"},

		{"sw.js is never cached for ever", "GET @sw.js", "", "200 | Cache-Control: no-cache"},
		{"nor is robots.txt", "GET @robots.txt", "", "200 | Cache-Control: no-cache"},
		{"nor is favicon.ico", "GET @favicon.ico", "", "200 | Cache-Control: no-cache"},
		{"nor is a web manifest", "GET @site.webmanifest", "", "200 | Cache-Control: no-cache"},
		{"nor is HTML", "GET @doc.html", "", "200 | Cache-Control: no-cache"},
		{"sw.js has no other URL", "GET /static/sw-{sw.js}.js", "", "404 | Cache-Control: no-store"},
		{"a source map goes by its script's hash, and is asked for each time", "GET /static/js/app-{js/app.js}.js.map", "", `200 | Cache-Control: no-cache | Content-Type: application/json | body: {"version":3}`},

		{"a stylesheet names hashed files", "GET @css/app.css", "", "200 | body: @import \"base-{css/base.css}.css\"; a{background:url(../img/logo-{img/logo.png}.png)} b{background:url(gone.png)}"},
		{"at its plain URL, too", "GET /static/css/app.css", "", "200 | Cache-Control: no-cache | body: @import \"base-{css/base.css}.css\"; a{background:url(../img/logo-{img/logo.png}.png)} b{background:url(gone.png)}"},

		{"an unknown hash of a stylesheet gets the latest, unstored", "GET /static/css/base-0000000000000000.css", "", "200 | Cache-Control: no-store | ~Cache-Status: detail=unknown-hash | X-Cache: BYPASS | body: b{color:red}"},
		{"of an image, too", "GET /static/img/logo-0000000000000000.png", "", "200 | Cache-Control: no-store | ~Cache-Status: detail=unknown-hash"},
		{"of a font, too", "GET /static/fonts/a-0000000000000000.woff2", "", "200 | Cache-Control: no-store | Access-Control-Allow-Origin: *"},
		{"of a script not", "GET /static/js/app-0000000000000000.js", "", "404 | Cache-Control: no-store | Vary: Accept-Encoding"},
		{"of a module not", "GET /static/js/lib-0000000000000000.mjs", "", "404 | Cache-Control: no-store"},
		{"of a text not", "GET /static/tiny-0000000000000000.txt", "", "404 | Cache-Control: no-store"},
		{"of a file that is not there not", "GET /static/none-0000000000000000.css", "", "404 | Cache-Control: no-store"},
		{"fifteen digits are no hash", "GET /static/css/base-000000000000000.css", "", "404 | Cache-Control: no-store"},
		{"capitals are no hash", "GET /static/css/base-000000000000000A.css", "", "404"},

		{"the first request is a miss", "GET @js/app.js", "", "200 | X-Cache: MISS | Cache-Status: edgecache; fwd=uri-miss"},
		{"a variant that was just made is a miss", "WARM @js/app.js", "Accept-Encoding: br", "200 | X-Cache: MISS | Content-Encoding: br"},
		{"what was sent before is a hit", "WARM @js/app.js", "", "200 | X-Cache: HIT | Cache-Status: edgecache; hit"},
		{"a confirmation is a hit", "GET @js/app.js", `If-None-Match: "{js/app.js}"`, "304 | X-Cache: HIT"},
	}},
	{edgecache.StaticOptions{}, []staticRow{ // RFC 9110, 12.5.3
		{"the first request gets identity", "GET @js/app.js", "Accept-Encoding: br, gzip", "200 | -Content-Encoding | Vary: Accept-Encoding"},
		{"brotli where it is wanted", "WARM @js/app.js", "Accept-Encoding: br", `200 | Content-Encoding: br | Etag: "{js/app.js}-br" | Vary: Accept-Encoding`},
		{"zstd where it is wanted", "WARM @js/app.js", "Accept-Encoding: zstd", `200 | Content-Encoding: zstd | Etag: "{js/app.js}-zstd"`},
		{"gzip where it is wanted", "WARM @js/app.js", "Accept-Encoding: gzip", `200 | Content-Encoding: gzip | Etag: "{js/app.js}-gzip"`},
		{"x-gzip is gzip", "WARM @js/app.js", "Accept-Encoding: x-gzip", "200 | Content-Encoding: gzip"},
		{"names are in any case", "WARM @js/app.js", "Accept-Encoding: GZIP", "200 | Content-Encoding: gzip"},
		{"gzip;q=0 is a refusal", "WARM @js/app.js", "Accept-Encoding: gzip;q=0", "200 | -Content-Encoding | Vary: Accept-Encoding"},
		{"gzip;q=0.000 is one, too", "WARM @js/app.js", "Accept-Encoding: gzip;q=0.000, *;q=0", "406 | Cache-Control: no-store | Vary: Accept-Encoding"},
		{"a higher weight wins over a smaller body", "WARM @js/app.js", "Accept-Encoding: gzip;q=1, br;q=0.5", "200 | Content-Encoding: gzip"},
		{"at equal weights the smallest wins", "WARM @js/app.js", "Accept-Encoding: gzip, br", "200 | Content-Encoding: br"},
		{"a star is every coding", "WARM @js/app.js", "Accept-Encoding: *", "200 | Content-Encoding: br"},
		{"a star but one", "WARM @js/app.js", "Accept-Encoding: *, br;q=0, zstd;q=0", "200 | Content-Encoding: gzip"},
		{"identity preferred", "WARM @js/app.js", "Accept-Encoding: identity, br;q=0.9", "200 | -Content-Encoding"},
		{"identity;q=0 gets a variant at once", "GET @js/app.js", "Accept-Encoding: gzip, identity;q=0", "200 | Content-Encoding: gzip"},
		{"identity;q=0 with nothing else is 406", "GET @js/app.js", "Accept-Encoding: identity;q=0", "406 | Cache-Control: no-store | -Etag"},
		{"identity;q=0 for what has no variant is 406", "GET @img/logo.png", "Accept-Encoding: gzip, identity;q=0", "406 | Cache-Control: no-store"},
		{"an empty field is identity", "WARM @js/app.js", "Accept-Encoding: ", "200 | -Content-Encoding"},
		{"no field is identity", "WARM @js/app.js", "", "200 | -Content-Encoding | Vary: Accept-Encoding"},
		{"an unknown coding is identity", "WARM @js/app.js", "Accept-Encoding: dcb", "200 | -Content-Encoding"},
		{"a broken weight does not count", "WARM @js/app.js", "Accept-Encoding: br;q=7, gzip", "200 | Content-Encoding: gzip"},
		{"two lines are one list", "WARM @js/app.js", "Accept-Encoding: gzip;q=0.1 | Accept-Encoding: br", "200 | Content-Encoding: br"},
		{"a refusal counts among doubles", "WARM @js/app.js", "Accept-Encoding: br, br;q=0, gzip;q=0.1", "200 | Content-Encoding: gzip"},
		{"SVG is compressed", "WARM @img/logo.svg", "Accept-Encoding: br", "200 | Content-Encoding: br | Content-Type: image/svg+xml"},
		{"PNG is not", "WARM @img/logo.png", "Accept-Encoding: br", "200 | -Content-Encoding | -Vary"},
		{"WOFF2 is not", "WARM @fonts/a.woff2", "Accept-Encoding: br", "200 | -Content-Encoding | -Vary"},
		{"less than a kilobyte is not", "WARM @tiny.txt", "Accept-Encoding: br", "200 | -Content-Encoding | -Vary"},
		{"more than four megabytes is not", "WARM @large.txt", "Accept-Encoding: gzip", "200 | -Content-Encoding | -Vary"},
		{"noise is not", "WARM @noise.txt", "Accept-Encoding: gzip, br, zstd", "200 | -Content-Encoding | Vary: Accept-Encoding"},

		{"a file beside wins from the first request", "GET @js/side.js", "Accept-Encoding: br", `200 | Content-Encoding: br | Etag: "{js/side.js}-br" | Content-Type: text/javascript; charset=utf-8`},
		{"zstd beside", "GET @js/side.js", "Accept-Encoding: zstd", "200 | Content-Encoding: zstd"},
		{"gzip beside", "GET @js/side.js", "Accept-Encoding: gzip", "200 | Content-Encoding: gzip"},
		{"files beside are hidden", "GET /static/js/side.js.br", "", "404 | Cache-Control: no-store"},
		{"all of them", "GET /static/js/side.js.zst", "", "404"},
		{"gzip, too", "GET /static/js/side.js.gz", "", "404"},
		{"a broken one is not sent", "GET @js/bad.js", "Accept-Encoding: gzip", "200 | -Content-Encoding | Vary: Accept-Encoding"},
		{"and is hidden all the same", "GET /static/js/bad.js.gz", "", "404"},
		{"one of another file is not sent", "GET @js/other.js", "Accept-Encoding: gzip", "200 | -Content-Encoding"},
		{"an archive of its own is served", "GET @archive.gz", "", "200 | Content-Type: application/gzip | -Content-Encoding | body: gz"},
	}},
	{edgecache.StaticOptions{}, []staticRow{ // RFC 9110, 13
		{"the same tag is not modified", "GET @js/app.js", `If-None-Match: "{js/app.js}"`, `304 | Etag: "{js/app.js}" | Vary: Accept-Encoding | Cache-Control: public, max-age=31536000, immutable | -Content-Type | body: `},
		{"a tag in a list", "GET @js/app.js", `If-None-Match: "a", "b,c", "{js/app.js}"`, "304"},
		{"a tag in a second line", "GET @js/app.js", `If-None-Match: "a" | If-None-Match: "{js/app.js}"`, "304"},
		{"a star", "GET @js/app.js", "If-None-Match: *", "304"},
		{"a weak form", "GET @js/app.js", `If-None-Match: W/"{js/app.js}"`, "304"},
		{"what a recoding CDN sends back", "GET @js/app.js", `If-None-Match: W/"{js/app.js}-gzip"`, `304 | Etag: "{js/app.js}-gzip"`},
		{"what an older Apache sends back", "GET @js/app.js", `If-None-Match: "{js/app.js};gzip"`, "304"},
		{"the tag of our own variant", "WARM @js/app.js", `Accept-Encoding: br | If-None-Match: "{js/app.js}-br"`, `304 | Etag: "{js/app.js}-br" | -Content-Encoding`},
		{"not for a client that could not decode it", "WARM @js/app.js", `If-None-Match: "{js/app.js}-br"`, `200 | Etag: "{js/app.js}" | -Content-Encoding`},
		{"nor for one that refuses it", "WARM @js/app.js", `Accept-Encoding: gzip, br;q=0 | If-None-Match: "{js/app.js}-br", "{js/app.js}-gzip"`, `304 | Etag: "{js/app.js}-gzip"`},
		{"the variant that would be sent comes first", "WARM @js/side.js", `Accept-Encoding: br, gzip;q=0.5 | If-None-Match: "{js/side.js}", "{js/side.js}-gzip", "{js/side.js}-br"`, `304 | Etag: "{js/side.js}-br"`},
		{"another suffix is another tag", "GET @js/app.js", `If-None-Match: "{js/app.js}-x"`, "200"},
		{"another tag", "GET @js/app.js", `If-None-Match: "0000000000000000"`, "200"},
		{"an unquoted tag is none", "GET @js/app.js", "If-None-Match: {js/app.js}", `200 | Etag: "{js/app.js}"`},
		{"a date does not matter", "GET @js/app.js", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", "200"},
		{"HEAD is not modified, too", "HEAD @js/app.js", `If-None-Match: "{js/app.js}"`, "304"},
		{"a 304 of a plain URL", "GET /static/tiny.txt", `If-None-Match: "{tiny.txt}"`, "304 | Cache-Control: no-cache"},
		{"If-Match with the tag", "GET @js/app.js", `If-Match: "{js/app.js}"`, "200"},
		{"If-Match with another", "GET @js/app.js", `If-Match: "x"`, "412 | Cache-Control: no-store"},
		{"If-Match weakly", "GET @js/app.js", `If-Match: W/"{js/app.js}"`, "412"},
		{"If-Match before If-None-Match", "GET @js/app.js", `If-Match: "x" | If-None-Match: *`, "412"},
	}},
	{edgecache.StaticOptions{}, []staticRow{ // RFC 9110, 14
		{"one range", "GET @notes.txt", "Range: bytes=3-5", `206 | Content-Range: bytes 3-5/2000 | Content-Length: 3 | Etag: "{notes.txt}" | body: 345`},
		{"the first byte", "GET @notes.txt", "Range: bytes=0-0", "206 | Content-Range: bytes 0-0/2000 | body: 0"},
		{"the last bytes", "GET @notes.txt", "Range: bytes=-5", "206 | Content-Range: bytes 1995-1999/2000 | body: 56789"},
		{"to the end", "GET @notes.txt", "Range: bytes=1998-", "206 | body: 89"},
		{"beyond the end is cut", "GET @notes.txt", "Range: bytes=1998-9999", "206 | Content-Range: bytes 1998-1999/2000 | body: 89"},
		{"a suffix longer than the file is the file", "GET @tiny.txt", "Range: bytes=-99", "206 | Content-Range: bytes 0-3/4 | body: tiny"},
		{"outside of the file", "GET @notes.txt", "Range: bytes=2000-", "416 | Content-Range: bytes */2000 | Cache-Control: no-store | -Etag"},
		{"no bytes at the end", "GET @notes.txt", "Range: bytes=-0", "416"},
		{"several ranges", "GET @notes.txt", "Range: bytes=0-1,4-5", "206 | ~Content-Type: multipart/byteranges; boundary= | -Content-Range | ~body: Content-Range: bytes 4-5/2000"},
		{"a range of nothing", "GET @empty.txt", "Range: bytes=0-0", "200 | Content-Length: 0"},
		{"another unit is ignored", "GET @notes.txt", "Range: lines=1-2", "200 | Content-Length: 2000"},
		{"what is no range is ignored", "GET @notes.txt", "Range: bytes=5-3", "200"},
		{"seventeen ranges are ignored", "GET @notes.txt", "Range: bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,32-32", "200"},
		{"HEAD has no ranges", "HEAD @notes.txt", "Range: bytes=0-1", "200 | Content-Length: 2000 | -Content-Range"},
		{"a range is of identity", "WARM @notes.txt", "Accept-Encoding: br | Range: bytes=0-1", "206 | -Content-Encoding | Vary: Accept-Encoding | body: 01"},
		{"unless identity is refused", "WARM @notes.txt", "Accept-Encoding: br, identity;q=0 | Range: bytes=0-1", "200 | Content-Encoding: br"},
		{"If-Range with the tag", "GET @notes.txt", `Range: bytes=0-1 | If-Range: "{notes.txt}"`, "206"},
		{"If-Range weakly", "GET @notes.txt", `Range: bytes=0-1 | If-Range: W/"{notes.txt}"`, "200"},
		{"If-Range with the tag of a variant", "GET @notes.txt", `Range: bytes=0-1 | If-Range: "{notes.txt}-br"`, "200"},
		{"If-Range with an old tag", "GET @notes.txt", `Range: bytes=0-1 | If-Range: "0000000000000000"`, "200"},
		{"If-Match with the tag, and a range", "GET @notes.txt", `Range: bytes=0-1 | If-Match: "{notes.txt}"`, "206"},
		{"If-Match with the tag of a variant, and a range of another", "GET @js/side.js", `Range: bytes=0-1 | If-Match: "{js/side.js}-br"`, "200"},
		{"If-Range with a date", "GET @notes.txt", "Range: bytes=0-1 | If-Range: Fri, 01 Jan 2100 00:00:00 GMT", "200"},
		{"a condition comes first", "GET @notes.txt", `Range: bytes=0-1 | If-None-Match: "{notes.txt}"`, "304"},
		{"ranges are offered", "GET @notes.txt", "", "200 | Accept-Ranges: bytes"},
		{"HEAD has the length", "HEAD @notes.txt", "", "200 | Content-Length: 2000 | body: "},
		{"HEAD of a variant has its coding", "WARMHEAD @js/side.js", "Accept-Encoding: br", "200 | Content-Encoding: br | body: "},
	}},
	{edgecache.StaticOptions{}, []staticRow{
		{"POST is not allowed", "POST @js/app.js", "", "405 | Allow: GET, HEAD | Cache-Control: no-store | X-Cache: DYNAMIC"},
		{"nor PUT", "PUT @js/app.js", "", "405"},
		{"nor DELETE", "DELETE @js/app.js", "", "405"},
		{"nor OPTIONS", "OPTIONS @js/app.js", "", "405"},
		{"nor get", "get @js/app.js", "", "405"},

		{"stylesheets have a charset", "GET @css/base.css", "", "200 | Content-Type: text/css; charset=utf-8 | X-Content-Type-Options: nosniff"},
		{"scripts have one", "GET @js/app.js", "", "200 | Content-Type: text/javascript; charset=utf-8 | X-Content-Type-Options: nosniff"},
		{"an unknown extension is bytes", "GET @data.xyz", "", "200 | Content-Type: application/octet-stream | X-Content-Type-Options: nosniff"},
		{"no extension is bytes", "GET @page", "", "200 | Content-Type: application/octet-stream | X-Content-Type-Options: nosniff"},
		{"a type of mime-db", "GET @card.vcf", "", "200 | Content-Type: text/x-vcard; charset=utf-8"},
		{"what telephones ask for without an extension", "GET /static/apple-app-site-association", "", "200 | Content-Type: application/json | Cache-Control: no-cache"},
		{"has no other URL", "GET @apple-app-site-association", "", "200 | Cache-Control: no-cache"},
		{"below .well-known, too", "GET /static/.well-known/apple-app-site-association", "", "200 | Content-Type: application/json | Cache-Control: no-cache"},
		{"a 404 is no page of the application", "GET /static/<script>", "", "404 | Content-Type: text/plain; charset=utf-8 | X-Content-Type-Options: nosniff | body: Not Found\n"},
		{"fonts are for all origins", "GET @fonts/a.woff2", "", "200 | Access-Control-Allow-Origin: *"},
		{"scripts are not", "GET @js/app.js", "", "200 | -Access-Control-Allow-Origin"},

		{"a dotfile is hidden", "GET /static/.env", "", "404 | Cache-Control: no-store"},
		{"so is what lies in a folder with a dot", "GET /static/.git/config", "", "404"},
		{"deep down, too", "GET /static/dir/.hidden/x.txt", "", "404"},
		{"a hash does not open it", "GET /static/.env-0000000000000000", "", "404"},
		{".well-known is not hidden", "GET /static/.well-known/x.txt", "", "200 | Cache-Control: no-cache | body: known"},
		{"but what is in it with a dot", "GET /static/.well-known/.secret", "", "404"},
		{"a folder is no file", "GET /static/dir", "", "404"},
		{"nor is one with a slash", "GET /static/dir/", "", "404"},
		{"the root has no list", "GET /static/", "", "404"},
		{"two dots", "GET /static/../static.go", "", "404"},
		{"two dots inside", "GET /static/css/../x.js", "", "404"},
		{"encoded dots", "GET /static/css/%2e%2e/x.js", "", "404"},
		{"an encoded slash", "GET /static/css%2fbase.css", "", "404"},
		{"an encoded slash in capitals", "GET /static/css%2Fbase.css", "", "404"},
		{"a doubly encoded slash", "GET /static/css%252fbase.css", "", "404"},
		{"an encoded backslash", "GET /static/css%5cbase.css", "", "404"},
		{"a backslash", `GET /static/css\base.css`, "", "404"},
		{"two slashes", "GET /static//x.js", "", "404"},
		{"NUL", "GET /static/x.js%00", "", "404"},
		{"NUL before an extension", "GET /static/x.js%00.png", "", "404"},
		{"a newline", "GET /static/x.js%0a", "", "404"},
		{"invalid UTF-8", "GET /static/%ff.js", "", "404"},
		{"a drive", "GET /static/C:/x.js", "", "404"},
		{"a stream", "GET /static/x.js::$DATA", "", "404"},
		{"a very long name", "GET /static/" + strings.Repeat("a", 5000), "", "404"},
		{"a dot behind", "GET /static/x.js/.", "", "404"},
		{"a slash behind", "GET /static/x.js/", "", "404"},
		{"other capitals", "GET /static/X.JS", "", "404"},

		{"what is outside is next's", "GET /other", "", "200 | body: next | -X-Content-Type-Options"},
		{"without the slash, too", "GET /static", "", "200 | body: next"},
		{"what only begins alike, too", "GET /staticx/x.js", "", "200 | body: next"},
		{"a POST outside is next's", "POST /other", "", "200 | body: next"},
		{"a page is next's", "GET /other", "Accept: text/html", "200 | body: next"},
	}},
	{edgecache.StaticOptions{}, []staticRow{ // RFC 9110, 8.4: what lies coded on disk
		{"a compressed picture is one", "GET @img/icon.svgz", "Accept-Encoding: gzip, br", `200 | Content-Type: image/svg+xml | Content-Encoding: gzip | Etag: "{img/icon.svgz}" | -Vary | Cache-Control: public, max-age=31536000, immutable`},
		{"at its plain URL, too", "GET /static/img/icon.svgz", "", "200 | Content-Encoding: gzip | Cache-Control: no-cache"},
		{"for a client that does not say what it decodes", "GET @img/icon.svgz", "", "200 | Content-Encoding: gzip | -Vary"},
		{"it is what it is for who refuses", "GET @img/icon.svgz", "Accept-Encoding: gzip;q=0", "200 | Content-Encoding: gzip"},
		{"and for who refuses identity", "GET @img/icon.svgz", "Accept-Encoding: identity;q=0, br", "200 | Content-Encoding: gzip"},
		{"it is not coded again", "WARM @img/icon.svgz", "Accept-Encoding: br", `200 | Content-Encoding: gzip | Etag: "{img/icon.svgz}"`},
		{"a file beside is not sent for it", "GET /static/img/icon.svgz.br", "", "404"},
		{"HEAD says the same", "HEAD @img/icon.svgz", "", "200 | Content-Encoding: gzip | body: "},
		{"a part of it is one of the coding", "GET @img/icon.svgz", "Range: bytes=0-1", "206 | Content-Encoding: gzip | ~Content-Range: bytes 0-1/ | body: \x1f\x8b"},
		{"for who refuses it, too", "GET @img/icon.svgz", "Range: bytes=0-1 | Accept-Encoding: identity", "206 | Content-Encoding: gzip | body: \x1f\x8b"},
		{"to go on with it", "GET @img/icon.svgz", `Range: bytes=0-1 | If-Range: "{img/icon.svgz}"`, "206 | Content-Encoding: gzip"},
		{"several parts are the whole", "GET @img/icon.svgz", "Range: bytes=0-1,4-5", "200 | Content-Encoding: gzip"},
		{"a range outside of it", "GET @img/icon.svgz", "Range: bytes=100000-", "416 | -Content-Encoding"},
		{"it is confirmed", "GET @img/icon.svgz", `If-None-Match: "{img/icon.svgz}"`, `304 | Etag: "{img/icon.svgz}" | -Content-Encoding`},
	}},
	{edgecache.StaticOptions{Types: map[string]string{".foo": "text/x-foo", ".TXT": "text/plain; charset=iso-8859-1", ".svgz": "application/gzip", ".pcss": "text/css", ".xhtml": "application/xhtml+xml", ".html": "text/plain"}}, []staticRow{
		{"a type of the user's", "GET @feed.foo", "", "200 | Content-Type: text/x-foo; charset=utf-8"},
		{"decides what is compressed", "WARM @feed.foo", "Accept-Encoding: gzip", "200 | Content-Encoding: gzip"},
		{"wins over the table", "GET @tiny.txt", "", "200 | Content-Type: text/plain; charset=iso-8859-1"},
		{"says what the file is used as", "GET @theme.pcss", "", "200 | Content-Type: text/css; charset=utf-8 | body: a{b:url(img/logo-{img/logo.png}.png)}"},
		{"an archive is not coded", "GET @img/icon.svgz", "", "200 | Content-Type: application/gzip | -Content-Encoding"},
		{"what is no page any more is cached for ever", "GET @doc.html", "", "200 | Content-Type: text/plain; charset=utf-8 | Cache-Control: public, max-age=31536000, immutable"},
	}},
	{edgecache.StaticOptions{CDNHost: "cdn.example.com"}, []staticRow{
		{"behind a CDN everything is for all origins", "GET @js/app.js", "", "200 | Access-Control-Allow-Origin: *"},
		{"a 304, too", "GET @js/app.js", "If-None-Match: *", "304 | Access-Control-Allow-Origin: *"},
		{"a 404, too", "GET /static/none.js", "", "404 | Access-Control-Allow-Origin: *"},
	}},
	{edgecache.StaticOptions{MaxAge: 60e9}, []staticRow{
		{"plain URLs may be cached for a while", "GET /static/js/app.js", "", "200 | Cache-Control: public, max-age=60"},
		{"a hashed one for ever", "GET @js/app.js", "", "200 | Cache-Control: public, max-age=31536000, immutable"},
		{"but not sw.js", "GET @sw.js", "", "200 | Cache-Control: no-cache"},
		{"nor HTML", "GET @doc.html", "", "200 | Cache-Control: no-cache"},
		{"favicon.ico may", "GET @favicon.ico", "", "200 | Cache-Control: public, max-age=60"},
	}},
	{edgecache.StaticOptions{SPA: "index.html"}, []staticRow{
		{"a page that is not there is the shell", "GET /users/1", "Accept: text/html", "200 | Cache-Control: no-cache | Content-Type: text/html; charset=utf-8 | body: <!DOCTYPE html><title>shell</title>"},
		{"as a browser asks for it", "GET /users/1", "Accept: text/html,application/xhtml+xml,*/*;q=0.8", "200 | Vary: Accept | body: <!DOCTYPE html><title>shell</title>"},
		{"a page of next's is not", "GET /known", "Accept: text/html", "200 | body: next"},
		{"so is it for */*", "GET /users/1", "Accept: */*", "200 | Vary: Accept | body: <!DOCTYPE html><title>shell</title>"},
		{"and for text/*", "GET /users/1", "Accept: application/json, text/*;q=0.1", "200"},
		{"for who says nothing, and for the first page", "GET /", "", "200 | Vary: Accept | body: <!DOCTYPE html><title>shell</title>"},
		{"for an empty field", "GET /", "Accept: ", "200"},
		{"not for who wants something else", "GET /users/1", "Accept: application/json", "404 | Vary: Accept | body: gone"},
		{"nor a picture", "GET /users/1", "Accept: image/avif,image/webp,image/*,*/*;q=0.8", "404 | Vary: Accept"},
		{"nor data, before all else", "GET /users/1", "Accept: application/json, text/plain, */*", "404 | Vary: Accept"},
		{"a refused wildcard", "GET /users/1", "Accept: */*;q=0", "404"},
		{"a wildcard in two lines", "GET /users/1", "Accept: */*;q=0.1 | Accept: */*", "200"},
		{"and who refuses HTML", "GET /users/1", "Accept: text/html;q=0, */*", "404"},
		{"or all text", "GET /users/1", "Accept: text/*;q=0, */*", "404"},
		{"the more specific member counts", "GET /users/1", "Accept: text/html, */*;q=0", "200"},
		{"HEAD is as GET", "HEAD /users/1", "Accept: text/html", `200 | Vary: Accept | Etag: "{index.html}" | Content-Length: 35 | body: `},
		{"HEAD of a file is, too", "HEAD /users.js", "", "404"},
		{"a name with a dot is a page", "GET /users/john.doe", "Accept: text/html", "200 | body: <!DOCTYPE html><title>shell</title>"},
		{"a mailbox, too", "GET /users/jane@example.com", "Accept: text/html", "200"},
		{"a host, too", "GET /sites/example.org", "", "200"},
		{"a version, too", "GET /docs/v1.123", "Accept: text/html", "200"},
		{"a dot at the end, too", "GET /users/jr.", "Accept: text/html", "200"},
		{"a query with a dot, too", "GET /search?q=a.js", "Accept: text/html", "200"},
		{"a missing script is none", "GET /assets/missing.js", "Accept: text/html", "404 | -Vary | body: gone"},
		{"nor is what has a type", "GET /assets/missing.vcf", "Accept: */*", "404 | body: gone"},
		{"in capitals, too", "GET /assets/MISSING.PNG", "", "404 | body: gone"},
		{"nor is what has the extension of a file", "GET /assets/missing.xyz", "Accept: text/html", "404 | body: gone"},
		{"nor is what hides", "GET /.env", "Accept: text/html", "404 | body: gone"},
		{"nor what lies in what hides", "GET /.git/config", "Accept: text/html", "404 | body: gone"},
		{"nor what others have laid down", "GET /.well-known/change-password", "Accept: text/html", "404 | body: gone"},
		{"nor what telephones ask for", "GET /apple-app-site-association", "", "404 | body: gone"},
		{"POST gets none", "POST /users/1", "Accept: text/html", "404"},
		{"a file gets none", "GET /users.js", "Accept: text/html", "404 | body: gone"},
		{"an encoded slash changes nothing", "GET /users%2f1", "Accept: text/html", "200"},
		{"below the prefix there is none", "GET /static/users", "Accept: text/html", "404 | Cache-Control: no-store"},
		{"the shell has a tag", "GET /users/1", `Accept: text/html | If-None-Match: "{index.html}"`, "304"},
		{"fields of next's 404 do not stay", "GET /users/1", "Accept: text/html", "200 | -X-Next"},
	}},
	{edgecache.StaticOptions{Prefix: "/", SPA: "index.html"}, []staticRow{
		{"at the root files are served", "GET /js/lib.mjs", "", "200 | body: export {}"},
		{"hashed ones, too", "GET @js/lib.mjs", "", "200 | Cache-Control: public, max-age=31536000, immutable"},
		{"what is no file is next's", "GET /known", "", "200 | body: next"},
		{"a page that is not there is the shell", "GET /users/1", "Accept: text/html", "200 | body: <!DOCTYPE html><title>shell</title>"},
		{"a hidden file is none", "GET /.env", "", "404 | body: gone"},
		{"nor does it become the shell", "GET /.env", "Accept: text/html", "404 | body: gone"},
		{"the root is the shell for every client", "GET /", "", "200 | body: <!DOCTYPE html><title>shell</title>"},
		{"a missing script is next's", "GET /js/missing.js", "Accept: text/html", "404 | body: gone"},
		{"a name with a dot is a page", "GET /users/john.doe", "", "200 | body: <!DOCTYPE html><title>shell</title>"},
	}},
	{edgecache.StaticOptions{SPA: "index.html", SPAExcept: []string{"/api/", "/healthz", "POST /users/", "admin.example/"}, Types: map[string]string{".doe": "text/plain"}}, []staticRow{
		{"what the application has for itself is no page", "GET /api/users", "Accept: text/html", "404 | -Vary | body: gone"},
		{"nor for HEAD", "HEAD /api/users", "Accept: text/html", "404 | -Vary"},
		{"nor without the slash", "GET /api", "Accept: text/html", "404 | body: gone"},
		{"nor exactly", "GET /healthz", "", "404 | body: gone"},
		{"what only begins alike is one", "GET /healthzz", "", "200"},
		{"as is what is one for another method", "GET /users/1", "", "200"},
		{"an extension of the user's is no page", "GET /users/john.doe", "", "404"},
	}},
	{edgecache.StaticOptions{Dev: true, SPA: "index.html", SPAExcept: []string{"/api/"}}, []staticRow{
		{"in development a page is the shell", "GET /users/john.doe", "", "200 | body: <!DOCTYPE html><title>shell</title>"},
		{"HEAD, too", "HEAD /users/1", "Accept: */*", "200 | Content-Length: 35"},
		{"and a missing script is none", "GET /users.js", "", "404"},
		{"nor what is excepted", "GET /api/1", "", "404"},
	}},
	{edgecache.StaticOptions{ViteManifest: ".vite/manifest.json"}, []staticRow{
		{"an output of Vite is cached for ever", "GET /static/assets/main-BRBmoGS9.js", "", "200 | Cache-Control: public, max-age=31536000, immutable"},
		{"and is not hashed again", "GET @assets/main-BRBmoGS9.js", "", "200 | body: main()"},
		{"its stylesheet, too", "GET @assets/main-5UjPuW-k.css", "", "200 | Cache-Control: public, max-age=31536000, immutable"},
		{"HTML is not, whatever Vite says", "GET @assets/page.html", "", "200 | Cache-Control: no-cache"},
		{"what has its source's name has no hash", "GET /static/assets/plain.js", "", "200 | Cache-Control: no-cache"},
		{"and gets one", "GET @assets/plain.js", "", "200 | Cache-Control: public, max-age=31536000, immutable"},
		{"what Vite does not name is ours", "GET /static/js/app.js", "", "200 | Cache-Control: no-cache"},
		{"the manifest is hidden", "GET /static/.vite/manifest.json", "", "404"},
	}},
	{edgecache.StaticOptions{Dev: true}, []staticRow{
		{"in development a file is asked for each time", "GET @js/app.js", "", "200 | Cache-Control: no-cache"},
		{"its URL is the plain one", "GET /static/js/app.js", "", "200 | X-Cache: MISS"},
		{"nothing is compressed", "WARM @js/app.js", "Accept-Encoding: br", "200 | -Content-Encoding"},
		{"nothing is rewritten", "GET @css/app.css", "", "200 | ~body: url(../img/logo.png)"},
		{"a hash of before is ignored", "GET /static/js/lib-0000000000000000.mjs", "", "200 | Cache-Control: no-cache | body: export {}"},
		{"what is hidden stays hidden", "GET /static/.env", "", "404"},
		{"files beside, too", "GET /static/js/side.js.br", "", "404"},
		{"folders, too", "GET /static/dir", "", "404"},
		{"and what is above", "GET /static/../static.go", "", "404"},
		{"what lies coded on disk says so", "GET @img/icon.svgz", "", "200 | Content-Encoding: gzip | Content-Type: image/svg+xml"},
		{"conditions hold", "GET @js/app.js", "If-None-Match: *", "304"},
		{"ranges, too", "GET @notes.txt", "Range: bytes=1-2", "206 | body: 12"},
	}},
}

func eachRowHolds(t *testing.T) {
	tree := site(t)
	rows := 0
	for _, group := range staticRows {
		for _, row := range group.rows {
			rows++
			options := group.options
			options.Logger = slog.New(slog.DiscardHandler)
			a, err := edgecache.Static(tree, options)
			require.NoError(t, err)
			server := httptest.NewServer(a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Next", "1")
				if options.SPA != "" && r.URL.Path != "/known" {
					w.WriteHeader(http.StatusNotFound)
					io.WriteString(w, "gone")
					return
				}
				io.WriteString(w, "next")
			})))
			for _, problem := range row.play(t, a, server.Listener.Addr().String()) {
				t.Errorf("%s: %s", row.name, problem)
			}
			server.Close()
			require.NoError(t, a.Close())
		}
	}
	if rows < 120 {
		t.Errorf("got %d rows, want at least 120", rows)
	}
}

var hashOfName = regexp.MustCompile(`\{([^{}:"]+)\}`)

// play sends the row's request as it is written and returns what is wrong with the answer.
func (row staticRow) play(t *testing.T, a *edgecache.Assets, address string) (problems []string) {
	hashes := map[string]string{}
	fill := func(s string) string {
		return hashOfName.ReplaceAllStringFunc(s, func(m string) string {
			name := m[1 : len(m)-1]
			if hashes[name] == "" {
				hashes[name] = hashFor(t, a, name)
			}
			return hashes[name]
		})
	}
	method, target, _ := strings.Cut(row.request, " ")
	if name, ok := strings.CutPrefix(target, "@"); ok {
		target = strings.TrimPrefix(a.URL(name), "https://cdn.example.com")
	}
	target = fill(target)
	var fields []string
	if row.fields != "" {
		fields = strings.Split(fill(row.fields), " | ")
	}
	if warm, ok := strings.CutPrefix(method, "WARM"); ok {
		method = "GET"
		send(t, address, method, target, fields)
		assets.Of(a).Settle()
		if warm != "" {
			method = warm
		}
	}
	got := send(t, address, method, target, fields)
	for i, want := range strings.Split(fill(row.want), " | ") {
		if i == 0 {
			if fmt.Sprint(got.code) != want {
				problems = append(problems, fmt.Sprintf("got status %d, want %s", got.code, want))
			}
			continue
		}
		name, value, _ := strings.Cut(want, ": ")
		part, name := strings.HasPrefix(name, "~"), strings.TrimPrefix(name, "~")
		if absent, ok := strings.CutPrefix(name, "-"); ok {
			if v := got.header[absent]; v != nil {
				problems = append(problems, fmt.Sprintf("got %s %q, want none", absent, v))
			}
			continue
		}
		have := strings.Join(got.header[name], ", ")
		if name == "body" {
			have = got.body
		}
		if have != value && !(part && strings.Contains(have, value)) {
			problems = append(problems, fmt.Sprintf("got %s %q, want %q", name, have, value))
		}
	}
	return problems
}

type staticAnswer struct {
	code   int
	header http.Header
	body   string
}

// send writes a request by hand: a client would tidy it up.
func send(t *testing.T, address, method, target string, fields []string) staticAnswer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n", method, target)
	require.NoError(t, err)
	for _, field := range fields {
		_, err = fmt.Fprintf(conn, "%s\r\n", field)
		require.NoError(t, err)
	}
	_, err = io.WriteString(conn, "\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(t, err, "%s %s", method, target)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err, "%s %s", method, target)
	return staticAnswer{response.StatusCode, response.Header, string(body)}
}

// hashFor is what stands in the entity tag of a file.
func hashFor(t *testing.T, a *edgecache.Assets, name string) string {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequest("HEAD", strings.TrimPrefix(a.URL(name), "https://cdn.example.com"), nil))
	require.Equal(t, 200, w.Code, name)
	return strings.Trim(w.Header().Get("Etag"), `"`)
}
