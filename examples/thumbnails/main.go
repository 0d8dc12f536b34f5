// Thumbnails makes a contact sheet of the images below a folder, each in a worker
// process: a file that is no image costs itself, and so does one that makes its
// decoder eat all memory. To show that, it adds such a file.
//
//	go run ./examples/thumbnails [-out FOLDER] [FOLDER]
//
// Without a folder it takes the images with which Go's own decoders are tested.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/procpool/procpool/executor"
	"github.com/procpool/procpool/workerproc"
)

func main() {
	workerproc.Init(makeThumbnail)
	var o options
	flag.StringVar(&o.out, "out", filepath.Join("out", "thumbnails"), "write sheet.png and index.html into this `folder`")
	flag.IntVar(&o.side, "size", 128, "fit the thumbnails into squares of this many `pixels`")
	flag.Int64Var(&o.memory, "memory", 512, "limit each worker to this many `MiB` of memory; 0 sets no limit")
	flag.IntVar(&o.workers, "workers", 0, "start this `number` of workers; 0 starts one for each CPU")
	flag.BoolVar(&o.bomb, "bomb", true, "add a decompression bomb to the images")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: thumbnails [flags] [folder of images]\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := o.check(flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "thumbnails: %v\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "thumbnails: %v\n", err)
		os.Exit(1)
	}
}

type options struct {
	folder, out   string
	side, workers int
	memory        int64 // MiB
	bomb          bool
}

func (o *options) check(args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("one folder at a time, and flags before it; got %q", args)
	}
	if len(args) == 1 {
		o.folder = args[0]
	}
	if o.side < 16 || o.side > 1024 {
		return fmt.Errorf("-size %d: thumbnails are 16 to 1024 pixels wide", o.side)
	}
	const most = 1 << 20
	if o.memory < 0 || o.memory > most {
		return fmt.Errorf("-memory %d: a limit is 0 to %d MiB", o.memory, most)
	}
	return nil
}

// run returns an error when there is no sheet. A file that fails is no error.
func run(ctx context.Context, o options) (err error) {
	if o.folder == "" {
		if o.folder, err = goImages(); err != nil {
			return err
		}
	}
	sources, err := find(o.folder, o.out)
	if err != nil {
		return err
	}
	if err := prepare(o.out); err != nil {
		return err
	}
	pool, err := newPool(ctx, &o)
	if err != nil {
		return err
	}
	defer pool.Close()

	fmt.Printf("%d images below %s\n", len(sources), o.folder)
	if o.bomb {
		bomb, err := plantBomb()
		if err != nil {
			return err
		}
		defer os.RemoveAll(filepath.Dir(bomb.path))
		sources = slices.Insert(sources, len(sources)/2, bomb)
		fmt.Printf("and one of our own, of %s, that takes %s to decode; each worker may use %s\n",
			bytesText(bomb.size), bytesText(bombSide*bombSide), bytesText(o.memory<<20))
	}
	begin := time.Now()
	l := newLayout(len(sources), o.side)
	outcomes, err := thumbnails(ctx, pool, sources, &sheets{layout: l, folder: o.out, open: map[int]*openSheet{}})
	if err != nil {
		return err
	}
	if err := writePage(o.out, "Images below "+o.folder, l, outcomes); err != nil {
		return err
	}
	report(outcomes, time.Since(begin), pool.Stats())
	fmt.Printf("\nsheet: %s\npage:  %s\n", filepath.Join(o.out, sheetName(0)), filepath.Join(o.out, "index.html"))
	return nil
}

