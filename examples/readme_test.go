package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var consoleBlock = regexp.MustCompile("(?ms)^```console\n\\$ ([^\n]*)\n(.*?)^```$")

// What the README shows under a command is what the command prints.
func TestReadmeShowsWhatTheProgramsPrint(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := consoleBlock.FindAllStringSubmatch(string(readme), -1)
	if len(blocks) < 3 {
		t.Fatalf("README.md shows the output of %d commands only", len(blocks))
	}
	for _, block := range blocks {
		command, shown := block[1], block[2]
		name, ours := strings.CutPrefix(command, "go run ./examples/")
		if demo, ok := map[string]string{"make demo": "thumbnails", "make demo-python": "digits"}[command]; ok {
			name, ours = demo, true
		}
		if !ours {
			t.Errorf("README.md shows the output of %q, which no test compares", command)
			continue
		}
		want, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
		if err != nil {
			t.Error(err)
		} else if got := normal(shown); got != string(want) {
			t.Errorf("README.md shows under %q\n%s\nand it prints\n%s", command, got, want)
		}
	}
}
