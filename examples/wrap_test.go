package examples_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHandlersAreWrappedOnce holds that no example and no document wraps a handler for each
// request: a cache learns about its handler from one request to the next, and readers copy what
// they see.
func TestHandlersAreWrappedOnce(t *testing.T) {
	sources := map[string]string{}
	for _, pattern := range []string{"*/*.go", "../cmd/*/*.go", "../*_test.go", "*_test.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range files {
			if strings.HasPrefix(name, "..") && strings.HasSuffix(name, "_test.go") && !strings.Contains(name, "example") {
				continue // only what stands in the documentation
			}
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			sources[name] = string(text)
		}
	}
	for _, name := range documents(t) {
		blocks, _ := fenced(name, read(t, name))
		for _, b := range blocks {
			if b.language == "go" {
				sources[fmt.Sprintf("%s:%d", name, b.line)] = b.source()
			}
		}
	}
	require.Contains(t, sources, filepath.Join("proxy", "main.go"))
	for name, text := range sources {
		for _, call := range wrapsPerRequest(t, name, text) {
			t.Errorf("%s: %s is called for each request", name, call)
		}
	}
	const wrong = `package p
	func main() { serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { edge.Handler(mux).ServeHTTP(w, r) })) }`
	require.Equal(t, []string{"edge.Handler"}, wrapsPerRequest(t, "wrong.go", wrong))
}

// wrapsPerRequest returns the calls of edge.Handler and edgecache.Cache in functions that get a
// request.
func wrapsPerRequest(t *testing.T, name, text string) (calls []string) {
	file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
	require.NoError(t, err)
	ast.Inspect(file, func(n ast.Node) bool {
		f, ok := n.(*ast.FuncLit)
		if !ok || !getsRequest(f.Type) {
			return true
		}
		ast.Inspect(f.Body, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if s, ok := call.Fun.(*ast.SelectorExpr); ok {
					x, _ := s.X.(*ast.Ident)
					if x != nil && (x.Name == "edge" && s.Sel.Name == "Handler" || x.Name == "edgecache" && s.Sel.Name == "Cache") {
						calls = append(calls, x.Name+"."+s.Sel.Name)
					}
				}
			}
			return true
		})
		return true
	})
	return calls
}

func getsRequest(f *ast.FuncType) bool {
	for _, p := range f.Params.List {
		if star, ok := p.Type.(*ast.StarExpr); ok {
			if s, ok := star.X.(*ast.SelectorExpr); ok && s.Sel.Name == "Request" {
				return true
			}
		}
	}
	return false
}
