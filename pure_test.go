package gocarp

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/gocarp/gocarp"

// A rule is what the files of a package may do. What no rule names may do all.
type rule struct {
	dir   string
	files []string // of dir; nil: all
	// imports are the only ones allowed beside the standard library's.
	imports []string
	// pure files neither read a clock nor start a goroutine nor log nor draw
	// random numbers nor touch the operating system.
	pure bool
	// running files may use a clock and goroutines, but not the system.
	running bool
}

// The floors of the house: each stands only on those below it.
var rules = []rule{
	{dir: "internal/inet", pure: true},
	{dir: "internal/simnet", pure: true},
	{dir: "internal/memnet", running: true},
	{dir: "demote", pure: true},
	{dir: "carp", imports: []string{module + "/internal/inet", module + "/demote"}, running: true},
	{dir: "carp", pure: true, imports: []string{module + "/internal/inet"}, files: []string{
		"header.go", "pace.go", "secret.go", "key.go", "dialect.go", "config.go", "event.go", "machine.go",
		"replay.go", "virtualhost.go", "senderr.go", "errors.go", "transport.go",
	}},
	{dir: "pfsync", running: true},
	{dir: "pfsync", pure: true, files: pfsyncPure},
	{dir: "internal/ifconfig", pure: true, imports: []string{module + "/carp", module + "/demote"}},
	{dir: "internal/confsync", pure: true, imports: []string{module + "/internal/hook", module + "/internal/ifconfig"}, files: []string{
		"diff.go", "hostname.go", "keys.go", "merge.go", "rules.go", "section.go",
	}},
	{dir: "vip", pure: true, imports: []string{module + "/internal/inet", "github.com/mdlayher/ethernet"}, files: vipPure},
}

// pfsyncPure are the files of pfsync without the node.
var pfsyncPure = []string{
	"action.go", "bulk.go", "bulk_send.go", "compare.go", "config.go", "converge.go", "defer.go", "dialect.go",
	"digest.go", "errors.go", "event.go", "frame.go", "graveyard.go", "import.go", "memory.go", "merge.go",
	"message.go", "names.go", "print.go", "queue.go", "receive.go", "sequence.go", "session.go", "side.go",
	"state.go", "store.go", "transport.go", "writer.go",
}

// vipPure are the files of vip that make and read frames.
var vipPure = []string{"announcer.go", "arp.go", "claim.go", "ethernet.go", "hwaddr.go", "nd.go"}

// system is what neither pure nor running files import.
var system = []string{"os", "os/exec", "os/signal", "syscall", "unsafe", "io/ioutil", "net/http"}

// impure are the functions and packages of the standard library that make a
// result depend on more than its arguments.
var impure = map[string][]string{
	"time":        {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"},
	"math/rand":   nil, // nil: the whole package
	"crypto/rand": nil,
	"context":     nil,
	"net":         nil,
}

func TestFloors(t *testing.T) {
	for _, r := range rules {
		files, err := filepath.Glob(filepath.Join(r.dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no files: %v", r.dir, err)
		}
		for _, name := range r.files {
			if !slices.Contains(files, filepath.Join(r.dir, name)) {
				t.Errorf("%s/%s is gone: mend the rule", r.dir, name)
			}
		}
		for _, file := range files {
			base := filepath.Base(file)
			if strings.HasSuffix(base, "_test.go") || r.files != nil && !slices.Contains(r.files, base) {
				continue
			}
			for _, offence := range offences(t, file, r) {
				t.Error(offence)
			}
		}
	}
}

// offences are what file does against r.
func offences(t *testing.T, file string, r rule) []string {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	bad := func(pos token.Pos, what string) { out = append(out, fset.Position(pos).String()+": "+what) }

	names := make(map[string]string) // local name of an import: its path
	for _, spec := range f.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = p
		funcs, known := impure[p]
		switch {
		case strings.Contains(strings.Split(p, "/")[0], ".") && !slices.Contains(r.imports, p):
			bad(spec.Pos(), "imports "+p)
		case (r.pure || r.running) && slices.Contains(system, p) && !(r.running && p == "syscall"):
			bad(spec.Pos(), "imports "+p)
		case r.pure && known && funcs == nil:
			bad(spec.Pos(), "imports "+p)
		}
	}
	if !r.pure {
		return out
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			bad(n.Pos(), "starts a goroutine")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && slices.Contains(impure[names[x.Name]], n.Sel.Name) {
				bad(n.Pos(), "uses "+x.Name+"."+n.Sel.Name)
			}
		}
		return true
	})
	return out
}

// TestSiblings keeps apart what only a program may wire together.
func TestSiblings(t *testing.T) {
	apart := map[string][]string{
		"carp": {"pfsync", "vip"}, "pfsync": {"carp", "vip"}, "vip": {"carp", "pfsync"}, "demote": {"carp", "pfsync", "vip"},
	}
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return err
		}
		top := strings.Split(filepath.ToSlash(p), "/")[0]
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			rest, ours := strings.CutPrefix(imp, module+"/")
			switch first := strings.Split(rest, "/")[0]; {
			case ours && slices.Contains(apart[top], first):
				t.Errorf("%s imports %s", p, imp)
			case ours && first == "examples" && top != "examples":
				t.Errorf("%s imports the example %s", p, imp)
			case imp == "github.com/mdlayher/packet" || imp == "github.com/mdlayher/netlink":
				if !slices.Contains([]string{"carp/carpnet", "vip", "internal/rtnl", "examples/dump", "examples/lab"}, path.Dir(filepath.ToSlash(p))) {
					t.Errorf("%s imports %s: it belongs to the Linux drivers", p, imp)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
