package assets_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
)

func TestBytes(t *testing.T) {
	t.Run("ranges work in a zip archive", rangesWorkInAZipArchive)
	t.Run("a request unpacks an entry once", aRequestUnpacksAnEntryOnce)
	t.Run("a hit allocates little", aHitAllocatesLittle)
}

//go:embed testdata/static
var embedded embed.FS

func embeddedTree(t testing.TB) fs.FS {
	tree, err := fs.Sub(embedded, "testdata/static")
	require.NoError(t, err)
	return tree
}

// zipped is an archive of a tree, with its files compressed.
func zipped(t testing.TB, tree fs.FS) fs.FS {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	require.NoError(t, w.AddFS(tree))
	require.NoError(t, w.Close())
	r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	require.NoError(t, err)
	return r
}

// Ranges work on files that can only be read from the start, small or large.
func rangesWorkInAZipArchive(t *testing.T) {
	large := strings.Repeat("0123456789", 500_000)
	a, err := edgecache.Static(zipped(t, fstest.MapFS{"small.txt": {Data: []byte("0123456789")}, "large.txt": {Data: []byte(large)}}), edgecache.StaticOptions{})
	require.NoError(t, err)
	for _, row := range []struct {
		name, ranges string
		code         int
		parts        []string
	}{
		{"small.txt", "bytes=2-4", 206, []string{"234"}},
		{"small.txt", "bytes=-2", 206, []string{"89"}},
		{"large.txt", "bytes=4999995-", 206, []string{"56789"}},
		{"large.txt", "bytes=10-12,3-4", 206, []string{"\r\n\r\n012\r\n", "\r\n\r\n34\r\n"}},
		{"large.txt", "bytes=3-4,10-12", 206, []string{"\r\n\r\n34\r\n", "\r\n\r\n012\r\n"}},
		{"large.txt", "bytes=5000000-", 416, []string{"Requested"}},
		{"large.txt", "", 200, []string{large}},
	} {
		got := ask(a, a.URL(row.name), "Range", row.ranges)
		if got.Code != row.code {
			t.Errorf("%s %s: got %d, want %d", row.name, row.ranges, got.Code, row.code)
		}
		if want := got.Header().Get("Content-Length"); row.code != 416 && want != fmt.Sprint(got.Body.Len()) {
			t.Errorf("%s %s: got %d bytes, announced %s", row.name, row.ranges, got.Body.Len(), want)
		}
		for _, part := range row.parts {
			if !strings.Contains(got.Body.String(), part) {
				t.Errorf("%s %s: %q is missing", row.name, row.ranges, part)
			}
		}
	}
}

// One request unpacks an entry at most once, whatever ranges it asks for and in whatever order.
func aRequestUnpacksAnEntryOnce(t *testing.T) {
	large := strings.Repeat("0123456789", 500_000)
	archive := zipped(t, fstest.MapFS{"large.txt": {Data: []byte(large)}}).(*zip.Reader)
	var unpacked atomic.Int64
	archive.RegisterDecompressor(zip.Deflate, func(r io.Reader) io.ReadCloser {
		return &unpacking{flate.NewReader(r), &unpacked}
	})
	a, err := edgecache.Static(archive, edgecache.StaticOptions{})
	require.NoError(t, err)
	last := len(large) - 1
	descending := make([]string, 16)
	for i := range descending {
		at := last - i*1000
		descending[i] = fmt.Sprintf("%d-%d", at, at)
	}
	for _, row := range []struct {
		name, ranges string
		want         []string // the parts that come, in this order
	}{
		{"sixteen ranges backwards", strings.Join(descending, ","), []string{
			"4984999", "4985999", "4986999", "4987999", "4988999", "4989999", "4990999", "4991999", "4992999", "4993999", "4994999", "4995999", "4996999", "4997999", "4998999", "4999999",
		}},
		{"ranges that overlap are one", "4000000-4000009,3999990-4000004,10-10", []string{"10", "3999990"}},
		{"all of it, in overlapping halves", "2000000-4000000,0-2000000", []string{""}},
		{"the start, again and again", "0-0,0-0,0-1,0-0", []string{""}},
		{"two that touch stay two", "5-9,0-4", []string{"0", "5"}},
	} {
		unpacked.Store(0)
		got := ask(a, a.URL("large.txt"), "Range", "bytes="+row.ranges)
		require.Equal(t, 206, got.Code, row.name)
		if n := unpacked.Load(); n > int64(len(large)) {
			t.Errorf("%s: got %d bytes unpacked of an entry of %d", row.name, n, len(large))
		}
		if fmt.Sprint(got.Body.Len()) != got.Header().Get("Content-Length") {
			t.Errorf("%s: got %d bytes, announced %s", row.name, got.Body.Len(), got.Header().Get("Content-Length"))
		}
		var starts []string
		for _, m := range regexp.MustCompile(`Content-Range: bytes (\d+)-\d+/5000000\r\n`).FindAllStringSubmatch(got.Body.String(), -1) {
			starts = append(starts, m[1])
		}
		if strings.Join(starts, " ") != strings.Join(row.want, " ") {
			t.Errorf("%s: got parts at %q, want %q", row.name, starts, row.want)
		}
	}
}

