package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

func TestPrecompress(t *testing.T) {
	// Every file that is worth it gets three good sidecars, that those are left alone, and that
	// wrong ones do not stay.
	t.Run("writes, keeps and removes", func(t *testing.T) {
		dir := t.TempDir()
		text := strings.Repeat("a { color: red } /* of course */\n", 100)
		for name, content := range map[string]string{
			"app.css": text + "b{background:url(i.png)}", "i.png": "png", "sub/app.js": text, "tiny.js": "1", "tiny.js.gz": "nonsense", "photo.jpg": text, ".hidden.js": text,
		} {
			path := filepath.Join(dir, filepath.FromSlash(name))
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		}
		precompress := func(args ...string) (code int, stdout string) {
			var out, errs bytes.Buffer
			code = run(append(args, dir), &out, &errs)
			t.Log(errs.String())
			return code, out.String()
		}
		code, out := precompress()
		if code != 0 || strings.Count(out, "wrote") != 6 || !strings.Contains(out, "removed tiny.js.gz") {
			t.Fatalf("got %d, %q, want six written and one removed", code, out)
		}
		for name, want := range map[string]string{
			"app.css":    text + "b{background:url(i-8f8cbb7dcf46e0bc.png)}", // as it is served
			"sub/app.js": text,
		} {
			for ext, open := range map[string]func(io.Reader) (io.Reader, error){
				".br":  func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
				".zst": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
				".gz":  func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
			} {
				f, err := os.Open(filepath.Join(dir, name+ext))
				require.NoError(t, err)
				defer f.Close()
				r, err := open(f)
				require.NoError(t, err)
				got, err := io.ReadAll(r)
				require.NoError(t, err)
				if string(got) != want {
					t.Errorf("%s%s: got %q, want %q", name, ext, got, want)
				}
			}
		}
		if list, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(list) != 9 {
			t.Errorf("got %q, want no other files", list)
		}
		if _, out := precompress(); strings.Count(out, "kept") != 6 || strings.Contains(out, "wrote") {
			t.Errorf("again: got %q, want six kept", out)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "i.png"), []byte("other"), 0o600))
		if _, out := precompress(); strings.Count(out, "kept sub/") != 3 || strings.Count(out, "wrote app.css") != 3 {
			t.Errorf("after an edit of the image: got %q, want the stylesheet made again", out)
		}
	})
	t.Run("reports mistakes", func(t *testing.T) {
		for _, row := range []struct {
			name string
			args []string
			code int
			want string
		}{
			{"no folder", nil, 2, "usage"},
			{"two folders", []string{"a", "b"}, 2, "usage"},
			{"a prefix without slashes", []string{"-prefix", "static", "."}, 2, "usage"},
			{"a base without a slash", []string{"-base", "app", "."}, 2, "usage"},
			{"an unknown flag", []string{"-x"}, 2, "-x"},
			{"help", []string{"-h"}, 0, "usage"},
			{"a missing folder", []string{filepath.Join(t.TempDir(), "none")}, 1, "none"},
			{"a missing manifest", []string{"-vite", "none.json", t.TempDir()}, 1, "none.json"},
		} {
			var errs bytes.Buffer
			if code := run(row.args, io.Discard, &errs); code != row.code || !strings.Contains(errs.String(), row.want) {
				t.Errorf("%s: got %d, %q, want %d, %q", row.name, code, &errs, row.code, row.want)
			}
		}
	})
	// A stylesheet is compressed as it is served with StaticOptions.BaseURL.
	t.Run("below a base", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "i.png"), []byte("i"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "a.css"), []byte(strings.Repeat("a{b:url(/static/i.png)}", 100)), 0o600))
		require.Zero(t, run([]string{"-base", "/app/", dir}, io.Discard, io.Discard))
		packed, err := os.Open(filepath.Join(dir, "a.css.br"))
		require.NoError(t, err)
		defer packed.Close()
		text, err := io.ReadAll(brotli.NewReader(packed))
		require.NoError(t, err)
		if !strings.HasPrefix(string(text), "a{b:url(/app/static/i-") {
			t.Errorf("got %.40s", text)
		}
	})
}
