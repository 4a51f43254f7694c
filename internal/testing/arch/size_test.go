package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// Limits of the module. Tests only have to keep maxColumns and maxFields.
const (
	maxDoorFiles = 12
	maxDoorLines = 2000 // including blank lines and comments
	maxFileLines = 400
	maxFields    = 20
	maxFuncLines = 60 // in the packages of short
	maxColumns   = 100
)

// short are the packages whose functions are at most maxFuncLines long.
var short = []string{"internal/engine", "internal/cache"}

// wideTypes may have more than maxFields fields, since each is a setting that users know by its
// name.
var wideTypes = []string{"edgecache.Config", "settings.Config", "rules.Options", "engine.Config"}

// TestSizes holds the module as it is to the limits.
func TestSizes(t *testing.T) {
	files, err := measure(os.DirFS("../../.."))
	require.NoError(t, err)
	require.Greater(t, len(files), 100, "the walk has lost its way")
	for _, complaint := range complaints(files) {
		t.Error(complaint)
	}
}

// complaints says what is larger than it may be, one sentence each.
func complaints(files []measured) []string {
	var all []string
	found := oversized(files)
	for _, what := range slices.Sorted(maps.Keys(found)) {
		all = append(all, what+": "+found[what])
	}
	return all
}

// oversized returns what is larger than it may be, and by how much.
func oversized(files []measured) map[string]string {
	found := map[string]string{}
	doorFiles, doorLines := 0, 0
	wide := map[string][]string{}
	for _, f := range files {
		for name, fields := range f.fields {
			if fields > maxFields && !slices.Contains(wideTypes, name) {
				found["type "+name] = fmt.Sprintf("%d fields, want at most %d", fields, maxFields)
			}
		}
		wide[f.pkg] = append(wide[f.pkg], f.wide...)
		if f.test {
			continue
		}
		if f.pkg == door {
			doorFiles++
			doorLines += f.lines
		}
		if f.lines > maxFileLines {
			found["file "+f.name] = fmt.Sprintf("%d lines, want at most %d", f.lines, maxFileLines)
		}
		for name, lines := range f.funcs {
			if lines > maxFuncLines && slices.Contains(short, f.pkg) {
				found["func "+name] = fmt.Sprintf("%d lines, want at most %d", lines, maxFuncLines)
			}
		}
	}
	if doorFiles > maxDoorFiles {
		found["files of the root package"] = fmt.Sprintf("%d, want at most %d without tests", doorFiles, maxDoorFiles)
	}
	if doorLines > maxDoorLines {
		found["lines of the root package"] = fmt.Sprintf("%d, want at most %d without tests", doorLines, maxDoorLines)
	}
	for pkg, lines := range wide {
		if len(lines) > 0 {
			found["comments of "+shown(pkg)] = fmt.Sprintf("%d lines over %d columns, the first is %s", len(lines), maxColumns, lines[0])
		}
	}
	return found
}

// measured is the size of one Go file.
type measured struct {
	name, pkg string // see file
	test      bool
	lines     int
	wide      []string       // where a comment line is over maxColumns
	fields    map[string]int // of struct types, by package name and type, with the fields of structs inside
	funcs     map[string]int // lines of functions and methods, by package name and (type and) name
}

// measure reads every Go file of the module at root, without nested modules.
func measure(root fs.FS) ([]measured, error) {
	var files []measured
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return enter(root, name)
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		m := measured{name: name, test: strings.HasSuffix(name, "_test.go"), fields: map[string]int{}, funcs: map[string]int{}}
		if dir := path.Dir(name); dir != "." {
			m.pkg = dir
		}
		if err := m.read(string(text)); err != nil {
			return err
		}
		files = append(files, m)
		return nil
	})
	return files, err
}

func (m *measured) read(text string) error {
	positions := token.NewFileSet()
	parsed, err := parser.ParseFile(positions, m.name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	pkg := strings.TrimSuffix(parsed.Name.Name, "_test")
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	m.lines = len(lines)
	for _, group := range parsed.Comments {
		if isOutput(group) {
			continue
		}
		for n := positions.Position(group.Pos()).Line; n <= positions.Position(group.End()).Line; n++ {
			if isWide(lines[n-1]) {
				m.wide = append(m.wide, fmt.Sprintf("%s:%d", m.name, n))
			}
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			if s, ok := n.Type.(*ast.StructType); ok {
				m.fields[pkg+"."+n.Name.Name] = fieldsOf(s)
			}
		case *ast.FuncDecl:
			name := pkg + "."
			if n.Recv != nil {
				name += receiver(n.Recv.List[0].Type) + "."
			}
			m.funcs[name+n.Name.Name] = positions.Position(n.End()).Line - positions.Position(n.Pos()).Line + 1
		}
		return true
	})
	return nil
}

// isOutput reports whether a comment is the output of an example, which cannot be wrapped.
func isOutput(group *ast.CommentGroup) bool {
	text := strings.ToLower(group.Text())
	return strings.HasPrefix(text, "output:") || strings.HasPrefix(text, "unordered output:")
}

// isWide reports whether a line has only a comment that could be wrapped but is not: it is not a
// directive, not code and not a single long word. A tab is one column.
func isWide(line string) bool {
	text, ok := strings.CutPrefix(strings.TrimSpace(line), "// ")
	return ok && utf8.RuneCountInString(line) > maxColumns && strings.Contains(text, " ")
}

func fieldsOf(s *ast.StructType) int {
	count := 0
	for _, f := range s.Fields.List {
		count += max(1, len(f.Names)) // an embedded one has no name
		if inner, ok := f.Type.(*ast.StructType); ok {
			count += fieldsOf(inner)
		}
	}
	return count
}

