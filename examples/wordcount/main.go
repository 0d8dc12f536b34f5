// Wordcount counts the words in Go's own source in a pipeline: files are read here, cut
// into words in worker processes, and what was found is merged here, all at the same
// time. Then it counts once more by itself and compares.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"iter"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/workerproc"
)

// Words tells how often each word is there.
type Words map[string]int

// Count cuts a text into words. It is what the workers do.
var Count = procpool.Define("count", func(_ context.Context, text []byte) (Words, error) {
	return count(text), nil
})

func count(text []byte) Words {
	words := make(Words)
	for word := range bytes.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsLetter(r) && r != '_' }) {
		words[string(word)]++
	}
	return words
}

func (w Words) add(more Words) {
	for word, n := range more {
		w[word] += n
	}
}

// total is how many words there are in all.
func (w Words) total() (n int) {
	for v := range maps.Values(w) {
		n += v
	}
	return n
}

func main() {
	workerproc.Init(Count)
	most := flag.Int("folders", 0, "how many folders to read; 0 for all")
	flag.Parse()
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	root, err := goroot()
	if err != nil {
		log.Fatal(err)
	}

	// An input is a folder: large enough to be worth a message each way.
	all := make(Words)
	read := procpool.StageFunc("read", readFolder, procpool.Parallel(2))
	merge := procpool.StageFunc("merge", func(_ context.Context, words Words) (int, error) {
		all.add(words) // one at a time
		return len(words), nil
	})
	pipeline := procpool.Join(procpool.Join(read, procpool.Stage(Count, procpool.Unordered())), merge)
	began, folders := time.Now(), 0
	for _, err := range pipeline.Run(ctx, pool, foldersBelow(root, *most)) {
		if err != nil {
			log.Fatal(err)
		}
		folders++
	}
	took := time.Since(began)
	fmt.Printf("%d words, %d different ones, in %d folders\n", all.total(), len(all), folders)
	fmt.Printf("the pipeline took %.1f s\n", took.Seconds())

	alone := make(Words)
	for folder := range foldersBelow(root, *most) {
		text, err := readFolder(ctx, folder)
		if err != nil {
			log.Fatal(err)
		}
		alone.add(count(text))
	}
	if !maps.Equal(alone, all) {
		log.Fatalf("one process counts %d words, %d different ones", alone.total(), len(alone))
	}
	fmt.Println("one process counts the same")
}

// foldersBelow yields the folders below root, itself included, at most as many.
func foldersBelow(root string, most int) iter.Seq[string] {
	return func(yield func(string) bool) {
		n := 0
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.IsDir() {
				return err
			}
			if n++; !yield(path) || n == most {
				return filepath.SkipAll
			}
			return nil
		})
		if err != nil {
			panic(err) // it reaches who reads the pipeline
		}
	}
}

// readFolder returns the Go files in a folder, one after the other.
func readFolder(_ context.Context, folder string) ([]byte, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var text []byte
	for _, e := range entries {
		if !e.Type().IsRegular() || filepath.Ext(e.Name()) != ".go" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		text = append(append(text, data...), '\n')
	}
	return text, nil
}

func goroot() (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	return filepath.Join(strings.TrimSpace(string(out)), "src"), err
}
