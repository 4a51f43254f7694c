package assets_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/assets"
)

func TestReplacedFolder(t *testing.T) {
	t.Run("it is served", itIsServed)
	t.Run("pages name its URLs", pagesNameItsURLs)
	t.Run("what is retained answers while it is missing", whatIsRetainedAnswersWhileItIsMissing)
	t.Run("it is not served without its manifest", itIsNotServedWithoutItsManifest)
	t.Run("a client gets the rest of the file it has begun", aClientGetsTheRestOfTheFileItHasBegun)
	t.Run("bytes always match their hash under load", bytesAlwaysMatchTheirHashUnderLoad)
	t.Run("its links lead nowhere outside", itsLinksLeadNowhereOutside)
}

// replacements are the ways in which a deployment or a build puts another folder in the place of
// the one that is served. Each makes the folder with prepare, and puts the new one in its place
// with replace.
var replacements = []struct {
	name    string
	dir     string // the folder that is served, below the one that prepare and replace get
	prepare func(t *testing.T, at string, files map[string]string)
	replace func(t *testing.T, at string, files map[string]string)
}{
	{"removed and made again", "dist", putAll("dist"), func(t *testing.T, at string, files map[string]string) {
		require.NoError(t, os.RemoveAll(filepath.Join(at, "dist")))
		putAll("dist")(t, at, files)
	}},
	{"moved aside, and another moved in", "dist", putAll("dist"), func(t *testing.T, at string, files map[string]string) {
		putAll("next")(t, at, files)
		require.NoError(t, os.Rename(filepath.Join(at, "dist"), filepath.Join(at, "before")))
		require.NoError(t, os.Rename(filepath.Join(at, "next"), filepath.Join(at, "dist")))
	}},
	{"a link switched, the old release kept", "current", func(t *testing.T, at string, files map[string]string) {
		putAll("releases/1")(t, at, files)
		link(t, at, "releases/1")
	}, func(t *testing.T, at string, files map[string]string) {
		putAll("releases/2")(t, at, files)
		link(t, at, "releases/2")
	}},
	{"a link switched, the old release removed", "current", func(t *testing.T, at string, files map[string]string) {
		putAll("releases/1")(t, at, files)
		link(t, at, "releases/1")
	}, func(t *testing.T, at string, files map[string]string) {
		putAll("releases/2")(t, at, files)
		link(t, at, "releases/2")
		require.NoError(t, os.RemoveAll(filepath.Join(at, "releases/1")))
	}},
	{"a link on the way to it switched", "current/public", func(t *testing.T, at string, files map[string]string) {
		putAll("releases/1/public")(t, at, files)
		link(t, at, "releases/1")
	}, func(t *testing.T, at string, files map[string]string) {
		putAll("releases/2/public")(t, at, files)
		link(t, at, "releases/2")
	}},
	{"the folder above removed and made again", "app/dist", putAll("app/dist"), func(t *testing.T, at string, files map[string]string) {
		require.NoError(t, os.RemoveAll(filepath.Join(at, "app")))
		putAll("app/dist")(t, at, files)
	}},
}

func putAll(below string) func(*testing.T, string, map[string]string) {
	return func(t *testing.T, at string, files map[string]string) {
		for name, text := range files {
			put(t, at, below+"/"+name, text)
		}
	}
}

// link switches the link "current" in one step, as deployment scripts do.
func link(t *testing.T, at, to string) {
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need a privilege there")
	}
	require.NoError(t, os.Symlink(to, filepath.Join(at, ".next")))
	require.NoError(t, os.Rename(filepath.Join(at, ".next"), filepath.Join(at, "current")))
}

