package assets

import (
	"mime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTypes(t *testing.T) {
	own := Types{".foo": "application/x-foo", ".js": "text/x-own"}
	for _, row := range []struct{ name, file, want string }{
		{"a contact", "a.vcf", "text/x-vcard; charset=utf-8"},
		{"a pass", "a.pkpass", "application/vnd.apple.pkpass"},
		{"a scene", "a.usdz", "model/vnd.usdz+zip"},
		{"an application", "a.apk", "application/vnd.android.package-archive"},
		{"a presentation of streams", "a.mpd", "application/dash+xml"},
		{"a stylesheet of XML", "a.xsl", "application/xml"},
		{"YAML", "a.yaml", "text/yaml; charset=utf-8"},
		{"a program", "a.wasm", "application/wasm"},
		{"AVIF", "a.avif", "image/avif"},
		{"a web manifest", "a.webmanifest", "application/manifest+json"},
		{"a module", "a.mjs", "text/javascript; charset=utf-8"},
		{"a source map", "a.js.map", "application/json"},
		{"ours before that of the table", "a.flac", "audio/flac"},
		{"ours beside the table", "a.zst", "application/zstd"},
		{"capitals do not count", "A.PNG", "image/png"},
		{"the last extension counts", "a.tar.gz", "application/gzip"},
		{"the first of the table", "a.123", "application/vnd.lotus-1-2-3"},
		{"the last of the table", "a.zmm", "application/vnd.handheld-entertainment+xml"},
		{"none", "a.doe", "application/octet-stream"},
		{"before all of the table", "a.0", "application/octet-stream"},
		{"after all of it", "a.zzzz", "application/octet-stream"},
		{"part of one", "a.pn", "application/octet-stream"},
		{"a line is not an extension", "a.png image/png", "application/octet-stream"},
		{"the notice is not of the table", "a.#", "application/octet-stream"},
		{"without an extension", "png", "application/octet-stream"},
		{"a dot at the end", "a.", "application/octet-stream"},
		{"a name that is laid down", "apple-app-site-association", "application/json"},
		{"not in another folder", "sub/apple-app-site-association", "application/octet-stream"},
		{"but where RFC 8615 has it", ".well-known/matrix/server", "application/json"},
		{"the user's", "a.foo", "application/x-foo"},
		{"the user's in capitals", "a.FOO", "application/x-foo"},
		{"the user's before ours", "a.js", "text/x-own; charset=utf-8"},
	} {
		if got := own.of(row.file).name; got != row.want {
			t.Errorf("%s: %s: got %s, want %s", row.name, row.file, got, row.want)
		}
	}
}

// TestTypesTable holds that every extension of the table is found, that its types can stand in
// Content-Type, and that the table is what its script writes: sorted, in lower case, each extension
// once.
func TestTypesTable(t *testing.T) {
	notice, table, _ := strings.Cut(typesText, "\n\n")
	require.Contains(t, notice, "MIT License")
	before, n := "", 0
	for line := range strings.Lines(table) {
		n++
		ext, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if name, _, err := mime.ParseMediaType(value); !ok || err != nil || name != value || strings.Count(name, "/") != 1 {
			t.Errorf("%q: %q is no media type", ext, value)
		}
		if ext <= before || ext != strings.ToLower(ext) || strings.Contains(ext, ".") {
			t.Errorf("%q stands behind %q", ext, before)
		}
		if got := tableType(ext); got != value {
			t.Errorf("%q: got %q, want %q", ext, got, value)
		}
		before = ext
	}
	require.Greater(t, n, 1000)
}

// TestTypesOfUse holds what a type means for the links and the lifetime of its files.
func TestTypesOfUse(t *testing.T) {
	for file, want := range map[string]class{
		"a.html": page, "a.htm": page, "a.shtml": page, "a.xht": page, "a.css": style, "a.js": script, "a.mjs": script, "a.cjs": script, "a.png": image,
		"a.svg": image, "a.svgz": image, "a.psd": image, "a.woff2": font, "a.eot": font, "a.ttc": font, "a.json": other, "a.mp4": other, "a": other,
	} {
		if got := (Types{}).of(file).class; got != want {
			t.Errorf("%s: got %d, want %d", file, got, want)
		}
	}
}

func BenchmarkTypes(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = Types(nil).of("a.wasm")
	}
}
