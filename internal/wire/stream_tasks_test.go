//go:build unix

package wire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/procpool/procpool"
)

// The streams and sessions of the worker.
var (
	// numbers yields 0 to n-1.
	numbers = procpool.DefineStream("numbers", func(_ context.Context, n int, emit func(int) error) error {
		for i := range n {
			if err := emit(i); err != nil {
				return err
			}
		}
		return nil
	})
	// endless yields numbers until nobody takes them any more, and says on standard
	// output why it ended.
	endless = procpool.DefineStream("endless", func(ctx context.Context, from int, emit func(int) error) error {
		for i := from; ; i++ {
			if err := emit(i); err != nil {
				fmt.Printf("endless: %v, matches the context's: %v\n", err, errors.Is(err, ctx.Err()))
				return err
			}
		}
	})
	// oneThenBusy yields one value, then goes around that often without a call, at which
	// it could be interrupted; its values are the time.
	oneThenBusy = procpool.DefineStream("one_then_busy", func(_ context.Context, rounds int, emit func(int64) error) error {
		if err := emit(time.Now().UnixNano()); err != nil {
			return err
		}
		x := uint64(rounds)
		for range rounds {
			x = x*6364136223846793005 + 1
		}
		return emit(time.Now().UnixNano() + int64(x&1))
	})
	// twoThenWait yields two values without a pause, then waits until it is given up.
	twoThenWait = procpool.DefineStream("two_then_wait", func(ctx context.Context, _ int, emit func(int) error) error {
		for i := range 2 {
			if err := emit(i); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return ctx.Err()
	})
	// chunks yields byte slices of the given sizes.
	chunks = procpool.DefineStream("chunks", func(_ context.Context, spec []byte, emit func([]byte) error) error {
		for field := range bytes.FieldsSeq(spec) {
			size, err := strconv.Atoi(string(field))
			if err != nil {
				return err
			}
			if err := emit(pattern(size)); err != nil {
				return err
			}
		}
		return nil
	}, procpool.WithCodec(procpool.Raw))
	// thenDies yields n values, the last ones with pauses, and dies. What comes behind a
	// pause is seen to be with the kernel, unless a timer has just sent those before it.
	thenDies = procpool.DefineStream("then_dies", func(_ context.Context, n int, emit func(int) error) error {
		for i := range n {
			if i > n-5 {
				busy(2 * time.Millisecond)
			}
			if err := emit(i); err != nil {
				return err
			}
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	})
	// thenFails yields n values and fails; thenPanics panics; thenExits ends its goroutine.
	thenFails = procpool.DefineStream("then_fails", func(_ context.Context, n int, emit func(int) error) error {
		for i := range n {
			if err := emit(i); err != nil {
				return err
			}
		}
		return errors.New("no more")
	})
	thenPanics = procpool.DefineStream("then_panics", func(_ context.Context, n int, emit func(int) error) error {
		for i := range n {
			if err := emit(i); err != nil {
				return err
			}
		}
		panic("no more")
	})
	thenExits = procpool.DefineStream("then_exits", func(_ context.Context, _ int, emit func(int) error) error {
		if err := emit(0); err != nil {
			return err
		}
		runtime.Goexit()
		return nil
	})
	// leaves returns at once and goes on emitting; the second value says how that ended.
	leaves = procpool.DefineStream("leaves", func(_ context.Context, _ int, emit func(int) error) error {
		began := make(chan struct{})
		go func() {
			close(began)
			for {
				if err := emit(1); err != nil {
					fmt.Println("leaves:", err)
					return
				}
			}
		}()
		<-began
		return nil
	})

	// pingPong answers each number with its square, and behind the last with the sum.
	pingPong = procpool.DefineSession("ping_pong", func(_ context.Context, init int, recv iter.Seq[int], send func(int) error) error {
		sum := init
		for n := range recv {
			sum += n
			if err := send(n * n); err != nil {
				return err
			}
		}
		return send(sum)
	})
	// echoes sends back what it receives.
	echoes = procpool.DefineSession("echoes", func(_ context.Context, _ []byte, recv iter.Seq[[]byte], send func([]byte) error) error {
		for b := range recv {
			if err := send(b); err != nil {
				return err
			}
		}
		return nil
	}, procpool.WithCodec(procpool.Raw))
	// deaf never receives; it sends how many bytes it was opened with and waits.
	deaf = procpool.DefineSession("deaf", func(ctx context.Context, init []byte, _ iter.Seq[[]byte], send func([]byte) error) error {
		if err := send(strconv.AppendInt(nil, int64(len(init)), 10)); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}, procpool.WithCodec(procpool.Raw))
	// listener receives until there is no more, then says on standard output what its
	// context says.
	listener = procpool.DefineSession("listener", func(ctx context.Context, _ int, recv iter.Seq[int], _ func(int) error) error {
		for range recv {
		}
		fmt.Printf("listener: %v\n", ctx.Err())
		return ctx.Err()
	})
	// quits takes n values and returns.
	quits = procpool.DefineSession("quits", func(_ context.Context, n int, recv iter.Seq[int], _ func(int) error) error {
		for range recv {
			if n--; n <= 0 {
				break
			}
		}
		return nil
	})
	// duplex sends and receives without regard to each other, and sends last how many
	// values it has received.
	duplex = procpool.DefineSession("duplex", func(_ context.Context, n int, recv iter.Seq[int], send func(int) error) error {
		received := make(chan int)
		go func() {
			got := 0
			for range recv {
				got++
			}
			received <- got
		}()
		for i := range n {
			if err := send(i); err != nil {
				return err
			}
		}
		return send(<-received)
	})
)

var streamTasks = []procpool.Task{
	numbers, endless, oneThenBusy, twoThenWait, chunks, thenDies, thenFails, thenPanics, thenExits, leaves,
	pingPong, echoes, deaf, listener, quits, duplex,
}

// pattern returns bytes that are not all the same.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}
