package repocheck_test

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Modules that code of ours may import, by the names the rules use.
const (
	cborModule     = "github.com/fxamacker/cbor/v2"
	protobufModule = "google.golang.org/protobuf"
	grpcModule     = "google.golang.org/grpc"
	pluginModule   = "github.com/hashicorp/go-plugin"
	hclogModule    = "github.com/hashicorp/go-hclog"
	sysModule      = "golang.org/x/sys"
	procfsModule   = "github.com/prometheus/procfs"
	goleakModule   = "go.uber.org/goleak"
	rapidModule    = "pgregory.net/rapid"
)

// anyModule stands for every module that is not ours.
const anyModule = "*"

// publicPackages are what a user can import, as folders.
var publicPackages = []string{".", "executor", "workerproc", "procpooltest", "protocodec", "shared"}

// An importRule says what the packages of one folder and those below it may
// import besides the standard library and each other.
type importRule struct {
	tree    string   // a folder; "." is the root package alone
	ours    []string // folders of this repository, each with what is below it but "."
	modules []string // other modules
	why     string
}

var importRules = []importRule{
	{
		tree: ".", modules: []string{cborModule},
		why: "the contract is in every program and under every executor; it may cost them no more than a codec",
	},
	{
		tree: "protocodec", ours: []string{"."}, modules: []string{protobufModule},
		why: "it exists so that only those who send protobuf messages link protobuf for it",
	},
	{
		tree: "internal/selfexec",
		why:  "it answers whether this is a worker in every program that imports us, and must do so without help",
	},
	{
		tree: "internal/sched", ours: []string{"."},
		why: "the scheduler is pure, no processes and no gRPC, so that all of it runs in the virtual time of testing/synctest",
	},
	{
		tree: "internal/sharedop",
		why:  "it is what two sides say to each other, and neither may bring the other along",
	},
	{
		tree: "internal/lockkeep",
		why:  "when a lock is kept is decided without transport, so that all of it runs in virtual time",
	},
	{
		tree: "internal/sharedstate", ours: []string{".", "internal/sharedop"},
		why: "who holds what is decided without processes and transport, so that all of it runs in virtual time, in a pool and inline alike",
	},
	{
		tree: "shared", ours: []string{".", "internal/sharedop", "internal/lockkeep"},
		why: "it is used in tasks as in the program, so it may know of no pool and of nothing that keeps the state",
	},
	{
		tree: "internal/proc", modules: []string{sysModule, procfsModule},
		why: "a child process is made and buried the same way whatever runs in it",
	},
	{
		tree: "internal/wire", ours: []string{".", "internal/proc", "internal/gen", "internal/lockkeep"},
		modules: []string{grpcModule, protobufModule, pluginModule, hclogModule, sysModule},
		why:     "it alone knows gRPC and go-plugin, and knows nothing of pools or of the user's main",
	},
	{
		tree: "internal/gen", modules: []string{grpcModule, protobufModule},
		why: "generated code needs its runtimes and nothing of ours",
	},
	{
		tree: "internal/conformance", ours: []string{".", "executor", "shared", "protocodec", "internal/wire/rawhost", "internal/proc", "internal/gen"}, modules: []string{protobufModule, sysModule},
		why: "the kit is a host: it drives workers through the pool, or message by message through the raw host, and knows no gRPC",
	},
	{
		tree: "internal/conformance/standard", ours: []string{".", "protocodec", "shared", "workerproc"}, modules: []string{protobufModule},
		why: "the standard worker is a worker like any other, and shows the SDK and nothing of the kit",
	},
	{
		tree: "internal/repocheck",
		why:  "the rules must be readable when nothing else compiles",
	},
	{
		tree: "executor", ours: []string{".", "internal"},
		why: "the host side meets the worker side only on the wire, and gRPC and the system calls only through internal packages",
	},
	{
		tree: "workerproc", ours: []string{".", "internal/wire", "internal/selfexec"},
		why: "the worker side meets the host side only on the wire, and carries nothing of the host's",
	},
	{
		tree: "procpooltest", ours: []string{".", "workerproc", "internal/sharedstate"},
		why: "users' tests link it; it must not bring the host side where only Inline is wanted, but for the shared state that Inline keeps",
	},
	{
		tree: "examples", ours: publicPackages,
		why: "an example shows what a user can do, so it uses what a user can import",
	},
	{
		tree: "bench", ours: publicPackages, modules: []string{anyModule},
		why: "the comparison measures what a user gets, so it uses what a user can import",
	},
	{
		tree: "cmd/procpool", ours: append([]string{"internal/conformance"}, publicPackages...), modules: []string{anyModule},
		why: "the command line is a user of the library, with the conformance table as its one privilege",
	},
}

