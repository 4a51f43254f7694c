package examples_test

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache"
	"github.com/edgecache-go/edgecache/internal/testing/session"
)

const (
	readme  = "../README.md"
	reasons = "../docs/reasons.md"
)

var update = flag.Bool("update", false, "write the table in "+reasons)

// documents returns the names of what users read: the README and the guide. Code in them runs.
func documents(t *testing.T) []string {
	t.Helper()
	guides, err := filepath.Glob("../docs/guide/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, guides)
	return append([]string{readme}, guides...)
}

// A block is fenced code in a document.
type block struct {
	document, language, text string
	line                     int // of its first line, from 1
}

// fenced returns the blocks of a Markdown document, and the lines outside of them.
func fenced(document, text string) (blocks []block, prose string) {
	var open *block
	n := 0
	for line := range strings.Lines(text) {
		n++
		language, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{document: document, language: strings.TrimSpace(language), line: n + 1}
		case fence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += line
		default:
			prose += line
		}
	}
	return blocks, prose
}

// What fragments in the documents take for granted.
const (
	given = `w http.ResponseWriter, r *http.Request, mux *http.ServeMux, news, next, limit http.Handler, edge *edgecache.Edge, ctx context.Context, files embed.FS,
	post struct { ID int; Changed time.Time }, render func(http.ResponseWriter, any), find func(id string) (post any, found bool)`

	// unused are the names that a fragment makes for the reader to go on with.
	unused = `(?m)^(handler|limited|pages) :=`

	listens = `http.ListenAndServe("127.0.0.1:8080", `

	// serve listens on a free port, so that programs can run side by side.
	serve = `package main

import (
	"fmt"
	"net"
	"net/http"
)

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
	"context": "context", "embed": "embed", "errors": "errors", "fs": "io/fs", "template": "html/template", "edgecache": "github.com/edgecache-go/edgecache",
	"http": "net/http", "httputil": "net/http/httputil", "log": "log", "time": "time", "url": "net/url",
}

// program reports whether b is a whole program, to be pasted as it is.
func (b block) program() bool { return strings.HasPrefix(b.text, "package main\n") }

// source makes a file of a block: of a fragment a function.
func (b block) source() string {
	position := fmt.Sprintf("//line %s:%d\n", filepath.Base(b.document), b.line)
	if b.program() {
		return position + strings.ReplaceAll(b.text, listens, "serve(")
	}
	code := fmt.Sprintf("func _(%s) {\n{\n%s%s}\n}\n", given, position, b.text)
	for _, made := range regexp.MustCompile(unused).FindAllStringSubmatch(b.text, -1) {
		code = strings.TrimSuffix(code, "}\n}\n") + "_ = " + made[1] + "\n}\n}\n"
	}
	text := "package fragment\n\n"
	for name, path := range packages {
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(code) {
			text += fmt.Sprintf("import %q\n", path)
		}
	}
	return text + code
}

// A scene is a program of a document, and the sessions that are typed against it.
type scene struct {
	block
	sessions []session.Session
}

// scenes reads the programs of all documents. A session belongs to the program before it in its
// document, or else to that of the README.
func scenes(t *testing.T) []*scene {
	t.Helper()
	var all []*scene
	for _, name := range documents(t) {
		var last *scene
		if len(all) > 0 {
			last = all[0]
		}
		blocks, _ := fenced(name, read(t, name))
		for _, b := range blocks {
			switch {
			case b.language == "go" && b.program():
				last = &scene{block: b}
				all = append(all, last)
			case b.language == "console":
				s, err := session.Parse(b.text)
				require.NoError(t, err, "%s, line %d", b.document, b.line)
				require.NotEmpty(t, s, "%s, line %d: no curl in the session", b.document, b.line)
				require.NotNil(t, last, "%s, line %d: no program for the session", b.document, b.line)
				last.sessions = append(last.sessions, s)
			}
		}
	}
	return all
}

// TestDocsCode builds every Go block of the documents in a module of its own, like a user who
// followed "Install", and types every session against its program.
func TestDocsCode(t *testing.T) {
	dir := module(t)
	write := func(name, file, text string) {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, name), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name, file), []byte(text), 0o644))
	}
	folder := func(b block) string {
		return fmt.Sprintf("%s%d", strings.TrimSuffix(filepath.Base(b.document), ".md"), b.line)
	}
	for _, name := range documents(t) {
		blocks, _ := fenced(name, read(t, name))
		for _, b := range blocks {
			if b.language != "go" {
				continue
			}
			formatted, err := format.Source([]byte(b.text))
			require.NoError(t, err, "%s, line %d", b.document, b.line)
			require.Equal(t, string(formatted), b.text, "%s, line %d: gofmt", b.document, b.line)
			write(folder(b), "code.go", b.source())
			if b.program() {
				write(folder(b), "serve.go", serve)
			}
		}
	}
	run(t, dir, "go", "vet", "./...")

	for _, scene := range scenes(t) {
		name := folder(scene.block)
		require.Contains(t, scene.text, listens, "%s, line %d: a program that the test cannot start", scene.document, scene.line)
		require.NotEmpty(t, scene.sessions, "%s, line %d: a program without a session", scene.document, scene.line)
		run(t, dir, "go", "build", "-o", compiled(name), "./"+name)
		for how, curl := range session.Curls() {
			t.Run(name+" by "+how, func(t *testing.T) {
				base := start(t, compiled(name)).base
				for _, s := range scene.sessions {
					require.NoError(t, s.Run(t.Context(), base, curl))
				}
			})
		}
	}
}

// untested returns what looks like code in a document and is run by no test, one sentence for each.
func untested(document, text string) (found []string) {
	blocks, prose := fenced(document, text)
	curl := regexp.MustCompile(`\bcurl +(-|'|"|http)`)
	for _, b := range blocks {
		switch {
		case !slices.Contains([]string{"go", "console", "sh"}, b.language):
			found = append(found, fmt.Sprintf("line %d: a block of %q: want go, console or sh", b.line, b.language))
		case b.language != "console" && curl.MatchString(b.text):
			found = append(found, fmt.Sprintf("line %d: curl outside of a block of console", b.line))
		}
	}
	if line := curl.FindString(prose); line != "" {
		found = append(found, fmt.Sprintf("%q outside of a block of console", line))
	}
	if line := regexp.MustCompile(`(?m)^\n(?: {4}|\t).*\S.*$`).FindString(prose); line != "" {
		found = append(found, fmt.Sprintf("%q is indented code: fence it", strings.TrimSpace(line)))
	}
	return found
}

// TestDocsUntested holds that no code in a document is left out by TestDocsCode.
func TestDocsUntested(t *testing.T) {
	for _, name := range documents(t) {
		for _, what := range untested(name, read(t, name)) {
			t.Errorf("%s: %s", name, what)
		}
	}
	for _, row := range []struct{ name, text, want string }{
		{"a block without a language", "```\nx := 1\n```\n", `a block of ""`},
		{"a language that no test knows", "```golang\nx := 1\n```\n", `a block of "golang"`},
		{"curl in a comment of Go code", "```go\n// curl -X PURGE http://127.0.0.1:8080/\n```\n", "curl outside"},
		{"curl in a sentence", "Type `curl -i http://127.0.0.1:8080/`.\n", "outside of a block"},
		{"indented code", "So:\n\n\tx := 1\n", "fence it"},
	} {
		if got := untested("x.md", row.text); len(got) != 1 || !strings.Contains(got[0], row.want) {
			t.Errorf("%s: got %q, want one that says %q", row.name, got, row.want)
		}
	}
}

// TestDocsREADME holds that the README stays short, and leads to every guide.
func TestDocsREADME(t *testing.T) {
	const most = 180
	text := read(t, readme)
	if got := strings.Count(text, "\n"); got > most {
		t.Errorf("got %d lines, want at most %d: what not every user needs belongs in docs/guide", got, most)
	}
	for _, name := range documents(t)[1:] {
		if link := "](" + strings.TrimPrefix(filepath.ToSlash(name), "../") + ")"; !strings.Contains(text, link) {
			t.Errorf("no link %s", link)
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
		"module docs\n\ngo 1.25.0\n\nrequire github.com/edgecache-go/edgecache v0.0.0\n\nrequire"+requirements+
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
	for reason := range edgecache.Reasons() {
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

// TestDocsOptions holds that the guide has a row for every field of Config and of StaticOptions,
// and for no other.
func TestDocsOptions(t *testing.T) {
	for name, options := range map[string]reflect.Type{
		"../docs/guide/configuration.md": reflect.TypeFor[edgecache.Config](),
		"../docs/guide/static-files.md":  reflect.TypeFor[edgecache.StaticOptions](),
	} {
		var got, want []string
		for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(read(t, name), -1) {
			got = append(got, row[1])
		}
		for _, field := range reflect.VisibleFields(options) {
			if field.IsExported() {
				want = append(want, field.Name)
			}
		}
		require.Equal(t, want, got, name)
	}
}

// TestDocsStatus holds that the guide explains every word of the short status header.
func TestDocsStatus(t *testing.T) {
	text := read(t, "../docs/guide/looking-inside.md")
	for status := edgecache.Hit; status <= edgecache.Dynamic; status++ {
		if !strings.Contains(text, fmt.Sprintf("\n| `%s` |", status)) {
			t.Errorf("no row for %s", status)
		}
	}
}

// TestDocsNames holds that what the documents name exists: what the package exports, and methods
// and fields of its types.
func TestDocsNames(t *testing.T) {
	names := exported(t)
	members := map[string]reflect.Type{
		"edge.": reflect.TypeFor[*edgecache.Edge](), "assets.": reflect.TypeFor[*edgecache.Assets](), "Config.": reflect.TypeFor[*edgecache.Config](),
		"Policy.": reflect.TypeFor[*edgecache.Policy](), "Stats.": reflect.TypeFor[*edgecache.Stats](), "StaticOptions.": reflect.TypeFor[*edgecache.StaticOptions](),
	}
	for _, name := range documents(t) {
		text := read(t, name)
		for _, found := range regexp.MustCompile("edgecache\\.([A-Z]\\w*)|`([A-Z]\\w*)\\(").FindAllStringSubmatch(text, -1) {
			if what := found[1] + found[2]; !names[what] {
				t.Errorf("%s: edgecache has no %s", name, what)
			}
		}
		for _, found := range regexp.MustCompile("`(\\w+\\.)([A-Z]\\w*)").FindAllStringSubmatch(text, -1) {
			if of, known := members[found[1]]; known {
				_, method := of.MethodByName(found[2])
				if _, field := of.Elem().FieldByName(found[2]); !method && !field {
					t.Errorf("%s: no %s%s", name, found[1], found[2])
				}
			}
		}
	}
}

// pages returns the names of all documents of the repository.
func pages(t *testing.T) []string {
	t.Helper()
	all := documents(t)
	for _, pattern := range []string{"../CHANGELOG.md", "../CONTRIBUTING.md", "../docs/*.md"} {
		more, err := filepath.Glob(pattern)
		require.NoError(t, err)
		all = append(all, more...)
	}
	return all
}

// TestDocsArchitecture holds that the tree in the architecture has a line for each package, and
// that each arrow is an import.
func TestDocsArchitecture(t *testing.T) {
	blocks, _ := fenced("", read(t, "../docs/architecture.md"))
	var got, want []string
	for _, found := range regexp.MustCompile(`(?m)^  (internal/[\w/]+) `).FindAllStringSubmatch(blocks[0].text, -1) {
		got = append(got, found[1])
	}
	for _, pattern := range []string{"../internal/*", "../internal/*/*"} {
		folders, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range folders {
			if sources, _ := filepath.Glob(filepath.Join(name, "*.go")); len(sources) > 0 {
				want = append(want, strings.TrimPrefix(filepath.ToSlash(name), "../"))
			}
		}
	}
	require.ElementsMatch(t, want, got)

	arrows := regexp.MustCompile(`(?m)^  (\w+)(?:\[.*\])? --> (\w+)$`).FindAllStringSubmatch(blocks[1].text, -1)
	require.NotEmpty(t, arrows)
	for _, arrow := range arrows {
		sources, err := filepath.Glob(filepath.Join("..", "internal", arrow[1], "*.go"))
		if arrow[1] == "root" {
			sources, err = filepath.Glob("../*.go")
		}
		require.NoError(t, err)
		imports := fmt.Sprintf("%q", "github.com/edgecache-go/edgecache/internal/"+arrow[2])
		if !slices.ContainsFunc(sources, func(name string) bool {
			return !strings.HasSuffix(name, "_test.go") && strings.Contains(read(t, name), imports)
		}) {
			t.Errorf("%s does not import %s", arrow[1], arrow[2])
		}
	}
}

// TestDocsWalk holds the walk of a stored miss to eight files, and each step to the functions that
// its file has.
func TestDocsWalk(t *testing.T) {
	_, walk, found := strings.Cut(read(t, "../docs/architecture.md"), "<!-- walk -->\n")
	require.True(t, found)
	walk, _, found = strings.Cut(walk, "<!-- /walk -->")
	require.True(t, found)
	steps := regexp.MustCompile("(?m)^\\d+\\. `([\\w/.]+)`:(.*(?:\n {3}.*)*)").FindAllStringSubmatch(walk, -1)
	require.NotEmpty(t, steps)
	require.LessOrEqual(t, len(steps), 8)
	for _, step := range steps {
		source := read(t, "../"+step[1])
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(step[2], -1) {
			require.Regexp(t, `(?m)^func (\(\w+ \*?\w+\) )?`+name[1]+`\(`, source, "%s has no %s", step[1], name[1])
		}
	}
}

// TestDocsEvidence holds that the tests, benchmarks and files that documents name exist, so that a
// reader can run the command beside a figure.
func TestDocsEvidence(t *testing.T) {
	tests, files := repository(t)
	for _, name := range pages(t) {
		text := read(t, name)
		for _, command := range regexp.MustCompile("go test [^`\n]+").FindAllString(text, -1) {
			dir := ""
			if found := regexp.MustCompile(` \.(?:/([\w/.]+))?(?: |$)`).FindStringSubmatch(command); found != nil {
				dir = cmp.Or(found[1], ".")
			}
			for _, found := range regexp.MustCompile(`-(?:run|bench) (?:'([^']+)'|(\S+))`).FindAllStringSubmatch(command, -1) {
				for _, pattern := range strings.Split(found[1]+found[2], "|") {
					pattern, sub, _ := strings.Cut(pattern, "/")
					sub, _, _ = strings.Cut(sub, "/")
					if pattern == "^$" || pattern == "xxx" {
						continue // none, beside -bench
					}
					re, sub := regexp.MustCompile(pattern), strings.ReplaceAll(sub, "_", " ")
					if !slices.ContainsFunc(tests, func(f test) bool {
						return (f.dir == dir || dir == "...") && re.MatchString(f.name) && strings.Contains(f.text, sub)
					}) {
						t.Errorf("%s: %s runs nothing in %s: no %s/%s", name, command, dir, pattern, sub)
					}
				}
			}
		}
		for _, found := range regexp.MustCompile("`((?:Test|Benchmark|Fuzz|Example)[A-Z]\\w*)").FindAllStringSubmatch(text, -1) {
			if !slices.ContainsFunc(tests, func(f test) bool { return f.name == found[1] }) {
				t.Errorf("%s: no %s", name, found[1])
			}
		}
		for _, found := range regexp.MustCompile("`(?:\\./)?((?:(?:internal|docs|examples|bench|cmd)/)?[\\w/.-]+\\.(?:go|mjs|txt)|(?:internal|docs|examples|bench|cmd)/[\\w/-]+)`").FindAllStringSubmatch(text, -1) {
			if file := found[1]; !slices.ContainsFunc(files, func(f string) bool { return f == file || strings.HasPrefix(f, file+"/") }) {
				t.Errorf("%s: no %s", name, file)
			}
		}
	}
}

// test is the function of a test, benchmark or example, with the text of its file.
type test struct{ dir, name, text string }

// repository returns all tests, and the files by their path and by their name.
func repository(t *testing.T) (tests []test, files []string) {
	t.Helper()
	root := os.DirFS("..")
	function := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz|Example)\w*)\(`)
	require.NoError(t, fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && (name == ".git" || entry.Name() == "node_modules") {
			return cmp.Or(err, fs.SkipDir)
		}
		files = append(files, name, entry.Name())
		if strings.HasSuffix(name, "_test.go") {
			text, err := fs.ReadFile(root, name)
			if err != nil {
				return err
			}
			for _, found := range function.FindAllStringSubmatch(string(text), -1) {
				tests = append(tests, test{path.Dir(name), found[1], string(text)})
			}
		}
		return nil
	}))
	return tests, files
}

// TestDocsLinks holds that links between documents lead to files and headings that exist.
func TestDocsLinks(t *testing.T) {
	for _, name := range pages(t) {
		_, prose := fenced(name, read(t, name))
		for _, found := range regexp.MustCompile(`\]\(([^)#:]*)(#[^)]+)?\)`).FindAllStringSubmatch(prose, -1) {
			target := name
			if found[1] != "" {
				target = filepath.Join(filepath.Dir(name), found[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: a link leads nowhere: %v", name, err)
			} else if found[2] != "" && !slices.Contains(anchors(read(t, target)), found[2]) {
				t.Errorf("%s: %s has no heading for %s", name, target, found[2])
			}
		}
	}
}

// anchors returns the fragments by which GitHub finds the headings of a document.
func anchors(text string) (all []string) {
	_, prose := fenced("", text)
	for _, found := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(prose, -1) {
		plain := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(found[1]), "")
		all = append(all, "#"+strings.ReplaceAll(plain, " ", "-"))
	}
	return all
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
