// Package arch holds tests of how the module is cut: which package may import which, which modules
// may be imported at all, that the packages which decide stay pure, and how large files, types and
// functions are. It has no other code.
package arch

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const door = "" // the root package, as a path inside the module

// layers says which packages of this module the non-test code of each package may import. These are
// all arrows of the design: a package that is missing here has no place yet, and its author decides
// where it belongs. A name that ends in /... stands for every package below it.
var layers = map[string][]string{
	door: {
		"internal/assets", "internal/cache", "internal/directive", "internal/engine", "internal/mistake",
		"internal/policy", "internal/purge", "internal/rules", "internal/settings", "internal/validator",
	},
	"internal/assets":    {"internal/coding", "internal/directive", "internal/field", "internal/mistake", "internal/pattern", "internal/record", "internal/partial", "internal/rules"},
	"internal/cache":     {"internal/clock", "internal/coding", "internal/field", "internal/generations", "internal/key", "internal/memory", "internal/object", "internal/readers", "internal/rules"},
	"internal/clock":     {},
	"internal/coding":    {"internal/field"},
	"internal/directive": {"internal/field"},
	"internal/engine": {
		"internal/cache", "internal/clock", "internal/coding", "internal/directive", "internal/field", "internal/flight", "internal/key", "internal/l2",
		"internal/object", "internal/partial", "internal/pattern", "internal/readers", "internal/record", "internal/rules",
	},
	"internal/field":     {},
	"internal/flight":    {"internal/object", "internal/readers"},
	"internal/frame":     {},
	"internal/key":       {"internal/field"},
	"internal/memory":    {},
	"internal/mistake":   {},
	"internal/object":    {"internal/field", "internal/frame", "internal/readers", "internal/rules"},
	"internal/pattern":   {},
	"internal/policy":    {"internal/directive", "internal/engine", "internal/field", "internal/key", "internal/mistake", "internal/pattern", "internal/record", "internal/rules"},
	"internal/purge":     {"internal/cache", "internal/directive", "internal/engine"},
	"internal/partial":   {"internal/field"},
	"internal/readers":   {"internal/clock"},
	"internal/record":    {"internal/field"},
	"internal/settings":  {"internal/field", "internal/key", "internal/mistake", "internal/pattern", "internal/rules"},
	"internal/validator": {"internal/field", "internal/rules"},
	"internal/rules":     {"internal/clock", "internal/field", "internal/key"},
	"internal/l2":        {"internal/clock", "internal/frame", "internal/generations", "internal/key", "internal/object", "internal/rules"},

	"internal/generations": {},

	"internal/engine/model": {}, // has tests only

	"cmd/precompress": {"internal/assets"},

	"storetest":     {door},
	"edgecachetest": {door},
	"examples":      {door}, // tests of the programs below it, and of the README
	"examples/...":  {door}, // only the public API: an example that needs more shows a hole in it

	"internal/testing/arch":        {},
	"internal/testing/progress":    {},
	"internal/testing/harness":     {door}, // for tests only
	"internal/testing/session":     {},     // runs documents
	"internal/testing/conformance": {},     // knows no cache, so that it can judge any

	"internal/testing/conformance/play": {"internal/testing/conformance"},
}

// testsOfTheDoor are the packages below the door whose tests may import it.
var testsOfTheDoor = []string{
	"internal/assets", "internal/engine", "internal/engine/model", "internal/testing/conformance",
}

// toolsForTests are the packages on top of the door that its own tests and testsOfTheDoor may use.
var toolsForTests = []string{"edgecachetest", "storetest", harness}

const harness = "internal/testing/harness" // may use what tests may

// dependencies is every module outside of the standard library, with the packages whose non-test
// code may import it. All users of edgecache download these; a longer list needs a reason in
// docs/decisions.md.
var dependencies = map[string][]string{
	"github.com/andybalholm/brotli":   {"internal/coding"},
	"github.com/dunglas/httpsfv":      {"internal/field"},
	"github.com/klauspost/compress":   {"internal/coding"},
	"github.com/pquerna/cachecontrol": {"internal/field"},
}

// testDependencies may be imported by any test, and by harness.
var testDependencies = []string{"github.com/stretchr/testify"}

// pure packages decide from their arguments alone: no I/O, no locks, and time is an argument.
var pure = []string{"internal/directive", "internal/field", "internal/key", "internal/rules"}

