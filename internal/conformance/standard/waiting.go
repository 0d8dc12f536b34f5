package standard

import (
	"context"
	"os"
	"time"

	"github.com/procpool/procpool"
)

// lookEvery is how often a function looks for the file that it waits for.
const lookEvery = 5 * time.Millisecond

// hold is what a function notes and waits for.
type hold struct {
	Mark  string `cbor:"mark" json:"mark"`
	Until string `cbor:"until" json:"until"`
}

// waiting lists the functions that end when they are told to, or not even then.
func waiting() []procpool.Task {
	return []procpool.Task{
		procpool.Define("hold", func(ctx context.Context, h hold) (string, error) { return h.run(ctx, untilFile) }),
		procpool.Define("spin", func(ctx context.Context, h hold) (string, error) { return h.run(ctx, computing) }),
		procpool.Define("hold_out", func(_ context.Context, h hold) (nothing, error) {
			if err := noteLine(h.Mark, "started"); err != nil {
				return nil, err
			}
			select {}
		}),
	}
}

// run holds, with what is done while it waits.
func (h hold) run(ctx context.Context, wait func(ctx context.Context, path string) error) (string, error) {
	if err := noteLine(h.Mark, "started"); err != nil {
		return "", err
	}
	if err := wait(ctx, h.Until); err != nil {
		if noteErr := noteLine(h.Mark, "cancelled"); noteErr != nil {
			return "", noteErr
		}
		return "", err
	}
	return "released", noteLine(h.Mark, "released")
}

// untilFile waits until there is a file of that name, for ever if that is empty.
func untilFile(ctx context.Context, path string) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for !exists(path) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// computing is untilFile without a pause.
func computing(ctx context.Context, path string) error {
	for !exists(path) {
		for began := time.Now(); time.Since(began) < lookEvery; {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

func exists(path string) bool {
	if path == "" {
		return false
	}
	_, err := os.Stat(path)
	return err == nil
}