// unpacking counts what comes out of a decompressor.
type unpacking struct {
	io.ReadCloser
	n *atomic.Int64
}

func (u *unpacking) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	u.n.Add(int64(n))
	return n, err
}

// nowhere is a writer that costs nothing.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) WriteHeader(int)             {}
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }

// A hit takes one array for the values of its header, one string for Cache-Status, and one array
// for both status fields.
func aHitAllocatesLittle(t *testing.T) {
	a, err := edgecache.Static(embeddedTree(t), edgecache.StaticOptions{})
	require.NoError(t, err)
	for _, row := range []struct {
		name   string
		fields []string
		max    float64
	}{
		{"a hit", nil, 4},
		{"a hit as a browser asks", []string{"Accept-Encoding", "gzip, deflate, br, zstd"}, 4},
		{"a confirmation", []string{"If-None-Match", `"` + hashFor(t, a, "photo.jpg") + `"`}, 4},
	} {
		r := httptest.NewRequest("GET", a.URL("photo.jpg"), nil)
		for i := 0; i < len(row.fields); i += 2 {
			r.Header.Set(row.fields[i], row.fields[i+1])
		}
		w := nowhere{http.Header{}}
		got := testing.AllocsPerRun(100, func() {
			clear(w.header)
			a.ServeHTTP(w, r)
		})
		t.Logf("%s: %v allocations", row.name, got)
		if got > row.max {
			t.Errorf("%s: got %v allocations, want at most %v", row.name, got, row.max)
		}
	}
}

// BenchmarkStatic serves a file of 100 KiB over loopback, embedded and on disk, beside
// http.FileServerFS with the same file.
func BenchmarkStatic(b *testing.B) {
	dir := b.TempDir()
	data, err := embedded.ReadFile("testdata/static/photo.jpg")
	require.NoError(b, err)
	require.NoError(b, os.WriteFile(filepath.Join(dir, "photo.jpg"), data, 0o600))
	old := time.Now().Add(-time.Hour)
	require.NoError(b, os.Chtimes(filepath.Join(dir, "photo.jpg"), old, old))
	inProgram, err := edgecache.Static(embeddedTree(b), edgecache.StaticOptions{})
	require.NoError(b, err)
	onDisk, err := edgecache.StaticDir(dir, edgecache.StaticOptions{})
	require.NoError(b, err)
	defer onDisk.Close()
	for _, row := range []struct {
		name, url string
		h         http.Handler
	}{
		{"embed/edgecache", inProgram.URL("photo.jpg"), inProgram},
		{"embed/FileServerFS", "/static/photo.jpg", http.StripPrefix("/static", http.FileServerFS(embeddedTree(b)))},
		{"disk/edgecache", onDisk.URL("photo.jpg"), onDisk},
		{"disk/FileServerFS", "/static/photo.jpg", http.StripPrefix("/static", http.FileServerFS(os.DirFS(dir)))},
	} {
		b.Run(row.name, func(b *testing.B) {
			server := httptest.NewServer(row.h)
			defer server.Close()
			b.SetBytes(100 << 10)
			b.RunParallel(func(pb *testing.PB) {
				conn, err := net.Dial("tcp", server.Listener.Addr().String())
				if err != nil {
					b.Error(err)
					return
				}
				defer conn.Close()
				request := []byte("GET " + row.url + " HTTP/1.1\r\nHost: a\r\n\r\n")
				buf := make([]byte, 64<<10)
				for pb.Next() {
					if _, err := conn.Write(request); err != nil {
						b.Error(err)
						return
					}
					if err := drain(conn, buf); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// drain reads a head and 100 KiB.
func drain(conn net.Conn, buf []byte) error {
	want := -1
	for want != 0 {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		if want < 0 {
			end := bytes.Index(buf[:n], []byte("\r\n\r\n"))
			if end < 0 || !bytes.HasPrefix(buf, []byte("HTTP/1.1 200")) {
				return io.ErrUnexpectedEOF
			}
			want = 100<<10 + end + 4
		}
		want -= n
	}
	return nil
}

// BenchmarkStaticIndex reads, hashes and links a thousand files.
func BenchmarkStaticIndex(b *testing.B) {
	dir := b.TempDir()
	for i := range 1000 {
		name, text := fmt.Sprintf("f%03d.js", i), script
		if i%10 == 0 {
			name, text = fmt.Sprintf("f%03d.css", i), fmt.Sprintf("@import 'f%03d.css';a{b:url(f%03d.js)}", max(i-10, 0), i+1)
		}
		require.NoError(b, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	b.ReportMetric(1000, "files/op")
	for b.Loop() {
		a, err := edgecache.StaticDir(dir, edgecache.StaticOptions{})
		if err != nil {
			b.Fatal(err)
		}
		_ = a.Close()
	}
}

func BenchmarkStaticHit(b *testing.B) {
	a, err := edgecache.Static(embeddedTree(b), edgecache.StaticOptions{})
	require.NoError(b, err)
	r := httptest.NewRequest("GET", a.URL("photo.jpg"), nil)
	w := nowhere{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		a.ServeHTTP(w, r)
	}
}
