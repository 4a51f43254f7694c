package assets_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/assets"
)

func TestRetain(t *testing.T) {
	t.Run("a retained file is served like the rest", aRetainedFileIsServedLikeTheRest)
	t.Run("a file that comes back is served", aFileThatComesBackIsServed)
	t.Run("a version that another process has noticed is served", aVersionThatAnotherProcessHasNoticedIsServed)
	t.Run("a page names the files of the next build", aPageNamesTheFilesOfTheNextBuild)
	t.Run("pages with old URLs are kept apart", pagesWithOldURLsAreKeptApart)
	t.Run("retained files are not retained again", retainedFilesAreNotRetainedAgain)
}

func TestFiles(t *testing.T) {
	t.Run("hidden files are no news", hiddenFilesAreNoNews)
	t.Run("a file that cannot be read keeps no others back", aFileThatCannotBeReadKeepsNoOthersBack)
	t.Run("a file that can be read later is served then", aFileThatCanBeReadLaterIsServedThen)
	t.Run("links in folders cannot keep the start busy", linksInFoldersCannotKeepTheStartBusy)
	t.Run("a file that becomes shorter ends the connection", aFileThatBecomesShorterEndsTheConnection)
	t.Run("a file of a clock that is ahead is not hashed for each request", aFileOfAClockThatIsAheadIsNotHashedForEachRequest)
	t.Run("a file that is replaced at the same time is noticed", aFileThatIsReplacedAtTheSameTimeIsNoticed)
	t.Run("a file system without times never sends other bytes under a hash", aFileSystemWithoutTimesNeverSendsOtherBytesUnderAHash)
	t.Run("a prefix that was stripped is told, once", aPrefixThatWasStrippedIsToldOnce)
}

// A file of an earlier version costs what others do: it is compressed once, and is a hit from the
// second request on.
func aRetainedFileIsServedLikeTheRest(t *testing.T) {
	shared := t.TempDir()
	url := serveDir(t, folder(t, map[string]string{"a.js": script + "1"}), edgecache.StaticOptions{Retain: shared}).URL("a.js")
	a := serveDir(t, folder(t, map[string]string{"a.js": script + "2"}), edgecache.StaticOptions{Retain: shared, MaxEncodedBytes: 700})
	for i, want := range []string{"MISS", "HIT", "HIT", "HIT", "HIT", "HIT", "HIT", "HIT", "HIT", "HIT"} {
		got := ask(a, url)
		checkAnswer(t, "retained", got, 200, immutably, script+"1")
		if word := got.Header().Get("X-Cache"); word != want {
			t.Errorf("request %d: got %s, want %s", i+1, word, want)
		}
		ask(a, url, "Accept-Encoding", "br, gzip, zstd")
		assets.Of(a).Settle()
	}
	for _, url := range []string{url, a.URL("a.js")} {
		ask(a, url, "Accept-Encoding", "br")
		assets.Of(a).Settle()
		if got := ask(a, url, "Accept-Encoding", "br").Header().Get("Content-Encoding"); got != "br" {
			t.Errorf("%s: got Content-Encoding %q, want br", url, got)
		}
	}
}

// A file that is missing for a moment, as while a new version is copied over the old one, is served
// again when it is back.
func aFileThatComesBackIsServed(t *testing.T) {
	for _, prefix := range []string{"/static/", "/"} {
		dir := folder(t, map[string]string{"a.js": "one", "b.js": "b"})
		a := serveDir(t, dir, edgecache.StaticOptions{Prefix: prefix})
		h := a.Handler(http.NotFoundHandler())
		for _, name := range []string{"a.js", "b.js"} {
			require.NoError(t, os.Remove(filepath.Join(dir, name)))
		}
		if got := ask(h, prefix+"a.js"); got.Code != 404 {
			t.Errorf("removed: got %d, want 404", got.Code)
		}
		put(t, dir, "a.js", "two!")
		checkAnswer(t, "back", ask(h, prefix+"a.js"), 200, "no-cache", "two!")
		require.NoError(t, os.Remove(filepath.Join(dir, "a.js")))
		ask(h, prefix+"a.js")
		put(t, dir, "a.js", "three")
		if got := a.URL("a.js"); got == prefix+"a.js" {
			t.Errorf("got %s, want a URL with a hash", got)
		}
		checkAnswer(t, "by its URL", ask(h, a.URL("a.js")), 200, immutably, "three")
	}
}