// The current folder is served: with Dev at once, else within a second, by its plain URLs and by
// its new ones, whichever method of Assets is called first. The new files are as long and as old as
// those before.
func itIsServed(t *testing.T) {
	before := map[string]string{"a.css": "b{background:url(i.png)}", "i.png": "old", "gone.txt": "gone", "index.html": "old shell"}
	after := map[string]string{"a.css": "b{background:url(i.png)}", "i.png": "new", "more.txt": "more", "index.html": "new shell"}
	for _, row := range replacements {
		for _, options := range []edgecache.StaticOptions{{Dev: true}, {}, {Prefix: "/", SPA: "index.html"}} {
			synctest.Test(t, func(t *testing.T) {
				at := t.TempDir()
				row.prepare(t, at, before)
				options.Retain = filepath.Join(t.TempDir(), "kept")
				a := serveDir(t, filepath.Join(at, row.dir), options)
				h := a.Handler(http.NotFoundHandler())
				prefix, control, immutable := "/static/", "no-cache", immutably
				if options.Prefix != "" {
					prefix = options.Prefix
				}
				if options.Dev {
					immutable = control
				}
				image, sheet, version := a.URL("i.png"), a.URL("a.css"), a.Version()
				checkAnswer(t, row.name+": before", ask(h, prefix+"i.png"), 200, control, "old")

				row.replace(t, at, after)
				if !options.Dev {
					time.Sleep(time.Second)
				}
				checkAnswer(t, row.name+": a plain URL", ask(h, prefix+"i.png"), 200, control, "new")
				checkAnswer(t, row.name+": a new URL", ask(h, a.URL("i.png")), 200, immutable, "new")
				checkAnswer(t, row.name+": a new file", ask(h, a.URL("more.txt")), 200, immutable, "more")
				if got := ask(h, prefix+"gone.txt"); got.Code != 404 {
					t.Errorf("%s: what is gone: got %d, want 404", row.name, got.Code)
				}
				if options.SPA != "" {
					checkAnswer(t, row.name+": the shell", ask(h, "/users/1", "Accept", "text/html"), 200, "no-cache", "new shell")
				}
				if options.Dev {
					return
				}
				if a.URL("i.png") == image || a.URL("a.css") == sheet || a.Version() == version {
					t.Errorf("%s: got the URLs or the version of before: %s %s", row.name, a.URL("i.png"), a.URL("a.css"))
				}
				checkAnswer(t, row.name+": a retained URL", ask(h, image), 200, immutably, "old")
			})
		}
	}
}

// A page finds the new URLs, even without a request for a file since.
func pagesNameItsURLs(t *testing.T) {
	files := func(text string) map[string]string {
		return map[string]string{"a.js": text, "m.json": `{"m.ts":{"file":"m-` + strings.Repeat(strings.ToUpper(text[:1]), 8) + `.js"}}`, "m-OOOOOOOO.js": "1", "m-NNNNNNNN.js": "2"}
	}
	for name, ask := range map[string]func(*edgecache.Assets) string{
		"URL":       func(a *edgecache.Assets) string { return a.URL("a.js") },
		"Integrity": func(a *edgecache.Assets) string { return a.Integrity("a.js") },
		"Version":   func(a *edgecache.Assets) string { return a.Version() },
		"ImportMap": func(a *edgecache.Assets) string { m, _ := a.ImportMap(); return string(m) },
		"EntryTags": func(a *edgecache.Assets) string { tags, _ := assets.Of(a).EntryTags("m.ts", ""); return tags },
		"Files": func(a *edgecache.Assets) (all string) {
			for f := range a.Files() {
				all += f.URL
			}
			return all
		},
	} {
		for _, row := range replacements {
			synctest.Test(t, func(t *testing.T) {
				at := t.TempDir()
				row.prepare(t, at, files("old"))
				a := serveDir(t, filepath.Join(at, row.dir), edgecache.StaticOptions{ViteManifest: "m.json"})
				before := ask(a)
				row.replace(t, at, files("new"))
				time.Sleep(time.Second)
				if ask(a) == before {
					t.Errorf("%s, %s: got %q again", name, row.name, before)
				}
			})
		}
	}
}