// testModules are what tests may import on top of their package's rule.
var testModules = []string{goleakModule, rapidModule, sysModule, procfsModule}

// ruleFor returns the rule with the longest tree that holds dir.
func ruleFor(dir string) (importRule, bool) {
	var best importRule
	found := false
	for _, rule := range importRules {
		// The root's rule is the root's alone: everything is below it.
		holds := rule.tree == dir || (rule.tree != "." && inTree(dir, rule.tree))
		if holds && (!found || len(rule.tree) > len(best.tree)) {
			best, found = rule, true
		}
	}
	return best, found
}

func isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func inModule(importPath, module string) bool {
	return module == anyModule || inTree(importPath, module)
}

// ourDir returns the folder of one of this repository's packages.
func ourDir(importPath string) (string, bool) {
	if importPath == modulePath {
		return ".", true
	}
	return strings.CutPrefix(importPath, modulePath+"/")
}

// allows reports whether the rule lets a file import importPath.
func (r importRule) allows(importPath string, test bool) bool {
	if isStandard(importPath) {
		return true
	}
	if dir, ok := ourDir(importPath); ok {
		// Tests meet both sides, but a test of an example stays a user.
		if r.tree == "." && dir == "." || r.tree != "." && inTree(dir, r.tree) {
			return true
		}
		if test && !slices.Contains([]string{"examples", "bench", "cmd/procpool"}, r.tree) {
			return true
		}
		return slices.ContainsFunc(r.ours, func(tree string) bool {
			return dir == tree || tree != "." && inTree(dir, tree)
		})
	}
	modules := r.modules
	if test {
		modules = append(slices.Clone(modules), testModules...)
	}
	return slices.ContainsFunc(modules, func(module string) bool { return inModule(importPath, module) })
}

func TestEveryPackageImportsOnlyWhatItsRuleAllows(t *testing.T) {
	t.Parallel()
	unruled := map[string]bool{}
	for _, file := range goFiles(t) {
		rule, ok := ruleFor(file.dir)
		if !ok {
			unruled[file.dir] = true
			continue
		}
		for _, spec := range file.ast.Imports {
			importPath, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !rule.allows(importPath, file.test) {
				t.Errorf("%s:%d imports %q, which %s may not: %s",
					file.name, file.line(spec.Pos()), importPath, describe(rule.tree), rule.why)
			}
		}
	}
	for dir := range unruled {
		t.Errorf("no rule says what %s may import: add one to importRules, and to depguard in .golangci.yml where it forbids something", dir)
	}
}

func describe(tree string) string {
	if tree == "." {
		return "package procpool"
	}
	return tree
}

