package examples_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestInBrowser loads the pages of the examples like a visitor: scripts find each other, the
// console stays clean, and a second visit asks for no file. With EDGECACHE_SCREENSHOTS, a folder,
// it keeps pictures.
func TestInBrowser(t *testing.T) {
	b := openBrowser(t)
	for _, row := range []struct {
		name  string
		args  []string
		texts map[string]string // what the page shows when its scripts have run, by element
		files int               // that a first visit asks for
		again int               // that a second visit asks for
	}{
		{"static", nil, map[string]string{"greeting": "Hello from a module that your browser keeps for a year."}, 6, 0},
		{"static", []string{"-dev", "static/static"}, map[string]string{"greeting": "Hello from a module that your browser keeps for a year."}, 6, 6},
		{"vite", nil, map[string]string{"greeting": "Hello from an entry that Vite has built.", "count": "And hello from a chunk that Vite has built."}, 6, 0},
	} {
		name := strings.Join(append([]string{row.name}, row.args...), " ")
		t.Run(name, func(t *testing.T) {
			p := start(t, compiled(row.name), append([]string{"-listen", "127.0.0.1:0"}, row.args...)...)
			front := newFront(t, p.base)
			for visit := range 2 {
				b.do(t, "POST", "/url", map[string]any{"url": front.URL + "/"}, nil)
				for id, want := range row.texts {
					b.waitForText(t, id, want)
				}
				b.waitUntilLoaded(t)
				files := slices.DeleteFunc(front.take(), func(path string) bool { return path == "/" })
				slices.Sort(files)
				files = slices.Compact(files) // an image that is also the icon, in development
				if want := []int{row.files, row.again}[visit]; len(files) != want {
					t.Errorf("visit %d: asked for %q, want %d files", visit, files, want)
				}
				for _, line := range b.console(t) {
					t.Errorf("visit %d: console: %s", visit, line)
				}
				b.screenshot(t, fmt.Sprintf("%s-%d.png", strings.NewReplacer(" ", "", "/", "-").Replace(name), visit))
			}
		})
	}
}

// front stands in front of an example and notes the paths of requests.
type front struct {
	*httptest.Server
	mu    sync.Mutex
	paths []string
}

func newFront(t *testing.T, base string) *front {
	to, err := url.Parse(base)
	require.NoError(t, err)
	f := &front{}
	proxy := httputil.NewSingleHostReverseProxy(to)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.paths = append(f.paths, r.URL.Path)
		f.mu.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *front) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	paths := f.paths
	f.paths = nil
	return paths
}

// browser is a Chromium, driven by WebDriver (W3C).
type browser struct{ session string }

// openBrowser starts a browser with an empty profile. It ends with the test. Without a browser the
// test is skipped.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	chromium := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
			break
		}
	}
	driver, err := exec.LookPath("chromedriver")
	if chromium == "" || err != nil {
		t.Skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
	}
	if testing.Short() {
		t.Skip("takes seconds")
	}
	profile, err := os.MkdirTemp("", "edgecache-browser-") //nolint:usetesting // TempDir would fail the test for what the browser is still writing
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(profile) }) // it may still be writing when it is killed
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	command := exec.CommandContext(ctx, driver, "--port=0")
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() { cancel(); _ = command.Wait() })
	base := ""
	for scanner := bufio.NewScanner(stdout); base == "" && scanner.Scan(); {
		if found := regexp.MustCompile(`started successfully on port (\d+)`).FindStringSubmatch(scanner.Text()); found != nil {
			base = "http://127.0.0.1:" + found[1]
		}
	}
	require.NotEmpty(t, base, "the driver has not said its port")
	go func() { _, _ = io.Copy(io.Discard, stdout) }()

	b := &browser{session: base + "/session"}
	var opened struct {
		SessionID string `json:"sessionId"`
	}
	b.do(t, "POST", "", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"goog:loggingPrefs": map[string]any{"browser": "ALL"},
		"goog:chromeOptions": map[string]any{
			"binary": chromium,
			"args": []string{
				"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
				"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-proxy-server", "--window-size=900,700", "--user-data-dir=" + profile,
			},
		},
	}}}, &opened)
	b.session += "/" + opened.SessionID
	t.Cleanup(func() { b.do(t, "DELETE", "", nil, nil) })
	return b
}

// do sends one command.
func (b *browser) do(t *testing.T, method, path string, body, result any) {
	t.Helper()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		require.NoError(t, err)
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, b.session+path, content)
	require.NoError(t, err)
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}).Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "%s %s: %s", method, path, text)
	answer := struct {
		Value any `json:"value"`
	}{result}
	require.NoError(t, json.Unmarshal(text, &answer))
}

// until runs a script in the page until it returns something, for at most ten seconds.
func (b *browser) until(t *testing.T, condition string) string {
	t.Helper()
	var got string
	b.do(t, "POST", "/execute/async", map[string]any{"args": []any{}, "script": `
		const done = arguments[0], end = Date.now() + 10000;
		const look = () => {
			const value = (() => { ` + condition + ` })();
			if (value || Date.now() > end) done(String(value)); else setTimeout(look, 10);
		};
		look();`}, &got)
	return got
}

func (b *browser) waitForText(t *testing.T, id, want string) {
	t.Helper()
	quoted, err := json.Marshal(want)
	require.NoError(t, err)
	if got := b.until(t, fmt.Sprintf(`return document.getElementById(%q).textContent === %s`, id, quoted)); got != "true" {
		t.Errorf("#%s: got %s, want %q", id, b.until(t, fmt.Sprintf(`return document.getElementById(%q).textContent`, id)), want)
	}
}

// waitUntilLoaded waits for the page and its images.
func (b *browser) waitUntilLoaded(t *testing.T) {
	t.Helper()
	if got := b.until(t, `return document.readyState === "complete" && [...document.images].every(i => i.complete && i.naturalWidth > 0)`); got != "true" {
		t.Error("the page, or an image in it, has not been loaded")
	}
}

// console returns the lines of the console since the last call, failed loads included.
func (b *browser) console(t *testing.T) []string {
	t.Helper()
	var entries []struct{ Level, Message string }
	b.do(t, "POST", "/se/log", map[string]any{"type": "browser"}, &entries)
	var lines []string
	for _, e := range entries {
		lines = append(lines, e.Level+" "+e.Message)
	}
	return lines
}

func (b *browser) screenshot(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("EDGECACHE_SCREENSHOTS")
	if dir == "" {
		return
	}
	var encoded string
	b.do(t, "GET", "/screenshot", nil, &encoded)
	picture, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), picture, 0o600))
}
