package standard

import (
	"context"
	"errors"
	"iter"

	"github.com/procpool/procpool"
)

type taking struct {
	N    int     `cbor:"n" json:"n"`
	Fail *string `cbor:"fail" json:"fail"`
}

// sessions lists the sessions.
func sessions() []procpool.Task {
	return []procpool.Task{
		procpool.DefineSession("echo_session", func(_ context.Context, _ nothing, recv iter.Seq[any], send func(any) error) error {
			for v := range recv {
				if err := send(v); err != nil {
					return err
				}
			}
			return nil
		}),
		procpool.DefineSession("sum_session", func(ctx context.Context, sum int64, recv iter.Seq[int64], send func(int64) error) error {
			for v := range recv {
				sum += v
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			return send(sum)
		}),
		procpool.DefineSession("take_session", take),
		procpool.DefineSession("deaf_session", func(ctx context.Context, h hold, _ iter.Seq[any], _ func(any) error) error {
			_, err := h.run(ctx, untilFile)
			return err
		}),
	}
}

func take(_ context.Context, t taking, recv iter.Seq[any], send func(any) error) error {
	left := t.N
	if left > 0 {
		for v := range recv {
			if err := send(v); err != nil {
				return err
			}
			if left--; left == 0 {
				break
			}
		}
	}
	if t.Fail != nil {
		return errors.New(*t.Fail)
	}
	return nil
}
