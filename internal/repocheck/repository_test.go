package repocheck_test

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// modulePath is the library's module, and so the prefix of every package here.
const modulePath = "github.com/procpool/procpool"

// root returns the folder of the repository that this test was built from.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(mod, []byte("module "+modulePath+"\n")) {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatalf("no folder above the test has the go.mod of %s", modulePath)
		}
		dir = parent
	}
}

// files lists what is committed or about to be, with slashes and relative to the
// root: what git tracks and what it does not ignore. In a source archive, where
// there is no git, it is every file outside hidden folders.
func files(t *testing.T) []string {
	t.Helper()
	dir := root(t)
	git := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = dir
	out, err := git.Output()
	if err != nil {
		return walkFiles(t, dir)
	}
	var list []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		// A file that was deleted but not yet committed is still in the index.
		if info, err := os.Lstat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	list = slices.Compact(list) // a file in a merge conflict is listed once a side
	if len(list) == 0 {
		t.Fatal("git lists no files, so there would be nothing to check")
	}
	return list
}

func walkFiles(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != dir && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "out") {
			return filepath.SkipDir
		}
		if entry.Type().IsRegular() {
			rel, err := filepath.Rel(dir, name)
			if err != nil {
				return err
			}
			list = append(list, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// read returns a file's content, and false when the file is gone: people save
// and rename while the tests run.
func read(t *testing.T, name string) ([]byte, bool) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return data, true
}

// A goFile is one parsed Go source file. Files of every system and build tag are
// parsed alike, so that a rule holds on the systems the test does not run on.
type goFile struct {
	name string // relative to the root, with slashes
	dir  string // its folder; "." for the root
	test bool
	ast  *ast.File
	set  *token.FileSet
}

func (f *goFile) generated() bool { return ast.IsGenerated(f.ast) }

func (f *goFile) line(pos token.Pos) int { return f.set.Position(pos).Line }

var (
	parseOnce sync.Once
	parsed    []*goFile
)

// goFiles parses every Go file once for all tests. A file that does not parse is
// the compiler's to report; it is left out here.
func goFiles(t *testing.T) []*goFile {
	t.Helper()
	list := files(t)
	parseOnce.Do(func() {
		for _, name := range list {
			if path.Ext(name) != ".go" || strings.Contains(name, "testdata/") {
				continue
			}
			src, ok := read(t, name)
			if !ok {
				continue
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, name, src, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Logf("left out, it does not parse: %v", err)
				continue
			}
			parsed = append(parsed, &goFile{
				name: name,
				dir:  path.Dir(name),
				test: strings.HasSuffix(name, "_test.go"),
				ast:  file,
				set:  set,
			})
		}
	})
	if len(parsed) == 0 {
		t.Fatal("no Go file could be parsed")
	}
	return parsed
}

// inTree reports whether the folder dir is tree or below it.
func inTree(dir, tree string) bool {
	return dir == tree || strings.HasPrefix(dir, tree+"/")
}
