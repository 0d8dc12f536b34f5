// Walk adds up the sizes of the files below a folder, Go's own source unless another
// is given: each folder is a call, which makes a call of the same pool for each folder
// in it. Then it walks once more by itself and compares.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/workerproc"
)

// Usage is what a folder holds, with all that is below it.
type Usage struct {
	Name                  string
	Bytes, Files, Folders int64
	Inside                []Usage // the folders in it, without theirs
}

// Walk looks at a folder. While it waits for the calls that it makes, others take its
// place in the worker, so two workers are enough for a tree of any depth.
var Walk = procpool.Define("walk", func(ctx context.Context, folder string) (Usage, error) {
	u := Usage{Name: filepath.Base(folder), Folders: 1}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return u, err
	}
	var below []*procpool.Future[Usage]
	for _, e := range entries {
		if e.IsDir() {
			below = append(below, walkFolder.Submit(ctx, procpool.ExecutorFrom(ctx), filepath.Join(folder, e.Name())))
			continue
		}
		if err := u.add(e); err != nil {
			return u, err
		}
	}
	inside, err := procpool.All(ctx, below...)
	for _, b := range inside {
		u.Bytes, u.Files, u.Folders = u.Bytes+b.Bytes, u.Files+b.Files, u.Folders+b.Folders
		b.Inside = nil
		u.Inside = append(u.Inside, b)
	}
	return u, err
})

// walkFolder is what Walk calls itself by: a variable can't refer to itself.
var walkFolder = procpool.Remote[string, Usage]("walk")

// add counts a file; what is neither file nor folder counts for nothing.
func (u *Usage) add(e fs.DirEntry) error {
	if !e.Type().IsRegular() {
		return nil
	}
	info, err := e.Info()
	if err != nil {
		return err
	}
	u.Files++
	u.Bytes += info.Size()
	return nil
}

func main() {
	workerproc.Init(Walk)
	root, err := folder()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	pool, err := executor.New(ctx, executor.Config{Workers: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	tree, err := Walk.Call(ctx, pool, root)
	if err != nil {
		log.Fatal(err)
	}
	slices.SortFunc(tree.Inside, func(a, b Usage) int { return cmp.Compare(b.Bytes, a.Bytes) })
	for _, u := range tree.Inside[:min(3, len(tree.Inside))] {
		fmt.Printf("%11d bytes in %s\n", u.Bytes, u.Name)
	}
	fmt.Printf("%11d bytes in %d files below %s, in %d calls\n", tree.Bytes, tree.Files, root, pool.Stats().Succeeded)

	var alone Usage
	err = filepath.WalkDir(root, func(_ string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			alone.Folders++
			return nil
		}
		return alone.add(e)
	})
	if err != nil {
		log.Fatal(err)
	}
	if alone.Bytes != tree.Bytes || alone.Files != tree.Files || alone.Folders != tree.Folders {
		log.Fatalf("filepath.WalkDir finds %d bytes in %d files and %d folders", alone.Bytes, alone.Files, alone.Folders)
	}
	fmt.Println("filepath.WalkDir finds the same")
}

// folder is the argument, or the folder of Go's source.
func folder() (string, error) {
	if len(os.Args) > 1 {
		return os.Args[1], nil
	}
	out, err := exec.Command("go", "env", "GOROOT").Output()
	return filepath.Join(strings.TrimSpace(string(out)), "src"), err
}