func receiver(of ast.Expr) string {
	switch of := of.(type) {
	case *ast.StarExpr:
		return receiver(of.X)
	case *ast.IndexExpr:
		return receiver(of.X)
	case *ast.IndexListExpr:
		return receiver(of.X)
	case *ast.Ident:
		return of.Name
	}
	return "?"
}

// TestOversized shows that each limit can be passed: every row is a tree of files.
func TestOversized(t *testing.T) {
	lines := func(n int) string { return "package p" + strings.Repeat("\n", n) }
	body := func(n int) string { return "package p\n\nfunc (t *T[A]) f() {" + strings.Repeat("\n", n-1) + "}\n" }
	fields := func(n int) string {
		return "package p\n\ntype T struct {\n\tA" + strings.Repeat(", A", n-1) + " int\n}\n"
	}
	comment := func(n int) string { return "package p\n\n// " + strings.Repeat("aa ", n/3)[:n-3] + "\n" }
	many := func(n int) fstest.MapFS {
		tree := fstest.MapFS{}
		for i := range n {
			tree[fmt.Sprintf("f%d.go", i)] = &fstest.MapFile{Data: []byte("package p\n")}
		}
		return tree
	}
	one := func(name, text string) fstest.MapFS { return fstest.MapFS{name: {Data: []byte(text)}} }
	for _, row := range []struct {
		name string
		tree fstest.MapFS
		want string // "" is none
	}{
		{"as many files in the root as it may have", many(maxDoorFiles), ""},
		{"a file more", many(maxDoorFiles + 1), "files of the root package: 13, want at most 12 without tests"},
		{"files of another package", many(0), ""},
		{"as many lines in a file as it may have", one("a/b.go", lines(maxFileLines)), ""},
		{"a line more", one("a/b.go", lines(maxFileLines+1)), "file a/b.go: 401 lines, want at most 400"},
		{"a test of any length", one("a/b_test.go", lines(9999)), ""},
		{"tests of the root do not count", one("b_test.go", lines(9999)), ""},
		{"many lines in the root", fstest.MapFS{
			"a.go": {Data: []byte(lines(400))}, "b.go": {Data: []byte(lines(400))}, "c.go": {Data: []byte(lines(400))},
			"d.go": {Data: []byte(lines(400))}, "e.go": {Data: []byte(lines(400))}, "f.go": {Data: []byte(lines(1))},
		}, "lines of the root package: 2001, want at most 2000 without tests"},
		{"as many fields as a type may have", one("a/b.go", fields(maxFields)), ""},
		{"a field more", one("a/b.go", fields(maxFields+1)), "type p.T: 21 fields, want at most 20"},
		{"a field more in a test", one("a/b_test.go", fields(maxFields+1)), "type p.T: 21 fields, want at most 20"},
		{"fields of structs inside count",
			one("a/b.go", strings.Replace(fields(maxFields), "int", "struct{ B int }", 1)), "type p.T: 21 fields, want at most 20"},
		{"embedded fields count",
			one("a/b.go", strings.Replace(fields(maxFields), "int", "int; E", 1)), "type p.T: 21 fields, want at most 20"},
		{"a type of settings", one("config.go", strings.NewReplacer("T", "Config", "package p", "package edgecache").Replace(fields(99))), ""},
		{"as long a function as the engine may have", one("internal/engine/b.go", body(maxFuncLines)), ""},
		{"a line more in a function", one("internal/engine/b.go", body(maxFuncLines+1)), "func p.T.f: 61 lines, want at most 60"},
		{"a line more in a function of cache", one("internal/cache/b.go", body(maxFuncLines+1)), "func p.T.f: 61 lines, want at most 60"},
		{"a function elsewhere", one("internal/key/b.go", body(maxFuncLines+1)), ""},
		{"as long a comment as fits", one("a/b.go", comment(maxColumns)), ""},
		{"a column more", one("a/b.go", comment(maxColumns+1)), "comments of a: 1 lines over 100 columns, the first is a/b.go:3"},
		{"a column more in a test", one("a/b_test.go", comment(maxColumns+1)), "comments of a: 1 lines over 100 columns, the first is a/b_test.go:3"},
		{"characters count, not bytes", one("a/b.go", strings.Replace(comment(maxColumns), "aa aa", "äö äö", 1)), ""},
		{"a comment behind code", one("a/b.go", "package p "+strings.TrimPrefix(comment(200), "package p\n\n")), ""},
		{"a long URL", one("a/b.go", "package p\n\n// "+strings.Repeat("a", 200)+"\n"), ""},
		{"code in a comment", one("a/b.go", "package p\n\n//\t"+strings.Repeat("a ", 200)+"\n"), ""},
		{"a directive", one("a/b.go", "package p\n\n//go:build "+strings.Repeat("a", 200)+" && b\n"), ""},
		{"the output of an example", one("a/b_test.go", "package p\n\nfunc f() {\n\t// Output: a\n\t// "+strings.Repeat("a ", 200)+"\n}\n"), ""},
		{"what looks like a comment in a string", one("a/b.go", "package p\n\nvar s = `\n// "+strings.Repeat("a ", 200)+"\n`\n"), ""},
	} {
		files, err := measure(row.tree)
		require.NoError(t, err, row.name)
		if got := strings.Join(complaints(files), "; "); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
	_, err := measure(one("broken.go", "package"))
	require.ErrorContains(t, err, "broken.go")
}