// prepare makes sure, before there is work to lose, that the output can be
// written.
func prepare(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("can't make the output folder: %w", err)
	}
	probe, err := os.CreateTemp(folder, ".thumbnails-*")
	if err != nil {
		return fmt.Errorf("can't write into the output folder: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// newPool starts the workers. Where their memory can't be limited the bomb would
// hit the whole machine, so it is left out.
func newPool(ctx context.Context, o *options) (*executor.Pool, error) {
	cfg := executor.Config{
		Workers:     o.workers,
		MemoryLimit: o.memory << 20,
		// What a dying worker says is in its CrashError too.
		Output: io.Discard,
	}
	pool, err := executor.New(ctx, cfg)
	if errors.Is(err, errors.ErrUnsupported) && cfg.MemoryLimit > 0 {
		fmt.Printf("the workers' memory can't be limited here, so there is no decompression bomb (%v)\n", err)
		cfg.MemoryLimit, o.bomb = 0, false
		return executor.New(ctx, cfg)
	}
	if o.bomb && (o.memory == 0 || o.memory<<20 > bombSide*bombSide/2) {
		fmt.Println("no decompression bomb is added, because the memory limit would let it through")
		o.bomb = false
	}
	return pool, err
}

func plantBomb() (source, error) {
	path, err := writeBomb()
	if err != nil {
		return source{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return source{}, err
	}
	return source{path: path, name: "bomb.png", size: info.Size()}, nil
}

// thumbnails has the workers make them, and draws each as soon as it is there. It
// holds no thumbnail longer than that, however many there are.
func thumbnails(ctx context.Context, pool *executor.Pool, sources []source, s *sheets) ([]outcome, error) {
	show := newProgress(os.Stdout, len(sources))
	defer show.stop()
	outcomes := make([]outcome, len(sources))
	requests := func(yield func(request) bool) {
		for _, source := range sources {
			if !yield(request{Path: source.path, Side: s.side}) {
				return
			}
		}
	}
	for item := range makeThumbnail.MapUnordered(ctx, pool, requests) {
		if item.Index < 0 && ctx.Err() == nil {
			return nil, item.Err // the pool's, not one file's
		}
		if ctx.Err() != nil {
			break
		}
		var thumb image.Image
		if item.Err == nil {
			thumb, item.Err = decode(item.Out.PNG, s.side)
		}
		o := outcome{
			source: sources[item.Index], err: item.Err,
			format: item.Out.Format, width: item.Out.Width, height: item.Out.Height, took: item.Out.Took,
		}
		outcomes[item.Index] = o
		err := s.draw(item.Index, func(canvas *image.RGBA, cell image.Rectangle) {
			switch {
			case o.err == nil:
				paintThumbnail(canvas, cell, thumb)
			case o.crash() != nil:
				paintCrashed(canvas, cell)
			default:
				paintFailed(canvas, cell)
			}
		})
		if err != nil {
			return nil, err
		}
		show.step(item.Err)
	}
	if ctx.Err() != nil {
		return nil, errors.New("interrupted, so there is no sheet")
	}
	return outcomes, nil
}

// decode reads what a worker made of a file that nobody knows. So it looks first
// whether it is as small as it must be.
func decode(data []byte, side int) (image.Image, error) {
	info, err := png.DecodeConfig(bytes.NewReader(data))
	if err == nil && (info.Width > side || info.Height > side) {
		err = fmt.Errorf("it has %d×%d pixels", info.Width, info.Height)
	}
	var thumb image.Image
	if err == nil {
		thumb, err = png.Decode(bytes.NewReader(data))
	}
	if err != nil {
		return nil, fmt.Errorf("the worker answered with something that is no thumbnail: %w", err)
	}
	return thumb, nil
}

// report says what was made and what failed.
func report(outcomes []outcome, took time.Duration, stats executor.Stats) {
	const most = 20
	width := 0
	var failed []outcome
	for _, o := range outcomes {
		if o.err != nil {
			failed = append(failed, o)
			width = max(width, len(o.name))
		}
	}
	fmt.Printf("\n%d thumbnails in %.1f s; files that failed: %d; workers that died and were replaced: %d\n",
		len(outcomes)-len(failed), took.Seconds(), len(failed), stats.Crashes)
	for _, o := range failed[:min(len(failed), most)] {
		fmt.Printf("  %-*s  %s\n", width, o.name, o.reason())
	}
	if more := len(failed) - most; more > 0 {
		fmt.Printf("  and %d more, which the page lists\n", more)
	}
}