// A process serves a version by its new URL even if only another process has noticed it so far.
func aVersionThatAnotherProcessHasNoticedIsServed(t *testing.T) {
	dir := folder(t, map[string]string{"a.js": "one", "a.css": "one"})
	first, second := serveDir(t, dir, edgecache.StaticOptions{}), serveDir(t, dir, edgecache.StaticOptions{})
	put(t, dir, "a.js", "two!")
	put(t, dir, "a.css", "two!")
	put(t, dir, "b.js", "new")
	checkAnswer(t, "a script", ask(second, first.URL("a.js")), 200, immutably, "two!")
	checkAnswer(t, "a new script", ask(second, first.URL("b.js")), 200, immutably, "new")
	third := serveDir(t, dir, edgecache.StaticOptions{})
	put(t, dir, "a.css", "three")
	checkAnswer(t, "a stylesheet", ask(third, first.URL("a.css")), 200, immutably, "three")
}

// Requests for files that are not for clients do not make the index again.
func hiddenFilesAreNoNews(t *testing.T) {
	dir := folder(t, map[string]string{"a.js": script, "a.js.gz": "no", "sub/x.js": "x", "m.json": "{}", ".env": "secret"})
	a := serveDir(t, dir, edgecache.StaticOptions{ViteManifest: "m.json"})
	put(t, dir, "news.js", "news") // found as soon as the index is made again
	version := a.Version()
	for _, name := range []string{"a.js.gz", "sub", "m.json", ".env", "none", "none-0123456789abcdef.js", "a-0123456789abcdef.js"} {
		if got := ask(a, "/static/"+name); got.Code != 404 {
			t.Errorf("%s: got %d, want 404", name, got.Code)
		}
	}
	if a.Version() != version {
		t.Error("the folder was looked through")
	}
}

// One such file does not keep the others, or their changes, from being served.
func aFileThatCannotBeReadKeepsNoOthersBack(t *testing.T) {
	tree := forbidding{fstest.MapFS{"a.js": {Data: []byte("one")}, "secret.txt": {Data: []byte("secret")}}, map[string]bool{"secret.txt": true}}
	var log bytes.Buffer
	a, err := edgecache.Static(tree, edgecache.StaticOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	tree.MapFS["a.js"] = &fstest.MapFile{Data: []byte("two!")}
	for range 3 {
		checkAnswer(t, "its neighbour", ask(a, "/static/a.js"), 200, "no-cache", "two!")
		checkAnswer(t, "it", ask(a, "/static/secret.txt"), 404, "no-store", "Not Found\n")
	}
	if n := strings.Count(log.String(), "secret.txt: permission denied"); n != 1 {
		t.Errorf("got %d reports, want one:\n%s", n, &log)
	}
}

// It is found as soon as that, and not tried again for each request.
func aFileThatCanBeReadLaterIsServedThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := forbidding{fstest.MapFS{"a.js": {Data: []byte("a")}}, map[string]bool{"a.js": true}}
		a, err := edgecache.Static(tree, edgecache.StaticOptions{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		tree.files["a.js"] = false
		checkAnswer(t, "within the pause", ask(a, "/static/a.js"), 404, "no-store", "Not Found\n")
		time.Sleep(2 * time.Second)
		checkAnswer(t, "after it", ask(a, a.URL("a.js")), 200, immutably, "a")
	})
}

// forbidding lists some files and does not open them.
type forbidding struct {
	fstest.MapFS
	files map[string]bool
}

func (f forbidding) Stat(name string) (fs.FileInfo, error) { return f.MapFS.Stat(name) }

