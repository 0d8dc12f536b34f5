package examples_test

import (
	"bytes"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// The main job, as make demo runs it: the images in the Go toolchain and a
// decompression bomb. The list of what failed must be exact.
func TestThumbnails(t *testing.T) {
	t.Parallel()
	needMemoryLimit(t)
	r := runExample(t, "thumbnails")
	r.check(t, 0)
	if r.stderr != "" {
		t.Errorf("it prints on standard error:\n%s", r.stderr)
	}

	compare(t, "thumbnails", r.stdout)
	if got, want := list(t, r.dir), []string{"out/thumbnails/index.html", "out/thumbnails/sheet.png"}; !slices.Equal(got, want) {
		t.Errorf("it leaves the files %q, want %q", got, want)
	}
	checkSheet(t, filepath.Join(r.dir, "out", "thumbnails"))
}

// checkSheet reads the output as a user would open it.
func checkSheet(t *testing.T, folder string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "sheet.png"))
	if err != nil {
		t.Fatal(err)
	}
	sheet, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("sheet.png is no image: %v", err)
	}
	if size := sheet.Bounds().Size(); size.X < 500 || size.Y < 300 {
		t.Errorf("sheet.png has only %v pixels", size)
	}
	page, err := os.ReadFile(filepath.Join(folder, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"<b>testdata/video-001.png</b>28.5 KiB, png, 150×103, ",
		"<tr><td>png/testdata/invalid-zlib.png</td><td>png: invalid format: zlib: invalid checksum</td></tr>",
		"<tr><td>bomb.png</td><td>its worker, pid ",
		"url('sheet.png')",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("index.html does not hold %q", want)
		}
	}
}

// A run without a bomb on one's own folder: a second run leaves out what the
// first has written.
func TestThumbnailsOfAFolder(t *testing.T) {
	t.Parallel()
	needMemoryLimit(t)
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(goroot)), "src", "image", "testdata", "video-001.png"))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, `a <b> & "c".png`), image, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "empty.gif"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r := runExample(t, "thumbnails", "-bomb=false", "-out", filepath.Join(folder, "out"), folder)
		r.check(t, 0)
		for _, want := range []string{"2 images below ", "1 thumbnails in ", "files that failed: 1; workers that died and were replaced: 0", "empty.gif  image: unknown format"} {
			if !strings.Contains(r.stdout, want) {
				t.Errorf("it does not print %q:\n%s", want, r.stdout)
			}
		}
		page, err := os.ReadFile(filepath.Join(folder, "out", "index.html"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), "<b>a &lt;b&gt; &amp; &#34;c&#34;.png</b>") {
			t.Error("index.html does not show the odd file name as text")
		}
	}
}

func TestThumbnailsSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	needMemoryLimit(t)
	empty, file := t.TempDir(), filepath.Join(t.TempDir(), "file.png")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no folder", []string{filepath.Join(empty, "none")}, 1, "can't read the folder: "},
		{"empty folder", []string{empty}, 1, "there are no images below "},
		{"a file", []string{file}, 1, "file.png is a file; name the folder that holds it"},
		{"output is a file", []string{"-out", file}, 1, "can't make the output folder: "},
		{"two folders", []string{"a", "b"}, 2, `one folder at a time, and flags before it; got ["a" "b"]`},
		{"size", []string{"-size", "1"}, 2, "-size 1: thumbnails are 16 to 1024 pixels wide"},
		{"memory", []string{"-memory", "-1"}, 2, "-memory -1: a limit is 0 to 1048576 MiB"},
		{"little memory", []string{"-memory", "1"}, 1, "Config.MemoryLimit is 1048576 bytes"},
		{"workers", []string{"-workers", "-1"}, 1, "Config.Workers is -1"},
		{"unknown flag", []string{"-nope"}, 2, "usage: thumbnails [flags] [folder of images]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := runExample(t, "thumbnails", test.args...)
			r.check(t, test.code)
			if !strings.Contains(r.stderr, test.want) {
				t.Errorf("it says\n%s\nwhich lacks %q", r.stderr, test.want)
			}
		})
	}
}

// needMemoryLimit skips where the example leaves the bomb out and prints
// something else.
func needMemoryLimit(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("workers' memory can be limited on Linux only")
	}
}
