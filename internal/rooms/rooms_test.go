// Package rooms holds the rule of who may import whom.
package rooms

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The three in the middle never import one another, the engine knows none of
// them, and only cmd (and the benchmarks, which are programs too) imports
// config.
var forbidden = map[string][]string{
	"switchyard/internal/event":  {"switchyard/"},
	"switchyard/router":          {"switchyard/webhook", "switchyard/dispatch", "switchyard/githost", "switchyard/asl", "switchyard/config", "net/http", "os/exec", "database/sql"},
	"switchyard/webhook":         {"switchyard/router", "switchyard/dispatch", "switchyard/githost", "switchyard/asl", "switchyard/config"},
	"switchyard/dispatch":        {"switchyard/router", "switchyard/webhook", "switchyard/asl", "switchyard/config"},
	"switchyard/audit":           {"switchyard/router", "switchyard/webhook", "switchyard/dispatch", "switchyard/asl", "switchyard/config"},
	"switchyard/githost":         {"switchyard/router", "switchyard/webhook", "switchyard/asl", "switchyard/config"},
	"switchyard/asl":             {"switchyard/router", "switchyard/webhook", "switchyard/dispatch", "switchyard/githost", "switchyard/build", "switchyard/config"},
	"switchyard/asl/history":     {"switchyard/"},
	"switchyard/asl/run":         {"switchyard/asl/store", "switchyard/asl/engine", "switchyard/asl/catalog", "switchyard/asl/distributed", "switchyard/asl/task", "switchyard/asl/api", "go.uber.org/zap", "net/http", "os/exec", "database/sql"},
	"switchyard/asl/distributed": {"switchyard/asl/engine", "switchyard/asl/catalog", "switchyard/asl/api"},
	"switchyard/asl/catalog":     {"switchyard/asl/engine", "switchyard/asl/run", "switchyard/asl/distributed", "switchyard/asl/api"},
	"switchyard/asl/diff":        {"switchyard/asl/store", "switchyard/asl/engine", "switchyard/asl/api", "net/http", "os/exec", "database/sql"},
	"switchyard/asl/objects":     {"switchyard/asl/engine", "switchyard/asl/catalog", "switchyard/asl/api"},
	"switchyard/asl/engine":      {"switchyard/asl/api"},
	"switchyard/deploy":          {"switchyard/config"},
	"switchyard/build":           {"switchyard/router", "switchyard/webhook", "switchyard/dispatch", "switchyard/githost", "switchyard/config"},
}

// Adapters import their parent; a parent that imported an adapter would drag
// the adapter's libraries into every program that only wants the seam.
var light = map[string][]string{
	"switchyard/webhook":  {"github.com/go-playground/webhooks"},
	"switchyard/dispatch": {"github.com/aws/", "github.com/google/go-github", "modernc.org/sqlite", "switchyard/githost"},
}

func TestRoomsKeepApart(t *testing.T) {
	for pkg, deps := range packages(t) {
		for room, denied := range forbidden {
			if pkg != room && !strings.HasPrefix(pkg, room+"/") {
				continue
			}
			for _, dep := range deps {
				for _, d := range denied {
					if under(dep, d) {
						t.Errorf("%s depends on %s; %s must not", pkg, dep, room)
					}
				}
			}
		}
		for _, dep := range light[pkg] {
			for _, d := range deps {
				if strings.HasPrefix(d, dep) {
					t.Errorf("%s depends on %s; that belongs in an adapter below it", pkg, d)
				}
			}
		}
	}
}

// What an execution does follows from its messages and the times they come with:
// package run reads no clock, waits for nothing and starts nothing.
func TestRunIsPure(t *testing.T) {
	files, err := filepath.Glob("../../asl/run/*.go")
	if err != nil || len(files) < 5 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		positions := token.NewFileSet()
		file, err := parser.ParseFile(positions, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			switch path := strings.Trim(i.Path.Value, `"`); path {
			case "context", "os", "sync", "sync/atomic", "math/rand", "math/rand/v2", "crypto/rand":
				t.Errorf("%s imports %s", name, path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
				t.Errorf("%s: a goroutine or channel", positions.Position(n.Pos()))
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "time" && slices.Contains(readsTime, n.Sel.Name) {
					t.Errorf("%s: time.%s", positions.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}

// readsTime are the functions of package time that read a clock or wait.
var readsTime = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}

func under(dep, denied string) bool {
	if strings.HasSuffix(denied, "/") {
		return strings.HasPrefix(dep, denied)
	}
	return dep == denied || strings.HasPrefix(dep, denied+"/")
}

// packages maps each package of the module to all it depends on.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.ImportPath}} {{join .Deps \" \"}}", "switchyard/...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	found := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		found[f[0]] = f[1:]
	}
	if len(found) < 5 {
		t.Fatalf("go list found only %d packages: %s", len(found), out)
	}
	return found
}
