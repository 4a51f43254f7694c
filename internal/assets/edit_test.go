package assets_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/assets"
)

func TestEdit(t *testing.T) {
	t.Run("new bytes never go out under an old hash", newBytesNeverGoOutUnderAnOldHash)
	t.Run("an edit keeps the rest", anEditKeepsTheRest)
	t.Run("an edit of an image changes the URL of its stylesheet", anEditOfAnImageChangesTheURLOfItsStylesheet)
	t.Run("a compressed file is used while its file is the same", aCompressedFileIsUsedWhileItsFileIsTheSame)
	t.Run("two processes answer to pages of each other", twoProcessesAnswerToPagesOfEachOther)
	t.Run("nothing outside of the directory is served", nothingOutsideOfTheDirectoryIsServed)
	t.Run("edits are there at once in development", editsAreThereAtOnceInDevelopment)
	t.Run("a client never gets a mixture of two versions", aClientNeverGetsAMixtureOfTwoVersions)
	t.Run("no file stays open", noFileStaysOpen)
}

// folder is a directory of files, all changed long ago.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		put(t, dir, name, text)
	}
	return dir
}

// put writes a file as if an hour ago.
func put(t testing.TB, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(path, old, old))
}

func serveDir(t testing.TB, dir string, options edgecache.StaticOptions) *edgecache.Assets {
	t.Helper()
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	a, err := edgecache.StaticDir(dir, options)
	require.NoError(t, err)
	t.Cleanup(func() { _ = a.Close() })
	return a
}

func ask(h http.Handler, url string, fields ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, url, nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func checkAnswer(t *testing.T, what string, w *httptest.ResponseRecorder, code int, control, body string) {
	t.Helper()
	if w.Code != code || w.Body.String() != body || w.Header().Get("Cache-Control") != control {
		t.Errorf("%s: got %d, %q, %q, want %d, %q, %q", what, w.Code, w.Header().Get("Cache-Control"), w.Body, code, control, body)
	}
}

const immutably = "public, max-age=31536000, immutable"

// New bytes are never sent for an old hash, an old tag never confirms them, and URL follows.
func newBytesNeverGoOutUnderAnOldHash(t *testing.T) {
	for _, row := range []struct {
		name string
		text string
		edit func(t *testing.T, path string)
	}{
		{"another length", "one and more", nil},
		{"the same length, later", "two", nil},
		{"the same length within a tick of the clock", "two", func(t *testing.T, path string) {
			// A file that was read right after it was written: its time of change proves nothing
			// yet.
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, []byte("two"), 0o600))
			require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
		}},
	} {
		dir := folder(t, map[string]string{"a.js": "one", "b.css": "b"})
		path := filepath.Join(dir, "a.js")
		if row.edit != nil {
			now := time.Now()
			require.NoError(t, os.Chtimes(path, now, now))
		}
		a := serveDir(t, dir, edgecache.StaticOptions{})
		before := a.URL("a.js")
		first := ask(a, before)
		checkAnswer(t, row.name+": before", first, 200, immutably, "one")
		version := a.Version()
		if row.edit == nil {
			require.NoError(t, os.WriteFile(path, []byte(row.text), 0o600))
		} else {
			row.edit(t, path)
		}
		checkAnswer(t, row.name+": the old URL", ask(a, before), 404, "no-store", "Not Found\n")
		checkAnswer(t, row.name+": the plain URL with the old tag", ask(a, "/static/a.js", "If-None-Match", first.Header().Get("Etag")), 200, "no-cache", row.text)
		checkAnswer(t, row.name+": the new URL", ask(a, a.URL("a.js")), 200, immutably, row.text)
		if a.URL("a.js") == before || a.Version() == version {
			t.Errorf("%s: URL %s or version %s has not changed", row.name, a.URL("a.js"), version)
		}
		if got := ask(a, "/static/b.css").Header().Get("X-Cache"); got != "MISS" {
			t.Errorf("%s: b.css: got %s, want MISS", row.name, got)
		}
	}
}

