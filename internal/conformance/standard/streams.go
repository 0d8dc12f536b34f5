package standard

import (
	"context"
	"errors"
	"os"

	"github.com/procpool/procpool"
)

type counting struct {
	N     int     `cbor:"n" json:"n"`
	Until string  `cbor:"until" json:"until"`
	Fail  *string `cbor:"fail" json:"fail"`
	Exit  *int    `cbor:"exit" json:"exit"`
	Mark  string  `cbor:"mark" json:"mark"`
}

type pieces struct {
	N    int `cbor:"n" json:"n"`
	Size int `cbor:"size" json:"size"`
}

// streams lists the streams.
func streams() []procpool.Task {
	return []procpool.Task{
		procpool.DefineStream("count", count),
		procpool.DefineStream("chunks", func(_ context.Context, p pieces, emit func([]byte) error) error {
			for range p.N {
				if err := emit(makeBytes(p.Size)); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}

func count(ctx context.Context, c counting, emit func(int) error) (err error) {
	if c.Mark != "" {
		defer func() { err = errors.Join(err, noteLine(c.Mark, "ended")) }()
	}
	for i := 0; c.N < 0 || i < c.N; i++ {
		if err := emit(i); err != nil {
			return err
		}
		if i == 0 && c.Until != "" {
			if err := untilFile(ctx, c.Until); err != nil {
				return err
			}
		}
	}
	switch {
	case c.Exit != nil:
		os.Exit(*c.Exit)
	case c.Fail != nil:
		return errors.New(*c.Fail)
	}
	return nil
}
