package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"os"
	"path/filepath"
)

// The colours of the sheet, and of index.html beside it.
var (
	ground   = color.RGBA{0x1b, 0x1d, 0x21, 0xff}
	tileDark = color.RGBA{0x2c, 0x2f, 0x35, 0xff}
	tileLite = color.RGBA{0x38, 0x3c, 0x43, 0xff}
	failing  = color.RGBA{0x3a, 0x24, 0x28, 0xff}
	cross    = color.RGBA{0xc9, 0x5a, 0x5f, 0xff}
	crashing = color.RGBA{0xc2, 0x3b, 0x40, 0xff}
	ink      = color.RGBA{0x1b, 0x12, 0x13, 0xff}
	spark    = color.RGBA{0xff, 0xd1, 0x66, 0xff}
)

const (
	gap         = 8 // pixels around the cells
	maxPerSheet = 384
)

// A layout says where the cell of each image is. Many images take several
// sheets, so that a sheet can be drawn in memory and looked at.
type layout struct {
	total, side, columns int
}

// newLayout makes the sheet about one and a half times as wide as high, with as
// few empty places in its last row as that allows.
func newLayout(total, side int) layout {
	n := min(total, maxPerSheet)
	ideal := int(math.Ceil(math.Sqrt(1.5 * float64(n))))
	best := ideal
	for columns := max(1, ideal-2); columns <= ideal+1; columns++ {
		if empty(n, columns) < empty(n, best) {
			best = columns
		}
	}
	return layout{total: total, side: side, columns: best}
}

func empty(cells, columns int) int { return (columns - cells%columns) % columns }

// place returns the number of the sheet and the cell of image i.
func (l layout) place(i int) (sheet int, cell image.Rectangle) {
	sheet, i = i/maxPerSheet, i%maxPerSheet
	corner := image.Pt(i%l.columns, i/l.columns).Mul(l.side + gap).Add(image.Pt(gap, gap))
	return sheet, image.Rectangle{Min: corner, Max: corner.Add(image.Pt(l.side, l.side))}
}

// cells returns how many cells a sheet has.
func (l layout) cells(sheet int) int { return min(l.total-sheet*maxPerSheet, maxPerSheet) }

// sheetName returns the file's name: sheet.png, sheet-2.png and so on.
func sheetName(sheet int) string {
	if sheet == 0 {
		return "sheet.png"
	}
	return fmt.Sprintf("sheet-%d.png", sheet+1)
}

// sheets draws cells in any order and writes each sheet once it is full.
type sheets struct {
	layout
	folder string
	open   map[int]*openSheet
}

type openSheet struct {
	canvas *image.RGBA
	left   int // cells still to come
}

// draw has paint fill the cell of image i.
func (s *sheets) draw(i int, paint func(canvas *image.RGBA, cell image.Rectangle)) error {
	number, cell := s.place(i)
	sheet := s.open[number]
	if sheet == nil {
		n := s.cells(number)
		pitch := s.side + gap
		size := image.Rect(0, 0, s.columns*pitch+gap, (n+s.columns-1)/s.columns*pitch+gap)
		sheet = &openSheet{canvas: image.NewRGBA(size), left: n}
		fill(sheet.canvas, size, ground)
		s.open[number] = sheet
	}
	paint(sheet.canvas, cell)
	if sheet.left--; sheet.left > 0 {
		return nil
	}
	delete(s.open, number)
	var out bytes.Buffer
	if err := png.Encode(&out, sheet.canvas); err != nil {
		return fmt.Errorf("can't encode %s: %w", sheetName(number), err)
	}
	if err := os.WriteFile(filepath.Join(s.folder, sheetName(number)), out.Bytes(), 0o644); err != nil {
		return fmt.Errorf("can't write the sheet: %w", err)
	}
	return nil
}