// Between the removal of a folder and the next one, retained files and those of a folder that was
// only moved are served, no client or cache stores another response, and the new folder is found
// within a second.
func whatIsRetainedAnswersWhileItIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := t.TempDir()
		dir := filepath.Join(at, "dist")
		put(t, dir, "a.js", "old")
		put(t, dir, "b.css", "b{}")
		a := serveDir(t, dir, edgecache.StaticOptions{Retain: filepath.Join(at, "kept")})
		script := a.URL("a.js")

		require.NoError(t, os.Rename(dir, dir+".old"))
		time.Sleep(2 * time.Second)
		checkAnswer(t, "moved", ask(a, script), 200, immutably, "old")
		require.NoError(t, os.RemoveAll(dir+".old"))
		for range 3 {
			checkAnswer(t, "retained", ask(a, script), 200, immutably, "old")
			if got := ask(a, "/static/b.css"); got.Code == 200 || got.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("removed: got %d %v, want an error that is not stored", got.Code, got.Header())
			}
			time.Sleep(time.Second)
		}
		require.NoError(t, os.WriteFile(dir, []byte("a file where a folder was"), 0o600))
		time.Sleep(time.Second)
		checkAnswer(t, "a file in its place", ask(a, script), 200, immutably, "old")
		require.NoError(t, os.Remove(dir))
		ask(a, "/static/b.css")
		put(t, dir, "a.js", "new")
		checkAnswer(t, "back, right after a failure", ask(a, "/static/a.js"), 200, "no-cache", "new")
		checkAnswer(t, "retained", ask(a, script), 200, immutably, "old")
	})
}

// A folder without its manifest is not served yet: the files of the build before are, and URL names
// them.
func itIsNotServedWithoutItsManifest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := t.TempDir()
		putAll("releases/1")(t, at, map[string]string{"m.json": `{"m.ts":{"file":"m-AAAAAAAA.js"}}`, "m-AAAAAAAA.js": "old", "i.png": "old"})
		link(t, at, "releases/1")
		a := serveDir(t, filepath.Join(at, "current"), edgecache.StaticOptions{ViteManifest: "m.json"})
		image := a.URL("i.png")
		putAll("releases/2")(t, at, map[string]string{"m-BBBBBBBB.js": "new", "i.png": "half"})
		link(t, at, "releases/2")
		for range 3 {
			time.Sleep(time.Second)
			if got := a.URL("m.ts") + a.URL("i.png"); got != "/static/m-AAAAAAAA.js"+image {
				t.Errorf("half-written: got %s", got)
			}
			checkAnswer(t, "half-written", ask(a, a.URL("m.ts")), 200, immutably, "old")
			checkAnswer(t, "half-written", ask(a, image), 200, immutably, "old")
		}
		putAll("releases/2")(t, at, map[string]string{"i.png": "new", "m.json": `{"m.ts":{"file":"m-BBBBBBBB.js"}}`})
		time.Sleep(time.Second)
		checkAnswer(t, "whole", ask(a, a.URL("m.ts")), 200, immutably, "new")
		checkAnswer(t, "whole", ask(a, a.URL("i.png")), 200, immutably, "new")
		checkAnswer(t, "the image of before", ask(a, image), 200, "no-store", "new")
	})
}

// A client that has begun with a file gets the
// rest of it.
func aClientGetsTheRestOfTheFileItHasBegun(t *testing.T) {
	for i, row := range replacements {
		if i%2 == 1 {
			continue // each sends ten megabytes
		}
		at, text := t.TempDir(), strings.Repeat("0123456789", 1_000_000)
		row.prepare(t, at, map[string]string{"a.bin": text})
		a := serveDir(t, filepath.Join(at, row.dir), edgecache.StaticOptions{Dev: true}) // a request in between replaces it at once
		server := httptest.NewServer(a)
		response, err := server.Client().Get(server.URL + "/static/a.bin")
		require.NoError(t, err)
		begun := make([]byte, 1000)
		_, err = io.ReadFull(response.Body, begun)
		require.NoError(t, err)
		row.replace(t, at, map[string]string{"a.bin": "new"})
		checkAnswer(t, row.name, ask(a, "/static/a.bin"), 200, "no-cache", "new")
		rest, err := io.ReadAll(response.Body)
		response.Body.Close()
		server.Close()
		if err != nil || string(begun)+string(rest) != text {
			t.Errorf("%s: got %d bytes and %v, want all %d of the file that was asked for", row.name, len(begun)+len(rest), err, len(text))
		}
	}
}

