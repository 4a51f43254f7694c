package assets

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// build is what build tools say about the files that they made.
type build struct {
	outputs map[string]bool   // names that contain the tool's hash
	entries map[string]*chunk // by source file
	watch   []*original       // the files that say so
}

// current reports whether the build tools have said nothing new since.
func (b *build) current() bool {
	return b == nil || !slices.ContainsFunc(b.watch, func(o *original) bool { return !o.current() })
}

// chunk is a script or a stylesheet that a build tool made.
type chunk struct {
	file    string
	css     []string
	imports []*chunk
}

// names reports whether a build tool lists name as its output, with its own hash in it.
func (b *build) names(name string) bool { return b != nil && b.outputs[name] }

// readBuild reads the files of fsys in which build tools list what they made.
func (s *Set) readBuild(fsys fs.FS, originals map[string]*original) (*build, error) {
	if s.options.ViteManifest == "" && s.options.ESBuildMetafile == "" {
		return nil, nil
	}
	b := &build{outputs: map[string]bool{}, entries: map[string]*chunk{}}
	for name, read := range map[string]func(dir string, text []byte) error{
		s.options.ViteManifest: b.vite,
		s.options.ESBuildMetafile: func(_ string, text []byte) error {
			return b.esbuild(text, func(name string) bool { return originals[name] != nil })
		},
	} {
		if name == "" {
			continue
		}
		o, err := readManifest(fsys, name, originals)
		if errors.Is(err, fs.ErrNotExist) && strings.Contains("/"+name, "/.") {
			return nil, fmt.Errorf("%w (an embedded folder only has names with a leading dot if it says //go:embed all:)", err)
		}
		if err != nil {
			return nil, fmt.Errorf("no manifest %q of a build tool in the tree: %w", name, err)
		}
		b.watch = append(b.watch, o)
		text, err := o.bytes()
		if err == nil {
			err = read(path.Dir(name), text)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return b, nil
}

// readManifest reads a file that the walk may have skipped: Vite's is in a folder with a dot.
func readManifest(fsys fs.FS, name string, originals map[string]*original) (*original, error) {
	if o := originals[name]; o != nil {
		return o, nil
	}
	return read(fsys, name, false)
}

// viteHash is the length of Vite's hashes. A shorter name has none: older manifests do not say what
// a chunk was made of.
const viteHash = 8

// vite reads a manifest (Vite, "Backend Integration"). Its names are relative to the folder that
// contains .vite.
func (b *build) vite(dir string, text []byte) error {
	if path.Base(dir) == ".vite" {
		dir = path.Dir(dir)
	}
	var manifest map[string]struct {
		File           string   `json:"file"`
		Src            string   `json:"src"`
		Name           string   `json:"name"`
		CSS            []string `json:"css"`
		Assets         []string `json:"assets"`
		Imports        []string `json:"imports"`
		DynamicImports []string `json:"dynamicImports"`
		IsEntry        bool     `json:"isEntry"`
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return err
	}
	chunks := make(map[string]*chunk, len(manifest))
	for key := range manifest {
		chunks[key] = &chunk{}
	}
	// A file that keeps the name of its source has no hash: the next build makes other bytes with
	// the same name.
	add := func(file string, sources ...string) string {
		name := path.Join(dir, file)
		if file != "" && len(bare(name)) >= viteHash && !slices.ContainsFunc(sources, func(s string) bool { return s != "" && bare(s) == bare(name) }) {
			b.outputs[name] = true
		}
		return name
	}
	for _, key := range slices.Sorted(maps.Keys(manifest)) {
		m, c := manifest[key], chunks[key]
		c.file = add(m.File, m.Src, m.Name, key)
		for _, file := range m.CSS {
			c.css = append(c.css, add(file, m.Src, m.Name))
		}
		for _, file := range m.Assets {
			add(file, m.Src, m.Name)
		}
		for _, from := range m.Imports {
			if d := chunks[from]; d != nil {
				c.imports = append(c.imports, d)
			}
		}
		b.entries[key] = c
		if m.Src != "" {
			b.entries[m.Src] = c
		}
	}
	// The stricter entry wins for a file that is listed both with and without its source's name.
	for _, m := range manifest {
		if bare(m.File) == bare(m.Src) || bare(m.File) == bare(m.Name) {
			delete(b.outputs, path.Join(dir, m.File))
		}
	}
	return nil
}

// bare is the last part of a path without its extension.
func bare(name string) string {
	base := path.Base(name)
	return strings.TrimSuffix(base, path.Ext(base))
}

// esbuild reads a metafile. Its names are relative to where esbuild ran, so leading folders are
// removed until its outputs are found.
func (b *build) esbuild(text []byte, exists func(string) bool) error {
	var meta struct {
		Outputs map[string]struct {
			EntryPoint string `json:"entryPoint"`
			CSSBundle  string `json:"cssBundle"`
			Imports    []struct {
				Path string `json:"path"`
				Kind string `json:"kind"`
			} `json:"imports"`
		} `json:"outputs"`
	}
	if err := json.Unmarshal(text, &meta); err != nil {
		return err
	}
	drop, most := 0, -1
	for n := range 8 {
		hits := 0
		for name := range meta.Outputs {
			if exists(without(name, n)) {
				hits++
			}
		}
		if hits > most {
			drop, most = n, hits
		}
	}
	chunks := make(map[string]*chunk, len(meta.Outputs))
	for name := range meta.Outputs {
		file := without(name, drop)
		chunks[name] = &chunk{file: file}
		if esbuildHash(file) {
			b.outputs[file] = true
		}
	}
	for name, m := range meta.Outputs {
		c := chunks[name]
		if m.CSSBundle != "" {
			c.css = []string{without(m.CSSBundle, drop)}
		}
		for _, from := range m.Imports {
			if d := chunks[from.Path]; d != nil && from.Kind == "import-statement" {
				c.imports = append(c.imports, d)
			}
		}
		if m.EntryPoint != "" {
			b.entries[m.EntryPoint] = c
		}
	}
	return nil
}

// without removes n leading folders from a name.
func without(name string, n int) string {
	for range n {
		_, rest, ok := strings.Cut(name, "/")
		if !ok {
			return ""
		}
		name = rest
	}
	return name
}

// esbuildHash reports whether an output of esbuild has a hash in its name: eight base32 digits, set
// off from the rest. A metafile also lists outputs without a hash, such as those of --outfile, and
// does not say so.
func esbuildHash(name string) bool {
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '-' || r == '.' || r == '/' || r == '_' }) {
		if len(part) == 8 && strings.Trim(part, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == "" {
			return true
		}
	}
	return false
}

// files lists what an entry needs: stylesheets in the order in which they apply, and the scripts
// that it imports, without itself.
func (c *chunk) files() (css, imports []string) {
	seen := map[*chunk]bool{c: true}
	var add func(*chunk)
	add = func(d *chunk) {
		for _, i := range d.imports {
			if !seen[i] {
				seen[i] = true
				imports = append(imports, i.file)
				add(i)
			}
		}
		for _, file := range d.css {
			if !slices.Contains(css, file) {
				css = append(css, file)
			}
		}
	}
	add(c)
	return css, imports
}
