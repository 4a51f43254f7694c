package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// file is what one Go file of the module imports.
type file struct {
	module  string   // path of the module
	name    string   // slash-separated, from the module's root
	pkg     string   // folder of the package, from the module's root; door for the root package
	test    bool     // the name ends in _test.go
	imports []string // import paths as written, sorted
	clock   []string // time.Now and its like, once each; only looked for where parse was told to
}

// clocks are the functions of package time that read the clock or wait for it.
var clocks = []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"}

// parse reads every Go file of the module at root, whatever its build constraints: an arrow that
// only Windows has is an arrow, too. Nested modules are left out. Calls of the clock are noted in
// the folders of clockless.
func parse(root fs.FS, clockless []string) ([]file, error) {
	text, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		return nil, err
	}
	module := ""
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "module "); ok {
			module = strings.TrimSpace(rest)
		}
	}
	var files []file
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return enter(root, name)
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		f := file{module: module, name: name, test: strings.HasSuffix(name, "_test.go")}
		if dir := path.Dir(name); dir != "." {
			f.pkg = dir
		}
		files = append(files, f)
		return files[len(files)-1].read(root, slices.Contains(clockless, f.pkg))
	})
	return files, err
}

// enter returns fs.SkipDir for the folders that the go command leaves out of ./...
func enter(root fs.FS, dir string) error {
	if dir == "." {
		return nil
	}
	base := path.Base(dir)
	if base == "testdata" || base[0] == '.' || base[0] == '_' {
		return fs.SkipDir
	}
	if _, err := fs.Stat(root, dir+"/go.mod"); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (f *file) read(root fs.FS, clock bool) error {
	text, err := fs.ReadFile(root, f.name)
	if err != nil {
		return err
	}
	mode := parser.SkipObjectResolution
	if !clock {
		mode |= parser.ImportsOnly
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), f.name, text, mode)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	timeName := "time"
	for _, spec := range parsed.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		f.imports = append(f.imports, p)
		if p == "time" && spec.Name != nil {
			timeName = spec.Name.Name
		}
	}
	slices.Sort(f.imports)
	if !clock || !slices.Contains(f.imports, "time") {
		return nil
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains(clocks, s.Sel.Name) {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == timeName {
				f.clock = append(f.clock, "time."+s.Sel.Name)
			}
		}
		return true
	})
	slices.Sort(f.clock)
	f.clock = slices.Compact(f.clock)
	return nil
}

func TestParse(t *testing.T) {
	tree := fstest.MapFS{
		"go.mod":                   {Data: []byte("// the core\nmodule example.com/m\n\ngo 1.25.0\n")},
		"m.go":                     {Data: []byte("package m\n\nimport \"example.com/m/internal/a\"\n")},
		"m_test.go":                {Data: []byte("package m_test\n\nimport _ \"testing\"\n")},
		"internal/a/a.go":          {Data: []byte("package a\n\nimport t \"time\"\n\nfunc f() { _, _ = t.Now(), t.Since }\n")},
		"internal/a/a_plan9.go":    {Data: []byte("//go:build plan9\n\npackage a\n\nimport \"sync\"\n")},
		"internal/b/b.go":          {Data: []byte("package b\n\nimport \"time\"\n\nvar _ = time.Now\n")},
		"internal/a/testdata/x.go": {Data: []byte("not Go")},
		"internal/a/notes.txt":     {Data: []byte("not Go")},
		".cache/x.go":              {Data: []byte("not Go")},
		"_old/x.go":                {Data: []byte("not Go")},
		"bench/go.mod":             {Data: []byte("module example.com/m/bench\n")},
		"bench/x.go":               {Data: []byte("not Go")},
		"bench/deep/x.go":          {Data: []byte("not Go")},
	}
	got, err := parse(tree, []string{"internal/a"})
	require.NoError(t, err)
	require.Equal(t, []file{
		{module: "example.com/m", name: "internal/a/a.go", pkg: "internal/a", imports: []string{"time"}, clock: []string{"time.Now", "time.Since"}},
		{module: "example.com/m", name: "internal/a/a_plan9.go", pkg: "internal/a", imports: []string{"sync"}},
		{module: "example.com/m", name: "internal/b/b.go", pkg: "internal/b", imports: []string{"time"}},
		{module: "example.com/m", name: "m.go", pkg: door, imports: []string{"example.com/m/internal/a"}},
		{module: "example.com/m", name: "m_test.go", pkg: door, test: true, imports: []string{"testing"}},
	}, got)

	tree["broken.go"] = &fstest.MapFile{Data: []byte("package m\n\nimport (\n")}
	_, err = parse(tree, nil)
	require.ErrorContains(t, err, "broken.go")

	delete(tree, "go.mod")
	_, err = parse(tree, nil)
	require.ErrorContains(t, err, "go.mod")
}
