package repocheck_test

import (
	"fmt"
	"go/ast"
	"go/format"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A codeBlock is one fenced block of a Markdown file.
type codeBlock struct {
	language string
	line     int // of the opening fence
	text     string
}

func codeBlocks(markdown string) []codeBlock {
	var blocks []codeBlock
	var open *codeBlock
	fence := ""
	for i, line := range strings.Split(markdown, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case open == nil && strings.HasPrefix(trimmed, "```"):
			info := strings.TrimLeft(trimmed, "`")
			fence = trimmed[:len(trimmed)-len(info)]
			language, _, _ := strings.Cut(strings.TrimSpace(info), " ")
			open = &codeBlock{language: language, line: i + 1}
		case open != nil && trimmed == fence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	return blocks
}

func readme(t *testing.T) string {
	t.Helper()
	data, ok := read(t, "README.md")
	if !ok {
		t.Fatal("there is no README.md")
	}
	return string(data)
}

// squeeze makes texts equal that differ in white space only.
func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }

var mainPackage = regexp.MustCompile(`(?m)^package main$`)

// A program in the README is a file in examples/, where it is built and run; any
// other Go text at least is Go.
func TestReadmeProgramsAreExamples(t *testing.T) {
	t.Parallel()
	examples := map[string]string{}
	for _, name := range files(t) {
		if inTree(name, "examples") && slices.Contains([]string{".go", ".py"}, path.Ext(name)) {
			if data, ok := read(t, name); ok {
				examples[squeeze(string(data))] = name
			}
		}
	}
	for _, block := range codeBlocks(readme(t)) {
		if block.language == "python" && examples[squeeze(block.text)] == "" {
			t.Errorf("README.md:%d is a Python script, and no file in examples/ has the same text: copy one or the other", block.line)
		}
		if block.language != "go" {
			continue
		}
		if !mainPackage.MatchString(block.text) {
			if _, err := format.Source([]byte(block.text)); err != nil {
				t.Errorf("README.md:%d is not Go: %v", block.line, err)
			}
			continue
		}
		if examples[squeeze(block.text)] == "" {
			t.Errorf("README.md:%d is a whole program, and no file in examples/ has the same text: copy one or the other", block.line)
		}
	}
}

func TestReadmeCommandsWork(t *testing.T) {
	t.Parallel()
	world := commandWorld{targets: makeTargets(t), exists: func(name string) bool {
		_, err := os.Stat(filepath.Join(root(t), filepath.FromSlash(name)))
		return err == nil
	}}
	for _, block := range codeBlocks(readme(t)) {
		for _, command := range shellCommands(block) {
			if err := world.check(command); err != nil {
				t.Errorf("README.md, block at line %d: %q: %v", block.line, command, err)
			}
		}
	}
}

// shellCommands returns the commands of a shell block, one by one. In a console
// block, or where lines start with a prompt, only the prompted lines are commands
// and the rest is what they print.
func shellCommands(block codeBlock) []string {
	if !slices.Contains([]string{"sh", "bash", "shell", "console", "shell-session"}, block.language) {
		return nil
	}
	text := strings.ReplaceAll(block.text, "\\\n", " ")
	prompted := strings.HasPrefix(block.language, "console") || block.language == "shell-session" ||
		regexp.MustCompile(`(?m)^\s*\$ `).MatchString(text)
	var commands []string
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		command, hasPrompt := strings.CutPrefix(line, "$ ")
		if prompted && !hasPrompt {
			continue
		}
		command, _, _ = strings.Cut(" "+command, " #")
		for part := range strings.SplitSeq(command, "&&") {
			if part = strings.TrimSpace(part); part != "" {
				commands = append(commands, part)
			}
		}
	}
	return commands
}

// A commandWorld is what a command can be held against.
type commandWorld struct {
	targets map[string]bool
	exists  func(name string) bool // of a path in the repository
}

var assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)

// check reports what a reader who types the command would stumble over, as far
// as that can be told without running it. A command it does not know is an
// error, so that none goes unchecked.
func (w commandWorld) check(command string) error {
	words := strings.Fields(command)
	for len(words) > 0 && assignment.MatchString(words[0]) {
		words = words[1:]
	}
	if len(words) == 0 {
		return nil
	}
	args := words[1:]
	switch words[0] {
	case "make":
		for _, arg := range args {
			if !assignment.MatchString(arg) && !strings.HasPrefix(arg, "-") && !w.targets[arg] {
				return fmt.Errorf("the Makefile has no target %s", arg)
			}
		}
		return nil
	case "git":
		if len(args) > 0 && args[0] == "clone" {
			return nil
		}
	case "cd":
		return nil
	case "go":
		if len(args) > 0 {
			return w.checkGo(args[0], args[1:])
		}
	case "python3", "node":
		if len(args) > 0 {
			return w.checkPath(args[0])
		}
	case "procpool":
		return w.checkPath("cmd/procpool")
	}
	return fmt.Errorf("nothing here knows how to check %s; teach commandWorld.check", words[0])
}

