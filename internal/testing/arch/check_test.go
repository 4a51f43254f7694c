package arch

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// impure are the standard packages that reach outside a function's arguments.
var impure = []string{"context", "io", "log", "math/rand", "net", "os", "sync", "crypto/rand"}

// violations says what each file imports or calls against the tables, one sentence for each.
func violations(files []file) []string {
	var found []string
	for _, f := range files {
		layer, placed := layerOf(f.pkg)
		if !placed {
			found = append(found, fmt.Sprintf("%s: %s has no layer: place it in internal/testing/arch", f.name, shown(f.pkg)))
			continue
		}
		for _, path := range f.imports {
			if target, ours := cutModule(path, f.module); ours {
				if !f.mayImport(layer, target) {
					found = append(found, fmt.Sprintf("%s: %s imports %s: against the arrows of internal/testing/arch", f.name, shown(f.pkg), shown(target)))
				}
			} else if external(path) && !f.mayDependOn(path) {
				found = append(found, fmt.Sprintf("%s: %s imports %s: not among the dependencies of internal/testing/arch", f.name, shown(f.pkg), path))
			}
		}
		if !f.test && slices.Contains(pure, f.pkg) {
			found = append(found, f.impurities()...)
		}
	}
	return found
}

// mayImport applies the table to non-test code. A test may also import sideways, but not a package
// that imports its own.
func (f file) mayImport(layer, target string) bool {
	if slices.Contains(layers[layer], target) {
		return true
	}
	if !f.test {
		return false
	}
	if target == f.pkg {
		return true
	}
	if target == door { // from an external test package: the compiler sees to that
		return slices.Contains(testsOfTheDoor, f.pkg)
	}
	if (f.pkg == door || slices.Contains(testsOfTheDoor, f.pkg)) && slices.Contains(toolsForTests, target) {
		return true
	}
	return !reaches(layers, target, layer)
}

func (f file) mayDependOn(path string) bool {
	for module, packages := range dependencies {
		if _, in := cutModule(path, module); in && (f.test || slices.Contains(packages, f.pkg)) {
			return true
		}
	}
	return (f.test || f.pkg == harness) && slices.ContainsFunc(testDependencies, func(module string) bool {
		_, in := cutModule(path, module)
		return in
	})
}

func (f file) impurities() []string {
	var found []string
	for _, path := range f.imports {
		if slices.ContainsFunc(impure, func(p string) bool { return path == p || p != "net" && strings.HasPrefix(path, p+"/") }) {
			found = append(found, fmt.Sprintf("%s: %s imports %s: not pure", f.name, f.pkg, path))
		}
	}
	for _, call := range f.clock {
		found = append(found, fmt.Sprintf("%s: %s calls %s: not pure, time is an argument", f.name, f.pkg, call))
	}
	return found
}

// unused lists the dependencies that no non-test code imports any more.
func unused(files []file) []string {
	var found []string
	for _, module := range slices.Sorted(maps.Keys(dependencies)) {
		if !slices.ContainsFunc(files, func(f file) bool {
			return !f.test && slices.ContainsFunc(f.imports, func(path string) bool {
				_, in := cutModule(path, module)
				return in
			})
		}) {
			found = append(found, fmt.Sprintf("nothing imports %s: take it out of internal/testing/arch and go.mod", module))
		}
	}
	return found
}

// heavy lists the modules in the text of a go.mod or go.sum that the core must never bring along.
func heavy(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		for _, path := range strings.Fields(line) {
			if !strings.Contains(path, ".") || !strings.Contains(path, "/") {
				continue
			}
			if strings.Contains(path, "redis") || strings.Contains(path, "prometheus") || strings.Contains(path, "opentelemetry") {
				found = append(found, path)
			}
			break // a version and a hash follow the path
		}
	}
	return found
}

// layerOf is the entry of the table that pkg falls under.
func layerOf(pkg string) (layer string, placed bool) {
	if _, placed = layers[pkg]; placed {
		return pkg, true
	}
	for parent := pkg; parent != ""; {
		parent = parent[:max(strings.LastIndexByte(parent, '/'), 0)]
		if _, placed = layers[parent+"/..."]; placed {
			return parent + "/...", true
		}
	}
	return "", false
}

// reaches reports whether one arrow or several lead from one package to another.
func reaches(arrows map[string][]string, from, to string) bool {
	seen := map[string]bool{}
	next := []string{from}
	for len(next) > 0 {
		pkg := next[0]
		next = next[1:]
		for _, target := range arrows[pkg] {
			if target == to {
				return true
			}
			if !seen[target] {
				seen[target] = true
				next = append(next, target)
			}
		}
	}
	return false
}

// cutModule is path inside module. in is false for a path outside of it.
func cutModule(path, module string) (rest string, in bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

// external reports whether path is outside of the standard library. Cgo counts: it would need a C
// compiler everywhere.
func external(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return path == "C" || strings.Contains(first, ".")
}

func shown(pkg string) string {
	if pkg == door {
		return "the root package"
	}
	return pkg
}