// TestImports holds the module as it is to the tables above.
func TestImports(t *testing.T) {
	root := os.DirFS("../../..")
	files, err := parse(root, pure)
	require.NoError(t, err)
	require.Greater(t, len(files), 10, "the walk has lost its way")
	for _, v := range violations(files) {
		t.Error(v)
	}
	for _, v := range unused(files) {
		t.Error(v)
	}
}

// TestSum keeps the stores, metrics and traces of the nested modules out of what every user of the
// core downloads.
func TestSum(t *testing.T) {
	for _, name := range []string{"../../../go.sum", "../../../go.mod"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, path := range heavy(string(text)) {
			t.Errorf("%s has %s: it belongs to a nested module", name, path)
		}
	}
}

func TestLayersHaveNoCycle(t *testing.T) {
	for _, pkg := range slices.Sorted(maps.Keys(layers)) {
		if reaches(layers, pkg, pkg) {
			t.Errorf("%s may import itself by way of others", shown(pkg))
		}
	}
	for pkg, imports := range layers {
		for _, target := range imports {
			if _, ok := layers[target]; !ok {
				t.Errorf("%s may import %s, which has no layer", shown(pkg), target)
			}
		}
	}
}

func TestReaches(t *testing.T) {
	arrows := map[string][]string{"a": {"b"}, "b": {"c"}, "c": {}, "x": {"y"}, "y": {"x"}}
	for _, row := range []struct {
		name, from, to string
		want           bool
	}{
		{"an arrow", "a", "b", true},
		{"two arrows in a row", "a", "c", true},
		{"not against the arrow", "c", "a", false},
		{"not oneself without a cycle", "a", "a", false},
		{"oneself by a cycle", "x", "x", true},
		{"a cycle does not stop the search", "x", "c", false},
		{"an unknown package reaches nothing", "z", "a", false},
	} {
		if got := reaches(arrows, row.from, row.to); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

// TestViolations shows that the checker can fail: each row is a graph of one file.
func TestViolations(t *testing.T) {
	const module = "github.com/edgecache-go/edgecache"
	for _, row := range []struct {
		name string
		file file
		want string // "" is none
	}{
		{"the door imports what is below", file{pkg: door, imports: []string{"net/http", module + "/internal/rules"}}, ""},
		{"the rules import the door", file{pkg: "internal/rules", imports: []string{module}},
			"internal/rules imports the root package"},
		{"the store suite imports the door", file{pkg: "storetest", imports: []string{module}}, ""},
		{"an example imports the door", file{pkg: "examples/quickstart", imports: []string{module}}, ""},
		{"an example imports an internal package", file{pkg: "examples/quickstart", imports: []string{module + "/internal/key"}},
			"examples/quickstart imports internal/key"},
		{"an arrow against the direction", file{pkg: "internal/key", imports: []string{module + "/internal/rules"}},
			"internal/key imports internal/rules"},
		{"an arrow sideways", file{pkg: "internal/memory", imports: []string{module + "/internal/key"}},
			"internal/memory imports internal/key"},
		{"flight imports object", file{pkg: "internal/flight", imports: []string{module + "/internal/object"}}, ""},
		{"a package without a layer", file{pkg: "internal/util"}, "internal/util has no layer"},
		{"a test of a package without a layer", file{pkg: "internal/util", test: true}, "internal/util has no layer"},

		{"a test below the door imports the door", file{pkg: "internal/memory", test: true, imports: []string{module}},
			"internal/memory imports the root package"},
		{"a test imports a package that stands on it",
			file{pkg: "internal/field", test: true, imports: []string{module + "/internal/key"}},
			"internal/field imports internal/key"},
		{"a test below the door that may import it",
			file{pkg: "internal/engine", test: true, imports: []string{module, module + "/" + harness}}, ""},
		{"code of the engine imports the door", file{pkg: "internal/engine", imports: []string{module}},
			"internal/engine imports the root package"},
		{"code of the engine imports what tests share", file{pkg: "internal/engine", imports: []string{module + "/" + harness}},
			"internal/engine imports " + harness},
		{"a test of another package imports what tests share",
			file{pkg: "internal/memory", test: true, imports: []string{module + "/" + harness}}, "internal/memory imports " + harness},
		{"testify in what tests share", file{pkg: harness, imports: []string{"github.com/stretchr/testify/require"}}, ""},
		{"a test imports sideways", file{pkg: "internal/flight", test: true, imports: []string{module + "/internal/key"}}, ""},
		{"an external test imports its own package",
			file{pkg: "internal/key", test: true, imports: []string{module + "/internal/key"}}, ""},
		{"an external test of the door imports the door", file{pkg: door, test: true, imports: []string{module}}, ""},

		{"a dependency where it belongs",
			file{pkg: "internal/field", imports: []string{"github.com/pquerna/cachecontrol/cacheobject"}}, ""},
		{"a dependency in the wrong package", file{pkg: "internal/memory", imports: []string{"github.com/dunglas/httpsfv"}},
			"internal/memory imports github.com/dunglas/httpsfv"},
		{"an unknown dependency", file{pkg: door, imports: []string{"github.com/redis/rueidis"}},
			"the root package imports github.com/redis/rueidis"},
		{"a module whose name begins like a dependency",
			file{pkg: "internal/field", imports: []string{"github.com/dunglas/httpsfv2"}},
			"internal/field imports github.com/dunglas/httpsfv2"},
		{"a module whose name begins like ours", file{pkg: door, imports: []string{module + "-fork/internal/key"}},
			"the root package imports " + module + "-fork/internal/key"},
		{"testify in a test", file{pkg: "internal/key", test: true, imports: []string{"github.com/stretchr/testify/require"}}, ""},
		{"testify outside tests", file{pkg: "internal/key", imports: []string{"github.com/stretchr/testify/require"}},
			"internal/key imports github.com/stretchr/testify/require"},
		{"a dependency in any test, to compare with",
			file{pkg: "internal/key", test: true, imports: []string{"github.com/dunglas/httpsfv"}}, ""},
		{"an unknown dependency in a test", file{pkg: "internal/key", test: true, imports: []string{"example.com/mock"}},
			"internal/key imports example.com/mock"},
		{"C", file{pkg: door, imports: []string{"C"}}, "the root package imports C"},

		{"a lock in the rules", file{pkg: "internal/rules", imports: []string{"sync"}}, "internal/rules imports sync: not pure"},
		{"an atomic in the rules", file{pkg: "internal/rules", imports: []string{"sync/atomic"}},
			"internal/rules imports sync/atomic: not pure"},
		{"the clock in the rules", file{pkg: "internal/rules", imports: []string{"time"}, clock: []string{"time.Now"}},
			"internal/rules calls time.Now: not pure"},
		{"time as an argument of the rules", file{pkg: "internal/rules", imports: []string{"time"}}, ""},
		{"a test of the rules may do as it likes",
			file{pkg: "internal/rules", test: true, imports: []string{"sync"}, clock: []string{"time.Now"}}, ""},
		{"a lock where locks belong", file{pkg: "internal/memory", imports: []string{"sync"}}, ""},
	} {
		row.file.module = module
		row.file.name = "x.go"
		got := violations([]file{row.file})
		if row.want == "" {
			if len(got) != 0 {
				t.Errorf("%s: got %q, want none", row.name, got)
			}
			continue
		}
		if len(got) != 1 || !strings.Contains(got[0], row.want) {
			t.Errorf("%s: got %q, want one that says %q", row.name, got, row.want)
		}
	}
}

func TestUnused(t *testing.T) {
	all := []file{
		{imports: []string{"github.com/dunglas/httpsfv"}},
		{imports: []string{"github.com/pquerna/cachecontrol/cacheobject"}},
		{imports: []string{"github.com/andybalholm/brotli", "github.com/klauspost/compress/zstd"}},
	}
	if got := unused(all); len(got) != 0 {
		t.Errorf("got %q, want none", got)
	}
	all[1].test = true
	if got := unused(all); len(got) != 1 || !strings.Contains(got[0], "github.com/pquerna/cachecontrol") {
		t.Errorf("imported by tests only: got %q, want cachecontrol", got)
	}
}

func TestHeavy(t *testing.T) {
	const sum = `github.com/stretchr/testify v1.12.1 h1:x=
github.com/redis/rueidis v1.0.79/go.mod h1:x=
	github.com/prometheus/client_golang v1.20.0 // indirect
go.opentelemetry.io/otel v1.30.0 h1:x=
github.com/go-redis/redis/v8 v8.0.0 h1:redis=
`
	want := []string{
		"github.com/redis/rueidis", "github.com/prometheus/client_golang", "go.opentelemetry.io/otel", "github.com/go-redis/redis/v8",
	}
	if got := heavy(sum); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
