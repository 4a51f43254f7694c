package examples_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/rules"
	"github.com/edgecache-go/edgecache/internal/testing/session"
)

const (
	readme  = "../README.md"
	reasons = "../docs/reasons.md"
)

var update = flag.Bool("update", false, "write the table in "+reasons)

// A block is fenced code in a document.
type block struct {
	language, text string
	line           int // of its first line, from 1
}

// fenced returns the blocks of a Markdown document.
func fenced(text string) []block {
	var all []block
	var open *block
	n := 0
	for line := range strings.Lines(text) {
		n++
		language, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{language: strings.TrimSpace(language), line: n + 1}
		case fence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line
		}
	}
	return all
}

// What fragments in the README take for granted.
const (
	given = `w http.ResponseWriter, r *http.Request, mux *http.ServeMux, news http.Handler, edge *edgecache.Edge, allowed func(*http.Request) bool, ctx context.Context, files embed.FS,
	post struct { ID int; Changed time.Time }, render func(http.ResponseWriter, any), find func(id string) (post any, found bool)`

	listens = `http.ListenAndServe("127.0.0.1:8080", `

	// serve listens on a free port, so that programs can run side by side.
	serve = `
func serve(h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", l.Addr())
	return http.Serve(l, h)
}
`
)

var packages = map[string]string{
	"context": "context", "embed": "embed", "errors": "errors", "fs": "io/fs", "template": "html/template", "edgecache": "github.com/edgecache-go/edgecache", "fmt": "fmt", "http": "net/http", "httputil": "net/http/httputil", "log": "log",
	"net": "net", "time": "time", "url": "net/url",
}

// source makes a file of a block: a program if it listens, else a function.
func (b block) source() (text string, program bool) {
	code := fmt.Sprintf("func _(%s) {\n{\n//line README.md:%d\n%s}\n}\n", given, b.line, b.text)
	if program = strings.Contains(b.text, listens); program {
		code = fmt.Sprintf("func main() {\n//line README.md:%d\n%s}\n%s", b.line, strings.ReplaceAll(b.text, listens, "serve("), serve)
	}
	// A fragment may end by making something that the reader goes on with.
	for _, made := range regexp.MustCompile(`(?m)^(handler|pages) :=`).FindAllStringSubmatch(b.text, -1) {
		code = strings.TrimSuffix(code, "}\n}\n") + "_ = " + made[1] + "\n}\n}\n"
	}
	text = "package main\n\n"
	if !program {
		text = "package fragment\n\n"
	}
	for name, path := range packages {
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(code) {
			text += fmt.Sprintf("import %q\n", path)
		}
	}
	return text + code, program
}

// TestReadmeCode builds every Go block of the README in a module of its own, as a user has it who followed "Install", and types the sessions
// against the program before them.
func TestReadmeCode(t *testing.T) {
	text := read(t, readme)
	dir := module(t)
	var program string
	sessions, fragments := map[string][]session.Session{}, 0
	for _, b := range fenced(text) {
		switch b.language {
		case "go":
			fragments++
			name := fmt.Sprintf("line%d", b.line)
			source, runs := b.source()
			require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, name, name+".go"), []byte(source), 0o644))
			if runs {
				program = name
			}
		case "console":
			s, err := session.Parse(b.text)
			require.NoError(t, err)
			require.NotEmpty(t, s, "line %d: no curl in the session", b.line)
			require.NotEmpty(t, program, "line %d: no program before the session", b.line)
			sessions[program] = append(sessions[program], s)
		}
	}
	require.NotZero(t, fragments)
	require.NotEmpty(t, sessions)

	run(t, dir, "go", "vet", "./...")
	for program, all := range sessions {
		run(t, dir, "go", "build", "-o", compiled(program), "./"+program)
		for how, curl := range session.Curls() {
			t.Run(program+" by "+how, func(t *testing.T) {
				base := start(t, compiled(program)).base
				for _, s := range all {
					require.NoError(t, s.Run(t.Context(), base, curl))
				}
			})
		}
	}
}

