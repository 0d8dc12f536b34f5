package main

import (
	"bytes"
	"context"
	"errors"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	"image/png"
	"os"
	"time"

	"github.com/procpool/procpool"
)

// request is all that a worker learns: it reads the file itself. What main set
// up, the flags for instance, does not exist in a worker, so it travels here.
type request struct {
	Path string
	Side int // of the square that the thumbnail must fit into, in pixels
}

// thumbnail is what a worker answers.
type thumbnail struct {
	PNG           []byte
	Format        string // of the file
	Width, Height int    // of the image in it
	Took          time.Duration
}

// makeThumbnail runs in the workers. It trusts the decoders on purpose: a careful
// program would look at the dimensions first and refuse a decompression bomb,
// this one shows what it costs to forget it.
var makeThumbnail = procpool.Define("make_thumbnail", func(_ context.Context, r request) (thumbnail, error) {
	begin := time.Now()
	file, err := os.Open(r.Path)
	if err != nil {
		return thumbnail{}, err
	}
	defer file.Close()
	img, format, err := image.Decode(file)
	if err != nil {
		return thumbnail{}, err
	}
	size := img.Bounds().Size()
	if size.X <= 0 || size.Y <= 0 {
		return thumbnail{}, errors.New("the image has no pixels")
	}
	var out bytes.Buffer
	if err := png.Encode(&out, shrink(img, fit(size, r.Side))); err != nil {
		return thumbnail{}, err
	}
	return thumbnail{PNG: out.Bytes(), Format: format, Width: size.X, Height: size.Y, Took: time.Since(begin)}, nil
})
