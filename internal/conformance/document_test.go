package conformance_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/procpool/procpool/internal/conformance"
)

const document = "../../docs/conformance.md"

var update = flag.Bool("update", false, "write the tables of cases into docs/conformance.md")

func TestDocumentListsTheCases(t *testing.T) {
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	const from, to = "<!-- cases -->\n", "<!-- end of cases -->"
	before, rest, found := strings.Cut(string(data), from)
	_, after, ends := strings.Cut(rest, to)
	if !found || !ends {
		t.Fatalf("%s has no place for the cases, between %q and %q", document, from, to)
	}
	want := before + from + tables() + to + after
	if string(data) == want {
		return
	}
	if !*update {
		t.Fatalf("%s does not list the cases as they are: run go test ./internal/conformance -run Document -update", document)
	}
	if err := os.WriteFile(document, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tables are the cases as the document shows them.
func tables() string {
	var b strings.Builder
	section := ""
	for _, c := range conformance.Cases() {
		if c.Section != section {
			section = c.Section
			fmt.Fprintf(&b, "\n### %s\n\n| case | promise |\n|---|---|\n", strings.ToUpper(section[:1])+section[1:])
		}
		fmt.Fprintf(&b, "| %s | %s |\n", c.Name, c.Promise)
	}
	return b.String() + "\n"
}

// A row of the tables of functions: name, kind, what it takes and gives, what it does.
var functionRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (function|stream|session|actor) \\| .* \\| (.*) \\|$")

func TestDocumentNamesTheFunctions(t *testing.T) {
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	rows := functionRow.FindAllStringSubmatch(string(data), -1)
	all := conformance.StandardFunctions()
	if len(rows) != len(all) {
		t.Errorf("the document has %d functions, the kit %d", len(rows), len(all))
	}
	for i, row := range rows[:min(len(rows), len(all))] {
		f := all[i]
		if row[1] != f.Name || row[2] != f.Kind || strings.Contains(row[3], "Optional") != f.Optional {
			t.Errorf("the document has %q, the kit %+v", row[0], f)
		}
	}
}

func TestCasesAreInOrder(t *testing.T) {
	seen, sections := make(map[string]bool), make(map[string]bool)
	section := ""
	called := make(map[string]bool)
	for _, c := range conformance.Cases() {
		if seen[c.ID()] {
			t.Errorf("%s is there twice", c.ID())
		}
		seen[c.ID()] = true
		if c.Section != section {
			if sections[c.Section] {
				t.Errorf("the section %q is in two pieces", c.Section)
			}
			section = c.Section
			sections[section] = true
		}
		if c.Promise == "" || !strings.HasSuffix(c.Promise, ".") || strings.Contains(c.Promise, "|") {
			t.Errorf("%s promises %q, which is no sentence for a table", c.ID(), c.Promise)
		}
		for _, name := range c.Uses() {
			called[name] = true
		}
	}
	for _, f := range conformance.StandardFunctions() {
		if !called[f.Name] {
			t.Errorf("no case calls %q", f.Name)
		}
	}
}