// The rules must be able to refuse, so each of the design's sentences is tried
// with an import that breaks it.
func TestImportRulesRefuse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		dir, imports string
		test, want   bool
	}{
		{dir: ".", imports: "context", want: true},
		{dir: ".", imports: cborModule, want: true},
		{dir: ".", imports: grpcModule},
		{dir: ".", imports: modulePath + "/executor"},
		{dir: ".", imports: modulePath + "/internal/sched"},
		{dir: ".", imports: modulePath + "/executor", test: true, want: true},
		{dir: ".", imports: goleakModule},
		{dir: ".", imports: goleakModule, test: true, want: true},
		{dir: "protocodec", imports: protobufModule + "/proto", want: true},
		{dir: "internal/selfexec", imports: modulePath},
		{dir: "internal/sched", imports: modulePath, want: true},
		{dir: "internal/sched", imports: modulePath + "/internal/proc"},
		{dir: "internal/sched", imports: grpcModule},
		{dir: "internal/sharedop", imports: modulePath},
		{dir: "internal/lockkeep", imports: modulePath},
		{dir: "shared", imports: modulePath + "/internal/lockkeep", want: true},
		{dir: "internal/sharedstate", imports: modulePath, want: true},
		{dir: "internal/sharedstate", imports: modulePath + "/internal/sharedop", want: true},
		{dir: "internal/sharedstate", imports: modulePath + "/internal/sched"},
		{dir: "internal/sharedstate", imports: modulePath + "/internal/wire"},
		{dir: "internal/sharedstate", imports: cborModule},
		{dir: "shared", imports: modulePath, want: true},
		{dir: "shared", imports: modulePath + "/internal/sharedop", want: true},
		{dir: "shared", imports: modulePath + "/internal/sharedstate"},
		{dir: "shared", imports: modulePath + "/executor"},
		{dir: "shared", imports: modulePath + "/executor", test: true, want: true},
		{dir: "procpooltest", imports: modulePath + "/internal/sharedstate", want: true},
		{dir: "procpooltest", imports: modulePath + "/internal/sched"},
		{dir: "examples/hello", imports: modulePath + "/shared", want: true},
		{dir: "internal/proc", imports: sysModule + "/unix", want: true},
		{dir: "internal/proc", imports: modulePath},
		{dir: "internal/wire", imports: pluginModule, want: true},
		{dir: "internal/wire/recorder", imports: modulePath + "/internal/wire", want: true},
		{dir: "internal/wire", imports: modulePath + "/internal/sched"},
		{dir: "internal/wire", imports: modulePath + "/executor"},
		{dir: "internal/gen/procpool/worker/v1", imports: modulePath},
		{dir: "executor", imports: modulePath + "/internal/wire", want: true},
		{dir: "executor", imports: modulePath + "/workerproc"},
		{dir: "executor", imports: grpcModule},
		{dir: "executor", imports: pluginModule},
		{dir: "workerproc", imports: modulePath + "/internal/selfexec", want: true},
		{dir: "workerproc", imports: modulePath + "/internal/sched"},
		{dir: "workerproc", imports: modulePath + "/executor"},
		{dir: "procpooltest", imports: modulePath + "/workerproc", want: true},
		{dir: "procpooltest", imports: modulePath + "/executor"},
		{dir: "examples/hello", imports: modulePath + "/executor", want: true},
		{dir: "examples/hello", imports: modulePath + "/internal/proc"},
		{dir: "examples/hello", imports: modulePath + "/internal/proc", test: true},
		{dir: "bench", imports: pluginModule, want: true},
		{dir: "bench", imports: modulePath + "/internal/sched"},
		{dir: "internal/conformance", imports: modulePath + "/executor", want: true},
		{dir: "internal/conformance", imports: modulePath + "/internal/wire/rawhost", want: true},
		{dir: "internal/conformance", imports: modulePath + "/internal/wire"},
		{dir: "internal/conformance", imports: modulePath + "/workerproc"},
		{dir: "internal/conformance", imports: grpcModule},
		{dir: "internal/conformance/standard/worker", imports: modulePath + "/workerproc", want: true},
		{dir: "internal/conformance/standard", imports: modulePath + "/executor"},
		{dir: "internal/conformance/standard", imports: modulePath + "/internal/conformance"},
		{dir: "cmd/procpool", imports: modulePath + "/internal/conformance", want: true},
		{dir: "cmd/procpool", imports: modulePath + "/internal/wire"},
	}
	for _, test := range tests {
		rule, ok := ruleFor(test.dir)
		if !ok {
			t.Errorf("%s has no rule", test.dir)
			continue
		}
		if got := rule.allows(test.imports, test.test); got != test.want {
			t.Errorf("%s importing %s (test file: %t): allowed %t, want %t", test.dir, test.imports, test.test, got, test.want)
		}
	}
	if rule, ok := ruleFor("internal/newcomer"); ok {
		t.Errorf("a folder nobody thought of got the rule of %q", rule.tree)
	}
}

// What a package imports directly says little when a dependency brings the rest.
func TestTheContractLinksNoTransport(t *testing.T) {
	t.Parallel()
	for _, system := range []string{"linux", "darwin", "windows"} {
		t.Run(system, func(t *testing.T) {
			t.Parallel()
			list := exec.Command("go", "list", "-e", "-deps", "-f", "{{.ImportPath}}", modulePath)
			list.Dir = root(t)
			list.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off")
			out, err := list.Output()
			if err != nil {
				t.Fatalf("go list -deps: %v%s", err, stderrOf(err))
			}
			deps := strings.Fields(string(out))
			if !slices.Contains(deps, modulePath) {
				t.Fatalf("go list -deps does not list the package itself: %d packages", len(deps))
			}
			for _, dep := range deps {
				for _, module := range []string{grpcModule, pluginModule, protobufModule, sysModule, procfsModule} {
					if inModule(dep, module) {
						t.Errorf("package procpool links %s: it is in every program of every user, and must stay free of transports and system libraries", dep)
					}
				}
			}
		})
	}
}

func stderrOf(err error) string {
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // exec.Cmd.Output returns it bare
		return fmt.Sprintf("\n%s", exit.Stderr)
	}
	return ""
}

// Each public folder that has Go files holds the package that it is named for.
func TestPackagesAreNamedForTheirFolders(t *testing.T) {
	t.Parallel()
	for _, file := range goFiles(t) {
		name := strings.TrimSuffix(file.ast.Name.Name, "_test")
		want := path.Base(file.dir)
		if file.dir == "." {
			want = "procpool"
		}
		if name == "main" || name == want || file.generated() {
			continue
		}
		t.Errorf("%s is of package %s in the folder %s: an import would not tell its name", file.name, name, file.dir)
	}
}
