package procpool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// Average tells the mean of all numbers so far, each time it gets one.
var Average = procpool.DefineSession("average", func(_ context.Context, unit string, recv iter.Seq[float64], send func(string) error) error {
	sum, n := 0.0, 0
	for v := range recv {
		sum += v
		n++
		if err := send(fmt.Sprintf("%.2f %s", sum/float64(n), unit)); err != nil {
			return err
		}
	}
	return send(fmt.Sprintf("%d in all", n)) // the caller sends no more
})

func ExampleDefineSession() {
	ctx := context.Background()
	pool := procpooltest.Inline(Average)

	// The task keeps its state while the conversation lasts: in a pool it has a
	// process of its own.
	talk := Average.Open(ctx, pool, "km")
	defer talk.Close()
	for _, v := range []float64{3, 4, 8} {
		if err := talk.Send(ctx, v); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(talk.Recv(ctx))
	}
	talk.CloseSend()
	fmt.Println(talk.Recv(ctx))
	_, err := talk.Recv(ctx)
	fmt.Println(errors.Is(err, io.EOF))
	// Output:
	// 3.00 km <nil>
	// 3.50 km <nil>
	// 5.00 km <nil>
	// 3 in all <nil>
	// true
}

func ExampleConversation_All() {
	ctx := context.Background()
	pool := procpooltest.Inline(Average)

	// One goroutine may send while another receives.
	talk := Average.Open(ctx, pool, "s")
	defer talk.Close()
	go func() {
		defer talk.CloseSend()
		for v := range 3 {
			if talk.Send(ctx, float64(v)) != nil {
				return // Recv tells why
			}
		}
	}()
	for mean, err := range talk.All(ctx) {
		fmt.Println(mean, err)
	}
	// Output:
	// 0.00 s <nil>
	// 0.50 s <nil>
	// 1.00 s <nil>
	// 3 in all <nil>
}