// paintThumbnail puts a thumbnail into the middle of a cell. Small images are
// enlarged by a whole factor. What is transparent shows a chequered ground.
func paintThumbnail(canvas *image.RGBA, cell image.Rectangle, thumb image.Image) {
	size := thumb.Bounds().Size()
	factor := max(1, cell.Dx()/max(size.X, size.Y))
	area := image.Rectangle{Max: size.Mul(factor)}
	area = area.Add(cell.Min).Add(cell.Size().Sub(area.Size()).Div(2))
	fill(canvas, cell, tileDark)
	const tile = 8
	for y := area.Min.Y; y < area.Max.Y; y += tile {
		for x := area.Min.X; x < area.Max.X; x += tile {
			if ((x-area.Min.X)/tile+(y-area.Min.Y)/tile)%2 == 1 {
				fill(canvas, image.Rect(x, y, x+tile, y+tile).Intersect(area), tileLite)
			}
		}
	}
	if factor == 1 {
		draw.Draw(canvas, area, thumb, thumb.Bounds().Min, draw.Over)
		return
	}
	for y := range size.Y {
		for x := range size.X {
			at := area.Min.Add(image.Pt(x, y).Mul(factor))
			pixel := image.Rectangle{Min: at, Max: at.Add(image.Pt(factor, factor))}
			shade := thumb.At(thumb.Bounds().Min.X+x, thumb.Bounds().Min.Y+y)
			draw.Draw(canvas, pixel, image.NewUniform(shade), image.Point{}, draw.Over)
		}
	}
}

// paintFailed marks a file that holds no image: a thin cross.
func paintFailed(canvas *image.RGBA, cell image.Rectangle) {
	paintShape(canvas, cell, failing, cross, func(x, y float64) float64 {
		// The distance from the nearer diagonal, within a square around the middle.
		line := min(math.Abs(x-y), math.Abs(x+y))/math.Sqrt2 - 0.035
		return max(line, math.Abs(x)-0.3, math.Abs(y)-0.3)
	})
}

// paintCrashed marks a file that killed its worker: a bomb.
func paintCrashed(canvas *image.RGBA, cell image.Rectangle) {
	paintShape(canvas, cell, crashing, ink, func(x, y float64) float64 {
		ball := math.Hypot(x+0.06, y-0.1) - 0.46
		neck := max(math.Abs((x-0.3)-(y+0.26))/math.Sqrt2-0.1, math.Abs((x-0.3)+(y+0.26))/math.Sqrt2-0.13)
		fuse := max(math.Abs(math.Hypot(x-0.52, y+0.3)-0.2)-0.03, y+0.3, 0.36-x)
		return min(ball, neck, fuse)
	})
	paintShape(canvas, cell, color.RGBA{}, spark, func(x, y float64) float64 {
		return math.Hypot(x-0.72, y+0.32) - 0.09
	})
}

// paintShape fills a cell and draws a shape into it. distance tells how far a
// point is from the shape, less than zero inside; the cell reaches from -1 to 1.
func paintShape(canvas *image.RGBA, cell image.Rectangle, back, front color.RGBA, distance func(x, y float64) float64) {
	half := float64(cell.Dx()) / 2
	draw.Draw(canvas, cell, image.NewUniform(back), image.Point{}, draw.Over)
	for y := cell.Min.Y; y < cell.Max.Y; y++ {
		for x := cell.Min.X; x < cell.Max.X; x++ {
			d := distance((float64(x-cell.Min.X)+0.5)/half-1, (float64(y-cell.Min.Y)+0.5)/half-1)
			cover := uint8(255 * min(1, max(0, 0.5-d*half))) // a pixel's width of blur
			draw.DrawMask(canvas, image.Rect(x, y, x+1, y+1), image.NewUniform(front), image.Point{},
				image.NewUniform(color.Alpha{A: cover}), image.Point{}, draw.Over)
		}
	}
}

func fill(canvas *image.RGBA, area image.Rectangle, shade color.RGBA) {
	draw.Draw(canvas, area, image.NewUniform(shade), image.Point{}, draw.Src)
}
