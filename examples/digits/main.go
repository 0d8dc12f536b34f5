// Digits has scikit-learn recognise handwritten digits: a model that each Python worker
// trains once, asked 1,797 times through Map, with a segmentation fault in between.
//
// It needs a Python with scikit-learn: `make demo-python` sets one up and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/executor"
)

// Digit is an image, and the digit that it shows.
type Digit struct {
	Pixels []float64 `cbor:"pixels"`
	Label  int       `cbor:"label"`
}

// What worker.py serves.
var (
	Digits   = procpool.RemoteStream[struct{}, Digit]("digits")
	Train    = procpool.Remote[int, int]("train")
	Classify = procpool.Remote[[]float64, int]("classify")
	Crash    = procpool.Remote[struct{}, struct{}]("crash")
)

// every is which images the model is trained with: those in between are new to it.
const every = 2

func main() {
	script := flag.String("worker", "examples/digits/worker.py", "the worker's `script`")
	flag.Parse()
	if err := run(context.Background(), *script); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, script string) error {
	start := time.Now()
	pool, err := executor.New(ctx, executor.Config{
		Workers:     2,
		Command:     executor.Python(script),
		Initializer: Train.Bind(every),
		Tasks:       []procpool.Task{Digits, Train, Classify, Crash},
	})
	if err != nil {
		return err
	}
	defer pool.Close()
	fmt.Printf("a model is trained, in %.1f s\n", time.Since(start).Seconds())

	images, err := all(ctx, pool)
	if err != nil {
		return err
	}
	start = time.Now()
	guesses, crash, err := classify(ctx, pool, images)
	if err != nil {
		return err
	}
	took := time.Since(start)

	right, fresh, freshRight := 0, 0, 0
	for i, image := range images {
		hit := guesses[i] == image.Label
		right += count(hit)
		if i%every != 0 {
			fresh++
			freshRight += count(hit)
		}
	}
	fmt.Printf("%d digits recognised, in %.1f s: %d of %d right (%.1f %%)\n",
		len(guesses), took.Seconds(), right, len(images), percent(right, len(images)))
	fmt.Printf("of the %d that the model had not seen: %d right (%.1f %%)\n", fresh, freshRight, percent(freshRight, fresh))
	fmt.Printf("meanwhile one worker died: %s, %s\n", crash.Reason, firstLine(crash.Stderr))
	fmt.Printf("calls that cost: %d\n", pool.Stats().Failed)
	return nil
}

// all reads the images, as the values of a stream.
func all(ctx context.Context, pool *executor.Pool) (images []Digit, err error) {
	for image, err := range Digits.All(ctx, pool, struct{}{}) {
		if err != nil {
			return nil, err
		}
		images = append(images, image)
	}
	return images, nil
}

// classify asks for each image in turn, and half way has a worker crash.
func classify(ctx context.Context, pool *executor.Pool, images []Digit) (guesses []int, crash *procpool.CrashError, err error) {
	pixels := func(yield func([]float64) bool) {
		for _, image := range images {
			if !yield(image.Pixels) {
				return
			}
		}
	}
	var fault *procpool.Future[struct{}]
	for guess, err := range Classify.Map(ctx, pool, pixels) {
		if err != nil {
			return nil, nil, fmt.Errorf("image %d: %w", len(guesses), err)
		}
		guesses = append(guesses, guess)
		if len(guesses) == len(images)/2 {
			fault = Crash.Submit(ctx, pool, struct{}{}, procpool.Priority(1))
		}
		show(len(guesses), len(images))
	}
	if _, err := fault.Result(ctx); !errors.As(err, &crash) {
		return nil, nil, fmt.Errorf("the segmentation fault ended with: %w", err)
	}
	return guesses, crash, nil
}

// show draws how far it has come, on a terminal.
func show(done, total int) {
	info, err := os.Stderr.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return
	}
	const width = 40
	filled := done * width / total
	end := ""
	if done == total {
		end = "\n"
	}
	fmt.Fprintf(os.Stderr, "\r[%s%s] %d of %d%s", strings.Repeat("#", filled), strings.Repeat(" ", width-filled), done, total, end)
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

func percent(part, whole int) float64 { return 100 * float64(part) / float64(whole) }

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