func (f forbidding) Open(name string) (fs.File, error) {
	if f.files[name] {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return f.MapFS.Open(name)
}

// Symbolic links cannot make the start slow: nine folders with eight links each to the next make
// 8^9 paths.
func linksInFoldersCannotKeepTheStartBusy(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need a privilege there")
	}
	if testing.Short() {
		t.Skip("it walks thousands of folders on disk, which takes more than a second")
	}
	dir := t.TempDir()
	for i := range 9 {
		require.NoError(t, os.Mkdir(filepath.Join(dir, strconv.Itoa(i)), 0o755))
		for link := range 8 {
			require.NoError(t, os.Symlink("../"+strconv.Itoa(i+1), filepath.Join(dir, strconv.Itoa(i), "to"+strconv.Itoa(link))))
		}
	}
	_, err := edgecache.StaticDir(dir, edgecache.StaticOptions{})
	require.ErrorContains(t, err, "folders")
}

// A file that becomes shorter while it is sent ends the connection, even if the length was removed.
func aFileThatBecomesShorterEndsTheConnection(t *testing.T) {
	dir := folder(t, map[string]string{"a.bin": strings.Repeat("0123456789", 200_000)})
	a := serveDir(t, dir, edgecache.StaticOptions{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.ServeHTTP(&lengthless{w, func() { _ = os.Truncate(filepath.Join(dir, "a.bin"), 1000) }}, r)
	}))
	defer server.Close()
	response, err := server.Client().Get(server.URL + a.URL("a.bin"))
	if err != nil {
		return // it broke before anything went out
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("got a whole answer of %d bytes, want a broken one", len(body))
	}
}

// lengthless does what compressing middleware does: the length of the response is not that of the
// file.
type lengthless struct {
	http.ResponseWriter
	edit func()
}

func (l *lengthless) WriteHeader(status int) {
	l.Header().Del("Content-Length")
	l.ResponseWriter.WriteHeader(status)
	l.edit()
}

// A file with a time in the future is not hashed for each request, except until an edit would show.
func aFileOfAClockThatIsAheadIsNotHashedForEachRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead := time.Now().Add(10 * time.Hour)
		tree := &counting{MapFS: fstest.MapFS{"a.js": {Data: []byte("one"), ModTime: ahead}}}
		a, err := edgecache.Static(tree, edgecache.StaticOptions{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		before := a.URL("a.js")
		tree.MapFS["a.js"] = &fstest.MapFile{Data: []byte("two"), ModTime: ahead}
		checkAnswer(t, "after an edit that only the bytes show", ask(a, before), 404, "no-store", "Not Found\n")
		time.Sleep(3 * time.Second)
		for range 3 {
			tree.opened = 0
			checkAnswer(t, "much later", ask(a, a.URL("a.js"), "If-None-Match", "*"), 304, immutably, "")
		}
		if tree.opened != 0 {
			t.Errorf("got %d files opened, want none", tree.opened)
		}
	})
}

// counting counts files that are opened.
type counting struct {
	fstest.MapFS
	opened int
}

func (c *counting) Open(name string) (fs.File, error) {
	c.opened++
	return c.MapFS.Open(name)
}

func (c *counting) Stat(name string) (fs.FileInfo, error) { return c.MapFS.Stat(name) }

// A file that takes the place of another is noticed, even if both are as long and as old:
// reproducible builds give all their files one time.
func aFileThatIsReplacedAtTheSameTimeIsNoticed(t *testing.T) {
	dir := folder(t, map[string]string{"a.js": "one"})
	path := filepath.Join(dir, "a.js")
	info, err := os.Stat(path)
	require.NoError(t, err)
	a := serveDir(t, dir, edgecache.StaticOptions{})
	before := a.URL("a.js")
	next := filepath.Join(dir, ".next")
	require.NoError(t, os.WriteFile(next, []byte("two"), 0o600))
	require.NoError(t, os.Chtimes(next, info.ModTime(), info.ModTime()))
	require.NoError(t, os.Rename(next, path))
	checkAnswer(t, "the old URL", ask(a, before), 404, "no-store", "Not Found\n")
	checkAnswer(t, "the new URL", ask(a, a.URL("a.js")), 200, immutably, "two")
}

