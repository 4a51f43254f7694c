package coding

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/field"
)

func TestAccepted(t *testing.T) {
	// RFC 9110, 12.5.3
	t.Run("Accept-Encoding (RFC 9110, 12.5.3)", func(t *testing.T) {
		for _, row := range []struct {
			name  string
			lines []string
			want  Weights // identity, br, zstd, gzip
		}{
			{"without the field only identity is safe", nil, Weights{1000, 0, 0, 0}},
			{"an empty field wants no coding", []string{""}, Weights{1, 0, 0, 0}},
			{"a browser likes all alike, and any of them more than identity", []string{"gzip, deflate, br, zstd"}, Weights{1, 1000, 1000, 1000}},
			{"weights are read", []string{"br;q=0.5, gzip;q=0.75, identity;q=0.25"}, Weights{250, 500, 0, 750}},
			{"a star stands for all that is not named, identity among them", []string{"br;q=0.5, *;q=0.1"}, Weights{100, 500, 100, 100}},
			{"a star can exclude identity", []string{"gzip, *;q=0"}, Weights{0, 0, 0, 1000}},
			{"identity can be excluded by name", []string{"identity;q=0"}, Weights{0, 0, 0, 0}},
			{"lines are one list", []string{"br", "gzip;q=0.5"}, Weights{1, 1000, 0, 500}},
			{"x-gzip is gzip", []string{"x-gzip"}, Weights{1, 0, 0, 1000}},
			{"names have no case", []string{"BR"}, Weights{1, 1000, 0, 0}},
			{"of two weights the first counts", []string{"br;q=0.5, br"}, Weights{1, 500, 0, 0}},
			{"a refusal counts wherever it stands", []string{"br, br;q=0"}, Weights{1, 0, 0, 0}},
			{"a malformed weight says nothing", []string{"br;q=x, gzip"}, Weights{1, 0, 0, 1000}},
			{"what is unknown does not matter", []string{"dcb, dcz, compress"}, Weights{1, 0, 0, 0}},
		} {
			if got := Accepted(row.lines); got != row.want {
				t.Errorf("%s: got %v, want %v", row.name, got, row.want)
			}
		}
	})
	t.Run("allocations", func(t *testing.T) {
		lines := []string{"gzip, deflate, br;q=0.9, zstd"}
		if n := testing.AllocsPerRun(100, func() { _ = Accepted(lines) }); n != 0 {
			t.Errorf("got %v allocations, want 0", n)
		}
	})
}

func TestTag(t *testing.T) {
	// RFC 9110, 8.8.3.3
	t.Run("each coding has its own (RFC 9110, 8.8.3.3)", func(t *testing.T) {
		for _, row := range []struct {
			name  string
			tag   field.ETag
			coded [Count]string
		}{
			{"a strong tag", field.ETag{Opaque: `"x"`}, [Count]string{`"x"`, `"x-br"`, `"x-zstd"`, `"x-gzip"`}},
			{"a weak tag stays weak", field.ETag{Opaque: `"x"`, Weak: true}, [Count]string{`W/"x"`, `W/"x-br"`, `W/"x-zstd"`, `W/"x-gzip"`}},
			{"an empty tag", field.ETag{Opaque: `""`}, [Count]string{`""`, `"-br"`, `"-zstd"`, `"-gzip"`}},
		} {
			for c := range Count {
				coded := Tag(row.tag, c)
				if coded.String() != row.coded[c] {
					t.Errorf("%s in %s: got %s, want %s", row.name, c, coded, row.coded[c])
				}
				coded.Weak = !coded.Weak // who asks may have made it weak
				if got, ok := Of(coded, row.tag); !ok || got != c {
					t.Errorf("%s: got %v, %v for %s, want %v", row.name, got, ok, coded, c)
				}
				if got := Plain(Tag(row.tag, c)); got != row.tag {
					t.Errorf("%s: got %s from %s, want %s", row.name, got, coded, row.tag)
				}
			}
		}
		if got := Tag(field.ETag{}, Brotli); got != (field.ETag{}) {
			t.Errorf("no tag: got %v, want none", got)
		}
		for _, row := range []struct{ name, tag, page string }{
			{"another page", `"y-br"`, `"x"`},
			{"a longer tag", `"x2-br"`, `"x"`},
			{"a coding that is not made here", `"x-deflate"`, `"x"`},
			{"twice", `"x-br-br"`, `"x"`},
			{"the page's is longer", `"x"`, `"x-br"`},
			{"a page without a tag", `"-br"`, ``},
			{"no tag", ``, `"x"`},
		} {
			if got, ok := Of(field.ETag{Opaque: row.tag}, field.ETag{Opaque: row.page}); ok {
				t.Errorf("%s: got %s for %s of %s, want none", row.name, got, row.tag, row.page)
			}
		}
	})
}