// What goes out under a hash always has that hash, and
// that no client is told that a file does not exist which is in every release. The files of all
// releases are as long and as old as each other.
func bytesAlwaysMatchTheirHashUnderLoad(t *testing.T) {
	at := t.TempDir()
	release := func(i int) map[string]string {
		return map[string]string{"a.js": script + string(rune('a'+i%26)), "s.css": "b{background:url(a.js)}"}
	}
	putAll("releases/0")(t, at, release(0))
	link(t, at, "releases/0")
	for _, dev := range []bool{false, true} {
		a := serveDir(t, filepath.Join(at, "current"), edgecache.StaticOptions{Dev: dev})
		var group sync.WaitGroup
		var right, removals atomic.Int64
		done := make(chan struct{})
		for worker := range 4 {
			group.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-done:
						return
					default:
					}
					before := removals.Load()
					url := a.URL("a.js")
					w := ask(a, url, "Accept-Encoding", []string{"", "br"}[(worker+i)%2])
					sum := sha256.Sum256(w.Body.Bytes())
					hash := hex.EncodeToString(sum[:8])
					switch {
					case w.Code == 200 && w.Header().Get("Content-Encoding") == "":
						right.Add(1)
						if immutable := w.Header().Get("Cache-Control") == immutably; immutable && url != "/static/a-"+hash+".js" || w.Header().Get("Etag") != `"`+hash+`"` {
							t.Errorf("got other bytes for %s: %v", url, w.Header())
						}
					case w.Code == 404 && url == "/static/a.js" && removals.Load() <= before+1: // one of the releases was there all the time
						t.Errorf("%s: got 404", url)
					}
				}
			})
		}
		for i := range 30 {
			name := "releases/" + string(rune('1'+i%2))
			removals.Add(1)
			require.NoError(t, os.RemoveAll(filepath.Join(at, name)))
			putAll(name)(t, at, release(i+1))
			link(t, at, name)
			if i%2 == 1 {
				ask(a, "/static/a.js")
			}
		}
		close(done)
		group.Wait()
		assets.Of(a).Settle()
		if right.Load() == 0 {
			t.Errorf("Dev %v: nothing was served", dev)
		}
	}
}

// Links in a folder that has taken another's place
// lead as little out of it as those of the first.
func itsLinksLeadNowhereOutside(t *testing.T) {
	for _, dev := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			at := t.TempDir()
			put(t, at, "secret.txt", "secret")
			putAll("releases/1")(t, at, map[string]string{"a.txt": "old"})
			link(t, at, "releases/1")
			a := serveDir(t, filepath.Join(at, "current"), edgecache.StaticOptions{Dev: dev})
			putAll("releases/2")(t, at, map[string]string{"a.txt": "new"})
			require.NoError(t, os.Symlink("../../secret.txt", filepath.Join(at, "releases/2/out.txt")))
			require.NoError(t, os.Symlink("../..", filepath.Join(at, "releases/2/up")))
			link(t, at, "releases/2")
			time.Sleep(time.Second)
			checkAnswer(t, "new", ask(a, "/static/a.txt"), 200, "no-cache", "new")
			checkAnswer(t, "a link to a file", ask(a, "/static/out.txt"), 404, "no-store", "Not Found\n")
			checkAnswer(t, "a link to a folder", ask(a, "/static/up/secret.txt"), 404, "no-store", "Not Found\n")
		})
	}
}