// On a file system that does not say when its files changed, other bytes are never sent for a hash.
func aFileSystemWithoutTimesNeverSendsOtherBytesUnderAHash(t *testing.T) {
	for _, size := range []int{3, 5 << 20} {
		tree := fstest.MapFS{"a.bin": {Data: bytes.Repeat([]byte("1"), size)}}
		a, err := edgecache.Static(tree, edgecache.StaticOptions{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		url := a.URL("a.bin")
		tree["a.bin"] = &fstest.MapFile{Data: bytes.Repeat([]byte("2"), size)}
		got := ask(a, url)
		if got.Code == 200 && strings.HasPrefix(got.Body.String(), "2") {
			t.Errorf("%d bytes: got the new ones under the old hash", size)
		}
	}
}

// A page names the files of a build tool's next run as soon as its manifest does.
func aPageNamesTheFilesOfTheNextBuild(t *testing.T) {
	dir := folder(t, map[string]string{"m.json": `{"m.ts":{"file":"m-AAAAAAAA.js","src":"m.ts"}}`, "m-AAAAAAAA.js": "one"})
	a := serveDir(t, dir, edgecache.StaticOptions{ViteManifest: "m.json"})
	put(t, dir, "m-BBBBBBBB.js", "two!")
	put(t, dir, "m.json", `{"m.ts":{"file":"m-BBBBBBBB.js","src":"m.ts" }}`)
	tags, err := assets.Of(a).EntryTags("m.ts", "")
	require.NoError(t, err)
	if want := `<script type="module" src="/static/m-BBBBBBBB.js"></script>`; tags != want {
		t.Errorf("got %s, want %s", tags, want)
	}
	if got := a.URL("m.ts"); got != "/static/m-BBBBBBBB.js" {
		t.Errorf("got %s, want the new output", got)
	}
}

// Pages that name files by their old URLs are kept apart
// within a second, though no file was asked for since.
func pagesWithOldURLsAreKeptApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := fstest.MapFS{"a.js": {Data: []byte("one"), ModTime: time.Now().Add(-time.Hour)}}
		a, err := edgecache.Static(tree, edgecache.StaticOptions{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		before := a.Version()
		tree["a.js"] = &fstest.MapFile{Data: []byte("two!"), ModTime: time.Now()}
		time.Sleep(time.Second)
		if a.Version() == before {
			t.Error("the version has not changed")
		}
	})
}

// Code that strips the prefix is told so, once.
func aPrefixThatWasStrippedIsToldOnce(t *testing.T) {
	var log bytes.Buffer
	a := static(t, map[string]string{"a.js": "a"}, edgecache.StaticOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 2 {
		checkAnswer(t, "stripped", ask(http.StripPrefix("/static", a), "/static/a.js"), 404, "no-store", "Not Found\n")
	}
	if n := strings.Count(log.String(), "http.StripPrefix"); n != 1 {
		t.Errorf("got %d reports, want one:\n%s", n, &log)
	}
}

// Retained files are not served, and retained, once more
// with every start.
func retainedFilesAreNotRetainedAgain(t *testing.T) {
	dir := folder(t, map[string]string{"a.js": "a", "sub/b.js": "b"})
	for retain, wrong := range map[string]bool{
		dir: true, filepath.Join(dir, "kept"): true, filepath.Join(dir, "sub", "..", "sub", "kept"): true,
		dir + "-kept": false, filepath.Join(dir, "..", "kept"): false, filepath.Join(dir, ".kept"): false,
	} {
		a, err := edgecache.StaticDir(dir, edgecache.StaticOptions{Retain: retain})
		var mistake *edgecache.ConfigError
		if errors.As(err, &mistake) != wrong || wrong && mistake.Field != "StaticOptions.Retain" || !wrong && err != nil {
			t.Errorf("%s: got %v, want a mistake: %v", retain, err, wrong)
		}
		if err == nil {
			require.NoError(t, a.Close())
		}
	}
}
