package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMirrors holds public lists of constants to the inner lists that they are converted from: the
// same names in the same order, so that the numbers are the same.
func TestMirrors(t *testing.T) {
	for _, row := range []struct{ typeName, prefix, inner string }{
		{"Reason", "Reason", "internal/rules/reason.go"},
		{"Status", "", "internal/engine/report.go"},
		{"EventKind", "", "internal/engine/report.go"},
	} {
		public := constantsOf(t, "events.go", row.typeName)
		for i, name := range public {
			public[i] = strings.TrimPrefix(name, row.prefix)
		}
		inner := constantsOf(t, row.inner, row.typeName)
		inner = slices.DeleteFunc(inner, func(name string) bool { return !ast.IsExported(name) })
		require.NotEmpty(t, public, row.typeName)
		require.Equal(t, inner, public, row.typeName)
	}
}

// constantsOf returns the names of the list of constants that begins with one of the given type, in
// a file of the module.
func constantsOf(t *testing.T, file, typeName string) (names []string) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "../../../"+file, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	for _, decl := range parsed.Decls {
		list, ok := decl.(*ast.GenDecl)
		if !ok || list.Tok != token.CONST {
			continue
		}
		if first, ok := list.Specs[0].(*ast.ValueSpec).Type.(*ast.Ident); !ok || first.Name != typeName {
			continue
		}
		for _, spec := range list.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				names = append(names, name.Name)
			}
		}
	}
	return names
}