// An unchanged file keeps its variants, and that it was sent.
func anEditKeepsTheRest(t *testing.T) {
	dir := folder(t, map[string]string{"a.js": script, "b.js": "one"})
	a := serveDir(t, dir, edgecache.StaticOptions{})
	ask(a, "/static/a.js", "Accept-Encoding", "br")
	assets.Of(a).Settle()
	ask(a, "/static/a.js", "Accept-Encoding", "br")
	put(t, dir, "b.js", "two!")
	checkAnswer(t, "b.js", ask(a, "/static/b.js"), 200, "no-cache", "two!")
	got := ask(a, "/static/a.js", "Accept-Encoding", "br").Header()
	if got.Get("Content-Encoding") != "br" || got.Get("X-Cache") != "HIT" {
		t.Errorf("got %q, %s, want br, HIT", got.Get("Content-Encoding"), got.Get("X-Cache"))
	}
}

// A stylesheet changes its URL when a file changes that it refers to, over any number of steps.
func anEditOfAnImageChangesTheURLOfItsStylesheet(t *testing.T) {
	dir := folder(t, map[string]string{"a.css": "@import 'b.css';", "b.css": "x{y:url(i.png)}", "i.png": "one"})
	a := serveDir(t, dir, edgecache.StaticOptions{})
	before := a.URL("a.css")
	text := ask(a, before).Body.String()
	put(t, dir, "i.png", "two!")
	after := a.URL("a.css")
	if after == before {
		t.Errorf("got %s again", after)
	}
	if got := ask(a, after); got.Code != 200 || got.Body.String() == text {
		t.Errorf("got %d %q, want another text than before", got.Code, got.Body)
	}
	checkAnswer(t, "the image", ask(a, a.URL("i.png")), 200, immutably, "two!")
	checkAnswer(t, "the old image", ask(a, "/static/i-7692c3ad3540bb80.png"), 200, "no-store", "two!") // SHA-256 of one
	if err := os.Remove(filepath.Join(dir, "i.png")); err != nil {
		t.Fatal(err)
	}
	if got := ask(a, a.URL("b.css")); got.Body.String() != "x{y:url(i.png)}" {
		t.Errorf("without its image: got %q, want it as it is written", got.Body)
	}
	checkAnswer(t, "the removed image", ask(a, "/static/i.png"), 404, "no-store", "Not Found\n")
}

// A compressed file is used only as long as it is made of the file beside it.
func aCompressedFileIsUsedWhileItsFileIsTheSame(t *testing.T) {
	dir := folder(t, map[string]string{"a.js": script, "a.js.gz": string(gzipped(t, script))})
	var log bytes.Buffer
	a := serveDir(t, dir, edgecache.StaticOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if got := ask(a, "/static/a.js", "Accept-Encoding", "gzip").Header().Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("got %q, want gzip", got)
	}
	put(t, dir, "a.js", script+"// new")
	for range 2 {
		got := ask(a, "/static/a.js", "Accept-Encoding", "gzip")
		if got.Header().Get("Content-Encoding") == "gzip" && !strings.Contains(got.Header().Get("Etag"), "-gzip") || got.Code != 200 {
			t.Errorf("got %d %v", got.Code, got.Header())
		}
		if got.Header().Get("Content-Encoding") == "" && got.Body.String() != script+"// new" {
			t.Errorf("got the old text")
		}
	}
	if n := strings.Count(log.String(), "a.js.gz"); n != 1 {
		t.Errorf("got %d reports, want one:\n%s", n, &log)
	}
}