func (w commandWorld) checkGo(verb string, args []string) error {
	if verb == "mod" || verb == "version" || verb == "env" {
		return nil
	}
	var target string
	for i := 0; i < len(args) && target == ""; i++ {
		switch {
		case args[i] == "-run" || args[i] == "-bench" || args[i] == "-C" || args[i] == "-o":
			i++ // and its value
		case !strings.HasPrefix(args[i], "-"):
			target = args[i]
		}
	}
	switch verb {
	case "get", "install":
		target, _, _ = strings.Cut(target, "@")
		dir, ours := ourDir(target)
		if !ours {
			return fmt.Errorf("%q is not a package of %s", target, modulePath)
		}
		return w.checkPath(dir)
	case "run", "build", "test", "vet", "doc":
		if target == "" || target == "work" || target == "./..." || target == "." {
			return nil
		}
		return w.checkPath(strings.TrimSuffix(target, "/..."))
	}
	return fmt.Errorf("nothing here knows how to check go %s; teach commandWorld.checkGo", verb)
}

func (w commandWorld) checkPath(name string) error {
	if !w.exists(path.Clean(name)) {
		return fmt.Errorf("the repository has no %s", name)
	}
	return nil
}

var targetLine = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)

func makeTargets(t *testing.T) map[string]bool {
	t.Helper()
	makefile, ok := read(t, "Makefile")
	if !ok {
		t.Fatal("there is no Makefile")
	}
	targets := map[string]bool{}
	for _, match := range targetLine.FindAllSubmatch(makefile, -1) {
		targets[string(match[1])] = true
	}
	return targets
}

func TestCommandCheckRefuses(t *testing.T) {
	t.Parallel()
	world := commandWorld{
		targets: map[string]bool{"demo": true, "stress": true},
		exists:  func(name string) bool { return name == "." || name == "examples/hello" || name == "executor" },
	}
	block := codeBlock{language: "console", text: "$ make demo DEMOFLAGS=-x # the main job\nsheet: out/sheet.png\n" +
		"$ git clone somewhere && cd procpool\n$ go get " + modulePath + "@latest\n"}
	want := []string{"make demo DEMOFLAGS=-x", "git clone somewhere", "cd procpool", "go get " + modulePath + "@latest"}
	if got := shellCommands(block); !slices.Equal(got, want) {
		t.Errorf("commands %q, want %q", got, want)
	}
	good := append([]string{
		"go run ./examples/hello", "go test -race -run TestX ./executor/...", "go test work",
		"make stress PKG=./executor RUN=TestX", "go doc ./executor Pool",
	}, want...)
	for _, command := range good {
		if err := world.check(command); err != nil {
			t.Errorf("%q: %v", command, err)
		}
	}
	for _, command := range []string{
		"make dmeo", "go run ./examples/helo", "go get example.com/other", "go get " + modulePath + "/executer",
		"curl somewhere", "go frobnicate", "procpool map",
	} {
		if err := world.check(command); err == nil {
			t.Errorf("%q passes", command)
		}
	}
}

var (
	testName     = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark|Example)[A-Z][A-Za-z0-9_]*`)
	relativeLink = regexp.MustCompile(`\]\(([^)#: ]+)(?:#[^) ]*)?\)`)
)

// The documents prove their rules by naming the tests that hold them.
func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	declared := map[string]bool{}
	for _, file := range goFiles(t) {
		if !file.test {
			continue
		}
		for _, decl := range file.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				declared[fn.Name.Name] = true
			}
		}
	}
	for _, name := range files(t) {
		if path.Ext(name) != ".md" || name == "CHANGELOG.md" {
			continue
		}
		data, ok := read(t, name)
		if !ok {
			continue
		}
		for _, found := range testName.FindAllString(string(data), -1) {
			if !declared[found] && found != "TestMain" {
				t.Errorf("%s names %s, and no test file declares it", name, found)
			}
		}
	}
}

func TestRelativeLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, name := range files(t) {
		if path.Ext(name) != ".md" {
			continue
		}
		data, ok := read(t, name)
		if !ok {
			continue
		}
		text := string(data)
		for _, block := range codeBlocks(text) {
			text = strings.ReplaceAll(text, block.text, "") // an instantiation looks like a link
		}
		for _, match := range relativeLink.FindAllStringSubmatch(text, -1) {
			target := path.Join(path.Dir(name), match[1])
			if _, err := os.Stat(filepath.Join(root(t), filepath.FromSlash(target))); err != nil {
				t.Errorf("%s links to %s, and there is no %s", name, match[1], target)
			}
		}
	}
}
