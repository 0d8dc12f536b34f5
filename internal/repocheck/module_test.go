package repocheck_test

import (
	"encoding/json"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// directModules are what the library's go.mod may require by itself. Every one is
// a thing each user downloads and trusts, so a new one needs its reason here.
var directModules = map[string]string{
	cborModule:     "the default codec",
	protobufModule: "the worker contract, and protocodec",
	grpcModule:     "the transport",
	pluginModule:   "handshake and protocol versions",
	hclogModule:    "the logger type that go-plugin wants",
	sysModule:      "system calls that the standard library lacks",
	procfsModule:   "memory and processor use of a worker",
	goleakModule:   "tests only: no goroutine is left",
	rapidModule:    "tests only: properties",
}

// A goMod is what these tests read of `go mod edit -json`.
type goMod struct {
	Module  struct{ Path string }
	Require []struct {
		Path     string
		Indirect bool
	}
	Replace []struct {
		Old, New struct{ Path, Version string }
	}
	Exclude []struct{ Path, Version string }
}

func readMod(t *testing.T, name string) goMod {
	t.Helper()
	edit := exec.Command("go", "mod", "edit", "-json", filepath.FromSlash(name))
	edit.Dir = root(t)
	out, err := edit.Output()
	if err != nil {
		t.Fatalf("go mod edit -json %s: %v%s", name, err, stderrOf(err))
	}
	var mod goMod
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatalf("go mod edit -json %s: %v", name, err)
	}
	return mod
}

func TestLibraryRequiresOnlyWhatItNeeds(t *testing.T) {
	t.Parallel()
	mod := readMod(t, "go.mod")
	for _, require := range mod.Require {
		if _, ok := directModules[require.Path]; !ok && !require.Indirect {
			t.Errorf("go.mod requires %s: every user downloads it; put what needs it into a nested module, or give the reason in directModules", require.Path)
		}
	}
	if len(mod.Replace) > 0 || len(mod.Exclude) > 0 {
		t.Error("go.mod has replace or exclude lines: they do nothing for those who import the library, so it would be tested with what users do not get")
	}
}

// A nested module is built against the library next to it until there is a tag.
func TestNestedModulesReplaceOnlyOurs(t *testing.T) {
	t.Parallel()
	for _, name := range files(t) {
		if path.Base(name) != "go.mod" || name == "go.mod" {
			continue
		}
		mod := readMod(t, name)
		if want := modulePath + "/" + path.Dir(name); mod.Module.Path != want {
			t.Errorf("%s is module %s, want %s: go install finds a module by its folder", name, mod.Module.Path, want)
		}
		for _, replace := range mod.Replace {
			if _, ours := ourDir(replace.Old.Path); !ours || !strings.HasPrefix(replace.New.Path, "..") {
				t.Errorf("%s replaces %s by %s: only modules of this repository, by their folder, may be replaced", name, replace.Old.Path, replace.New.Path)
			}
		}
	}
}

// The workspace is what make test covers; a module outside of it is not tested.
func TestWorkspaceHoldsEveryModule(t *testing.T) {
	t.Parallel()
	edit := exec.Command("go", "work", "edit", "-json")
	edit.Dir = root(t)
	out, err := edit.Output()
	if err != nil {
		t.Fatalf("go work edit -json: %v%s", err, stderrOf(err))
	}
	var work struct{ Use []struct{ DiskPath string } }
	if err := json.Unmarshal(out, &work); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, use := range work.Use {
		used[path.Clean(filepath.ToSlash(use.DiskPath))] = true
	}
	for _, name := range files(t) {
		dir := path.Dir(name)
		if path.Base(name) != "go.mod" || strings.Contains(name, "testdata/") {
			continue
		}
		switch inTools := inTree(dir, "tools"); {
		case inTools && used[dir]:
			t.Errorf("go.work uses %s: a tool's dependencies must not choose the library's versions", dir)
		case !inTools && !used[dir]:
			t.Errorf("go.work does not use %s: make test and make lint would leave it out", dir)
		}
	}
}
