package main

import (
	"image"
	"image/draw"
	"math"
)

// fit returns the largest size of the same proportions that fits into a square,
// but not one larger than size itself.
func fit(size image.Point, side int) image.Point {
	longest := max(size.X, size.Y)
	if longest <= side {
		return size
	}
	return image.Pt(max(1, size.X*side/longest), max(1, size.Y*side/longest))
}

// shrink scales an image down with a box filter: each pixel of the result is the
// mean of the area that it covers. It holds one line of the original at a time.
func shrink(img image.Image, size image.Point) *image.RGBA {
	from := img.Bounds()
	out := image.NewRGBA(image.Rectangle{Max: size})
	line := image.NewRGBA(image.Rect(0, 0, from.Dx(), 1))
	columns, rows := covers(from.Dx(), size.X), covers(from.Dy(), size.Y)
	sums := make([]float64, 4*size.X)
	for y, row := range rows {
		clear(sums)
		for _, source := range row {
			draw.Draw(line, line.Rect, img, from.Min.Add(image.Pt(0, source.pixel)), draw.Src)
			for x, column := range columns {
				sum := sums[4*x : 4*x+4]
				for _, s := range column {
					for c, value := range line.Pix[4*s.pixel : 4*s.pixel+4] {
						sum[c] += float64(value) * s.share * source.share
					}
				}
			}
		}
		for i, sum := range sums {
			out.Pix[y*out.Stride+i] = uint8(math.Round(sum))
		}
	}
	return out
}

// A part is how much one pixel of the original counts in one of the result.
type part struct {
	pixel int
	share float64
}

// covers tells, along one axis, which of n pixels each of m pixels covers. The
// shares of each add up to 1.
func covers(n, m int) [][]part {
	all := make([][]part, m)
	scale := float64(n) / float64(m)
	for i := range all {
		low, high := float64(i)*scale, float64(i+1)*scale
		for pixel := int(low); pixel < n && float64(pixel) < high; pixel++ {
			share := (min(high, float64(pixel+1)) - max(low, float64(pixel))) / scale
			all[i] = append(all[i], part{pixel, share})
		}
	}
	return all
}
