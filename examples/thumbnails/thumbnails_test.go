package main

import (
	"bytes"
	"compress/zlib"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A bomb of a harmless size must be what it claims: a valid, black image.
func TestBombIsAValidImage(t *testing.T) {
	t.Parallel()
	for _, side := range []int{1, 7, 8, 9, 500, 4100} { // 4100: more than one block
		img, err := png.Decode(bytes.NewReader(bomb(side)))
		if err != nil {
			t.Fatalf("side %d: %v", side, err)
		}
		if got := img.Bounds().Size(); got != image.Pt(side, side) {
			t.Errorf("side %d decodes to %v", side, got)
		}
		if r, g, b, a := img.At(side-1, side-1).RGBA(); r != 0 || g != 0 || b != 0 || a != 0xffff {
			t.Errorf("side %d: the last pixel is not black", side)
		}
	}
}

func TestZlibZerosUnpackToZeros(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 65521, 1<<20 - 1, 1 << 20, 3<<20 + 5} {
		r, err := zlib.NewReader(bytes.NewReader(zlibZeros(n)))
		if err != nil {
			t.Fatalf("%d zeros: %v", n, err)
		}
		got, err := io.ReadAll(r) // the end checks the sum
		if err != nil {
			t.Fatalf("%d zeros: %v", n, err)
		}
		if len(got) != n || bytes.Count(got, []byte{0}) != n {
			t.Errorf("%d zeros unpack to %d bytes, %d of them zero", n, len(got), bytes.Count(got, []byte{0}))
		}
	}
}

func TestTheRealBombIsSmall(t *testing.T) {
	t.Parallel()
	data := bomb(bombSide)
	if len(data) > 512<<10 {
		t.Errorf("the bomb is %d bytes long", len(data))
	}
	info, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if int64(info.Width)*int64(info.Height) < 3<<30 {
		t.Errorf("the bomb has only %d x %d pixels", info.Width, info.Height)
	}
}

func TestFit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ size, want image.Point }{
		{image.Pt(100, 50), image.Pt(100, 50)},
		{image.Pt(1280, 640), image.Pt(128, 64)},
		{image.Pt(640, 1280), image.Pt(64, 128)},
		{image.Pt(100_000, 1), image.Pt(128, 1)},
		{image.Pt(129, 129), image.Pt(128, 128)},
	} {
		if got := fit(test.size, 128); got != test.want {
			t.Errorf("fit(%v) = %v, want %v", test.size, got, test.want)
		}
	}
}

// Each pixel is the mean of what it covers, also where the sizes do not divide
// and where the original does not begin at the origin.
func TestShrinkTakesTheMean(t *testing.T) {
	t.Parallel()
	img := image.NewGray(image.Rect(10, 20, 13, 22)) // three columns, two rows
	for i, v := range []uint8{0, 90, 240, 30, 60, 120} {
		img.SetGray(10+i%3, 20+i/3, color.Gray{Y: v})
	}
	got := shrink(img, image.Pt(2, 1))
	// The left pixel covers a column and a half: (0+30 + (90+60)/2) / 3 = 35.
	want := []uint8{35, 35, 35, 255, 145, 145, 145, 255}
	if !slices.Equal(got.Pix, want) {
		t.Errorf("pixels %v, want %v", got.Pix, want)
	}
}

func TestLayoutKeepsCellsApart(t *testing.T) {
	t.Parallel()
	for _, total := range []int{1, 2, 5, 86, maxPerSheet, maxPerSheet + 1, 1000} {
		l := newLayout(total, 50)
		cells := 0
		for sheet := 0; cells < total; sheet++ {
			cells += l.cells(sheet)
		}
		if cells != total {
			t.Errorf("%d images have %d cells", total, cells)
		}
		type place struct {
			sheet int
			cell  image.Rectangle
		}
		seen := map[place]bool{}
		for i := range total {
			sheet, cell := l.place(i)
			if p := (place{sheet, cell}); seen[p] || cell.Dx() != 50 || cell.Dy() != 50 {
				t.Errorf("of %d images, image %d is at %v of sheet %d", total, i, cell, sheet)
			} else {
				seen[p] = true
			}
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, name := range []string{"b.PNG", "a/c.jpeg", "a/notes.txt", "out/sheet.png", "z.gif"} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, err := find(folder, filepath.Join(folder, "out"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, source := range found {
		names = append(names, source.name)
	}
	if want := []string{"a/c.jpeg", "b.PNG", "z.gif"}; !slices.Equal(names, want) {
		t.Errorf("found %q, want %q", names, want)
	}
}

// What a worker answers is looked at before it is decoded.
func TestDecodeRefusesWhatIsNoThumbnail(t *testing.T) {
	t.Parallel()
	if _, err := decode(bomb(200), 128); err == nil {
		t.Error("an image larger than a thumbnail passes")
	}
	if _, err := decode([]byte("junk"), 128); err == nil {
		t.Error("junk passes")
	}
	if _, err := decode(bomb(128), 128); err != nil {
		t.Errorf("a thumbnail is refused: %v", err)
	}
}

func TestBytesText(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1023: "0.999 KiB", 1 << 19: "512 KiB", 3_600_000_000: "3.35 GiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d bytes read %q, want %q", n, got, want)
		}
	}
}