func TestAddVary(t *testing.T) {
	// RFC 9110, 12.5.5
	t.Run("Accept-Encoding, once (RFC 9110, 12.5.5)", func(t *testing.T) {
		for _, row := range []struct {
			name         string
			before, want []string
		}{
			{"alone", nil, []string{"Accept-Encoding"}},
			{"beside others", []string{"Accept, Origin"}, []string{"Accept, Origin", "Accept-Encoding"}},
			{"not twice", []string{"Origin", "x, accept-encoding"}, []string{"Origin", "x, accept-encoding"}},
			{"not beside everything", []string{"*"}, []string{"*"}},
		} {
			shared := append(make([]string, 0, 8), row.before...)
			require.Equal(t, row.want, AddVary(shared), row.name)
			require.Empty(t, strings.Join(shared[len(shared):cap(shared)], ""), "%s: written into the list of the caller", row.name)
		}
	})
}

func TestCompressible(t *testing.T) {
	for _, yes := range []string{
		"text/html; charset=utf-8", "TEXT/HTML", " text/plain ;x=y", "text/css", "application/json", "application/problem+json", "image/svg+xml",
		"application/atom+xml; charset=utf-8", "application/wasm", "font/ttf", "font/otf", "image/x-icon", "image/bmp", "model/gltf-binary",
		"application/vnd.ms-fontobject", "application/vnd.apple.mpegurl",
	} {
		if !Compressible(yes) {
			t.Errorf("%q: got false, want true", yes)
		}
	}
	for _, no := range []string{
		"", "image/png", "image/jpeg", "font/woff2", "font/woff", "video/mp4", "application/pdf", "application/zip", "application/gzip",
		"application/octet-stream", "text/event-stream", "Text/Event-Stream; charset=utf-8", "multipart/byteranges; boundary=x", "+json/x",
	} {
		if Compressible(no) {
			t.Errorf("%q: got true, want false", no)
		}
	}
}

func TestEncode(t *testing.T) {
	t.Run("decodes to the same bytes", func(t *testing.T) {
		data := []byte(strings.Repeat("a page that says the same again and again. ", 200))
		for c := Brotli; c < Count; c++ {
			for _, best := range []bool{false, true} {
				packed, err := Encode(c, bytes.NewReader(data), best)
				require.NoError(t, err)
				require.True(t, Worthwhile(int64(len(packed)), int64(len(data))), c)
				require.LessOrEqual(t, cap(packed), len(packed)+len(packed)/4+64, "%s: spare capacity", c)
				require.NoError(t, Prove(c, bytes.NewReader(packed), int64(len(data)), sha256.Sum256(data)))
				require.Error(t, Prove(c, bytes.NewReader(packed), int64(len(data)), sha256.Sum256(data[1:])))
				require.Error(t, Prove(c, bytes.NewReader(packed), int64(len(data))-1, sha256.Sum256(data[:len(data)-1])))
				require.Error(t, Prove(c, bytes.NewReader(packed[:len(packed)/2]), int64(len(data)), sha256.Sum256(data)))
			}
		}
	})
	t.Run("returns the error of its source", func(t *testing.T) {
		for c := Brotli; c < Count; c++ {
			_, err := Encode(c, broken{}, false)
			require.ErrorIs(t, err, errBroken)
		}
	})
}

type broken struct{}

var errBroken = errors.New("broken")

func (broken) WriteTo(io.Writer) (int64, error) { return 0, errBroken }

func TestWorthwhile(t *testing.T) {
	require.True(t, Worthwhile(950, 1000))
	require.False(t, Worthwhile(951, 1000))
}