// module makes an empty module that uses the checkout, without asking any server for anything.
func module(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	_, requirements, found := strings.Cut(read(t, "../go.mod"), "\nrequire")
	require.True(t, found)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(
		"module readme\n\ngo 1.25.0\n\nrequire github.com/edgecache-go/edgecache v0.0.0\n\nrequire"+requirements+
			"\nreplace github.com/edgecache-go/edgecache => "+root+"\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.sum"), []byte(read(t, "../go.sum")), 0o644))
	return dir
}

func run(t *testing.T, dir string, name string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	text, err := command.CombinedOutput()
	require.NoError(t, err, "%s %q:\n%s", name, args, text)
}

// TestDocsReasons compares the table of reasons with the code; -update writes it.
func TestDocsReasons(t *testing.T) {
	var table strings.Builder
	table.WriteString("| detail | what happened |\n|---|---|\n")
	for reason := range rules.Reasons() {
		fmt.Fprintf(&table, "| `%s` | %s |\n", reason, strings.ReplaceAll(reason.Explain(), "|", `\|`))
	}
	text := read(t, reasons)
	before, rest, found := strings.Cut(text, "<!-- reasons -->\n")
	require.True(t, found)
	got, after, found := strings.Cut(rest, "<!-- /reasons -->")
	require.True(t, found)
	if *update {
		require.NoError(t, os.WriteFile(reasons, []byte(before+"<!-- reasons -->\n"+table.String()+"<!-- /reasons -->"+after), 0o644))
		return
	}
	require.Equal(t, table.String(), got, "go test ./examples -run Reasons -update")
}

// TestReadmeConfig holds that the README has a row for every field of Config and of StaticOptions, and for no other.
func TestReadmeConfig(t *testing.T) {
	for title, options := range map[string]reflect.Type{
		"Configuration": reflect.TypeFor[edgecache.Config](),
		"Static files":  reflect.TypeFor[edgecache.StaticOptions](),
	} {
		_, section, found := strings.Cut(read(t, readme), "\n## "+title+"\n")
		require.True(t, found)
		section, _, _ = strings.Cut(section, "\n## ")
		var got, want []string
		for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(section, -1) {
			got = append(got, row[1])
		}
		for _, field := range reflect.VisibleFields(options) {
			if field.IsExported() {
				want = append(want, field.Name)
			}
		}
		require.Equal(t, want, got, title)
	}
}

// TestReadmeStatus holds that the README explains every word of the short status header.
func TestReadmeStatus(t *testing.T) {
	text := read(t, readme)
	for status := edgecache.Hit; status <= edgecache.Dynamic; status++ {
		if !strings.Contains(text, fmt.Sprintf("\n| `%s` |", status)) {
			t.Errorf("no row for %s", status)
		}
	}
}

// TestReadmeNames holds that what the README names exists: functions and types of the package, and files.
func TestReadmeNames(t *testing.T) {
	text := read(t, readme)
	names := exported(t)
	for _, found := range regexp.MustCompile("edgecache\\.([A-Z]\\w*)|\n\\| `([A-Z]\\w*)\\(").FindAllStringSubmatch(text, -1) {
		if name := found[1] + found[2]; !names[name] {
			t.Errorf("edgecache has no %s", name)
		}
	}
	for _, found := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join("..", found[1])); err != nil {
			t.Errorf("a link leads nowhere: %v", err)
		}
	}
	for _, found := range regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(text, -1) {
		heading := "(?im)^## " + strings.ReplaceAll(found[1], "-", "[ ,]+") + "$"
		if !regexp.MustCompile(heading).MatchString(text) {
			t.Errorf("no heading for #%s", found[1])
		}
	}
}

// exported returns the exported names of the root package, without methods.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	files, err := filepath.Glob("../*.go")
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names[d.Name.Name] = names[d.Name.Name] || d.Recv == nil
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						names[spec.Name.Name] = true
					case *ast.ValueSpec:
						for _, id := range spec.Names {
							names[id.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}