// The responses of two processes to requests from each other's pages, with and without a common
// folder.
func twoProcessesAnswerToPagesOfEachOther(t *testing.T) {
	files := func(version string) map[string]string {
		return map[string]string{
			"a.js": "script " + version, "a.css": "style{}" + version, "fixed.png": "same",
			".vite/manifest.json":    `{"m.ts":{"file":"out-` + version + `.js","name":"m","src":"m.ts"}}`,
			"out-" + version + ".js": "output " + version,
		}
	}
	for _, retained := range []bool{false, true} {
		shared := ""
		if retained {
			shared = filepath.Join(t.TempDir(), "kept")
		}
		options := edgecache.StaticOptions{Retain: shared, ViteManifest: ".vite/manifest.json"}
		oldDir := folder(t, files("AAAAAAAA"))
		old := serveDir(t, oldDir, options)
		young := serveDir(t, folder(t, files("BBBBBBBB")), options)
		for _, side := range []struct {
			name        string
			from, other *edgecache.Assets
			version     string
		}{{"new from old", young, old, "BBBBBBBB"}, {"old from new", old, young, "AAAAAAAA"}} {
			for _, row := range []struct{ file, bytes, otherwise string }{
				{"a.js", "script " + side.version, ""},
				{"a.css", "style{}" + side.version, "latest"},
				{"out-" + side.version + ".js", "output " + side.version, ""},
				{"fixed.png", "same", "same"},
			} {
				url := side.from.URL(row.file)
				got := ask(side.other, url)
				name := side.name + " " + url
				switch {
				case retained || row.otherwise == "same":
					checkAnswer(t, name, got, 200, immutably, row.bytes)
				case row.otherwise == "latest":
					checkAnswer(t, name, got, 200, "no-store", ask(side.other, "/static/a.css").Body.String())
				default:
					checkAnswer(t, name, got, 404, "no-store", "Not Found\n")
				}
			}
		}
		if !retained {
			continue
		}
		url := old.URL("a.js")
		kept := filepath.Join(shared, "files", filepath.Base(url))
		put(t, shared, "files/"+filepath.Base(url), "script XXXXXXXX")
		checkAnswer(t, "a retained file that was changed", ask(young, url), 404, "no-store", "Not Found\n")
		require.NoError(t, os.WriteFile(kept, []byte("script AAAAAAAA"), 0o600))
		checkAnswer(t, "and put right", ask(young, url), 200, immutably, "script AAAAAAAA")
		put(t, shared, "files/out-AAAAAAAA.js", "output XXXXXXXX")
		checkAnswer(t, "a retained output that was changed", ask(young, "/static/out-AAAAAAAA.js"), 404, "no-store", "Not Found\n")
		long := time.Now().Add(-31 * 24 * time.Hour)
		require.NoError(t, os.Chtimes(filepath.Join(shared, "sums", filepath.Base(url)), long, long))
		third := serveDir(t, folder(t, files("CCCCCCCC")), options)
		checkAnswer(t, "a month later", ask(third, url), 404, "no-store", "Not Found\n")
		checkAnswer(t, "what was used since", ask(third, young.URL("a.js")), 200, immutably, "script BBBBBBBB")
		for _, hidden := range []string{"/static/files/x", "/static/../sums/x", "/static/.env"} {
			if got := ask(third, hidden); got.Code != 404 {
				t.Errorf("%s: got %d, want 404", hidden, got.Code)
			}
		}
	}
}

// Nothing outside of the directory, and nothing but files, is
// served, in development either.
func nothingOutsideOfTheDirectoryIsServed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need a privilege there")
	}
	outside := folder(t, map[string]string{"secret.txt": "secret", "sub/x.txt": "secret"})
	dir := folder(t, map[string]string{"a.txt": "inside", "sub/b.txt": "inside"})
	for link, to := range map[string]string{
		"out.txt": filepath.Join(outside, "secret.txt"), "up.txt": "../" + filepath.Base(outside) + "/secret.txt", "outdir": outside,
		"in.txt": "a.txt", "indir": "sub", "sub/loop": "..", "gone.txt": "nowhere",
	} {
		require.NoError(t, os.Symlink(to, filepath.Join(dir, link)))
	}
	pipe(t, filepath.Join(dir, "pipe.txt"))
	for _, dev := range []bool{false, true} {
		opened := map[string]*edgecache.Assets{"StaticDir": serveDir(t, dir, edgecache.StaticOptions{Dev: dev})}
		a, err := edgecache.Static(os.DirFS(dir), edgecache.StaticOptions{Dev: dev})
		require.NoError(t, err)
		opened["Static"] = a
		for how, a := range opened {
			for name, want := range map[string]int{
				"a.txt": 200, "sub/b.txt": 200, "in.txt": 200, "indir/b.txt": 200,
				"out.txt": 404, "up.txt": 404, "outdir/secret.txt": 404, "outdir/sub/x.txt": 404, "gone.txt": 404, "pipe.txt": 404, "indir": 404, "sub/loop": 404,
			} {
				if how == "Static" && strings.HasPrefix(name, "in") {
					want = 404 // a link may lead outside, so none is followed
				}
				got := ask(a, "/static/"+name)
				if got.Code != want || strings.Contains(got.Body.String(), "secret") {
					t.Errorf("%s, dev %v, %s: got %d %q, want %d", how, dev, name, got.Code, got.Body, want)
				}
			}
		}
	}
}

// Edits and new files are there at once, and templates do not
// change.
func editsAreThereAtOnceInDevelopment(t *testing.T) {
	dir := folder(t, map[string]string{"a.css": "a{b:url(i.png)}", "i.png": "i"})
	a := serveDir(t, dir, edgecache.StaticOptions{Dev: true})
	checkAnswer(t, "as it is", ask(a, a.URL("a.css")), 200, "no-cache", "a{b:url(i.png)}")
	tag := ask(a, a.URL("a.css")).Header().Get("Etag")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.css"), []byte("a{b:url(j.png)}"), 0o600))
	checkAnswer(t, "after an edit", ask(a, a.URL("a.css"), "If-None-Match", tag), 200, "no-cache", "a{b:url(j.png)}")
	version := a.Version()
	put(t, dir, "new.js", "new")
	checkAnswer(t, "a new file", ask(a, a.URL("new.js")), 200, "no-cache", "new")
	if a.Version() == version {
		t.Error("the version has not changed")
	}
	if got := a.URL("new.js") + a.Integrity("new.js"); got != "/static/new.js" {
		t.Errorf("got %s, want the plain URL and no integrity", got)
	}
}

// A client never takes a mixture of two versions for a
// whole.
func aClientNeverGetsAMixtureOfTwoVersions(t *testing.T) {
	text := strings.Repeat("0123456789", 200_000)
	dir := folder(t, map[string]string{"a.bin": text})
	a := serveDir(t, dir, edgecache.StaticOptions{})
	edited := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.ServeHTTP(&editing{w, func() {
			if !edited {
				edited = true
				if err := os.WriteFile(filepath.Join(dir, "a.bin"), []byte(strings.Repeat("x", len(text))), 0o600); err != nil {
					panic(err)
				}
			}
		}}, r)
	}))
	defer server.Close()
	response, err := server.Client().Get(server.URL + a.URL("a.bin"))
	require.NoError(t, err)
	defer response.Body.Close()
	if _, err = io.ReadAll(response.Body); err == nil {
		t.Error("got a whole answer, want a broken one")
	}
	if !edited {
		t.Fatal("the file was not sent through ReadFrom")
	}
}

// editing runs edit when the file is about to go out.
type editing struct {
	http.ResponseWriter
	edit func()
}

func (e *editing) ReadFrom(r io.Reader) (int64, error) {
	e.edit()
	return io.Copy(e.ResponseWriter, r)
}

// No descriptor stays open, whatever becomes of the request.
func noFileStaysOpen(t *testing.T) {
	if _, err := os.ReadDir("/proc/self/fd"); err != nil {
		t.Skip("needs /proc")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the collector closes what is left open
	dir := folder(t, map[string]string{"a.js": script, "b.js": script, "b.js.gz": string(gzipped(t, script))})
	a := serveDir(t, dir, edgecache.StaticOptions{})
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		n := 0
		for _, fd := range list {
			if target, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(target, dir) && target != dir {
				n++
			}
		}
		return n
	}
	for _, fields := range [][]string{nil, {"Range", "bytes=0-1"}, {"Range", "bytes=0-1,4-5"}, {"Range", "bytes=9999-"}, {"If-None-Match", "*"}, {"Accept-Encoding", "gzip"}, {"If-Match", `"x"`}} {
		ask(a, a.URL("a.js"), fields...)
		ask(a, a.URL("b.js"), fields...)
		func() {
			defer func() { _ = recover() }()
			a.ServeHTTP(failing{}, httptest.NewRequest("GET", a.URL("a.js"), nil))
		}()
	}
	assets.Of(a).Settle()
	if got := count(); got != 0 {
		t.Errorf("got %d open files, want none", got)
	}
	require.NoError(t, a.Close())
}

type failing struct{}

func (failing) Header() http.Header       { return http.Header{} }
func (failing) WriteHeader(int)           {}
func (failing) Write([]byte) (int, error) { return 0, errors.New("client has gone") }
