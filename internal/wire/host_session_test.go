//go:build unix

package wire_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/wire"
)

func TestSessionPingPong(t *testing.T) {
	h := startStreams(t)
	for range 2 {
		ctx := patient(t)
		c := pingPong.Open(ctx, h, 1000)
		sum := 1000
		for i := range 1300 { // beyond a window
			if err := c.Send(ctx, i); err != nil {
				t.Fatal(err)
			}
			if got, err := c.Recv(ctx); err != nil || got != i*i {
				t.Fatalf("the answer to %d is %d, %v", i, got, err)
			}
			sum += i
		}
		c.CloseSend()
		if got, err := c.Recv(ctx); err != nil || got != sum {
			t.Errorf("the sum is %d, %v, want %d", got, err, sum)
		}
		if _, err := c.Recv(ctx); err != io.EOF { //nolint:errorlint // Recv returns it bare
			t.Errorf("behind the last value: %v", err)
		}
		if err := c.Send(ctx, 1); !errors.Is(err, io.EOF) {
			t.Errorf("sending to a session that has ended gives %v", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// CloseSend before anything else was sent, and before the session has started.
func TestSessionHalfClosedAtOnce(t *testing.T) {
	h := startStreams(t)
	c := pingPong.Open(patient(t), h, 5)
	c.CloseSend()
	c.CloseSend()
	if got, err := c.Recv(patient(t)); err != nil || got != 5 {
		t.Errorf("got %d, %v", got, err)
	}
	if err := c.Send(patient(t), 1); err == nil {
		t.Error("a value was sent after CloseSend")
	}
}

func TestSessionLargeValues(t *testing.T) {
	h := startStreams(t)
	ctx := patient(t)
	c := echoes.Open(ctx, h, nil)
	for _, size := range []int{0, 1, 127, 128, 16_383, 16_384, 16_385, 65_500, 300_000, 3 << 20, 10 << 20, 2} {
		if err := c.Send(ctx, pattern(size)); err != nil {
			t.Fatal(err)
		}
		got, err := c.Recv(ctx)
		if err != nil || !bytes.Equal(got, pattern(size)) {
			t.Fatalf("of %d bytes %d others came back, %v", size, len(got), err)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// A task that takes nothing has its caller wait, within a window.
func TestSessionSendBlocks(t *testing.T) {
	h := startStreams(t)
	for _, size := range []int{10, 100_000} {
		c := deaf.Open(patient(t), h, pattern(7))
		if got, err := c.Recv(patient(t)); err != nil || string(got) != "7" {
			t.Fatalf("got %s, %v", got, err)
		}
		sent := 0
		var err error
		for err == nil && sent < 10_000 {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			err = c.Send(ctx, pattern(size))
			cancel()
			if err == nil {
				sent++
			}
		}
		if want := map[int]int{10: 1024, 100_000: 11}[size]; !errors.Is(err, procpool.ErrNotDone) || sent != want {
			t.Errorf("%d values of %d bytes were taken, want %d, then error %v", sent, size, want, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := mustResult(t, square.Submit(t.Context(), h, 7)); got != 49 {
		t.Errorf("got %d", got)
	}
}

// Both sides send more than a window before they receive: neither hangs, for each has
// a goroutine that takes.
func TestSessionBothSidesSend(t *testing.T) {
	h := startStreams(t)
	const n = 5000
	ctx := patient(t)
	c := duplex.Open(ctx, h, n)
	go func() {
		for i := range n {
			if c.Send(ctx, i) != nil {
				return
			}
		}
		c.CloseSend()
	}()
	got, err := collect(c.All(ctx))
	if err != nil || len(got) != n+1 || got[n] != n {
		t.Errorf("%d values came, the last %v, error %v", len(got), got[max(0, len(got)-1)], err)
	}
}

// Both sides send and neither takes: each waits, and Close ends it.
func TestSessionBothSidesBlocked(t *testing.T) {
	h := startStreams(t)
	c := duplex.Open(patient(t), h, 1_000_000)
	if err := c.Send(patient(t), 1); err != nil {
		t.Fatal(err)
	}
	awaitWaiting(t, h, 0)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if got := mustResult(t, square.Submit(t.Context(), h, 7)); got != 49 {
		t.Errorf("got %d", got)
	}
}

func TestSessionGivenUpWhileReceiving(t *testing.T) {
	h := startStreams(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := listener.Open(ctx, h, 0)
	for i := range 10 {
		if err := c.Send(patient(t), i); err != nil {
			t.Fatal(err)
		}
	}
	awaitWaiting(t, h, 0)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if !eventually(func() bool { return h.printed("listener: context canceled") }) {
		t.Error("recv did not end")
	}
	if err := c.Send(patient(t), 1); err == nil {
		t.Error("a value was sent to a session that was closed")
	}
}

// A session that returns while its caller sends.
func TestSessionQuits(t *testing.T) {
	h := startStreams(t)
	for range 20 {
		c := quits.Open(patient(t), h, 3)
		var err error
		for i := 0; err == nil; i++ {
			err = c.Send(patient(t), i)
		}
		if !errors.Is(err, io.EOF) {
			t.Fatalf("got error %v", err)
		}
	}
}

func TestSessionCrashWhileCallerSends(t *testing.T) {
	h := startStreams(t)
	c := deaf.Open(patient(t), h, nil)
	if _, err := c.Recv(patient(t)); err != nil {
		t.Fatal(err)
	}
	h.stopWorker() // what is sent now stays on the way
	go h.worker.Kill(nil)
	var err error
	for err == nil {
		err = c.Send(patient(t), pattern(50_000))
	}
	if !errors.Is(err, errDied) {
		t.Errorf("got error %v", err)
	}
	if _, err := c.Recv(patient(t)); !errors.Is(err, errDied) {
		t.Errorf("got error %v", err)
	}
}

// What is sent to a worker that is stopped never has its sender wait for the worker
// other than for lack of credit.
func TestSessionOfAStoppedWorker(t *testing.T) {
	h := startStreams(t, func(o *wire.Options) { o.Lanes = 2 })
	a, b := deaf.Open(patient(t), h.on(0), nil), deaf.Open(patient(t), h.on(1), nil)
	for _, c := range []*procpool.Conversation[[]byte, []byte]{a, b} {
		if _, err := c.Recv(patient(t)); err != nil {
			t.Fatal(err)
		}
	}
	h.stopWorker()
	for range 1024 {
		if err := a.Send(patient(t), pattern(900)); err != nil {
			t.Fatal(err)
		}
		if err := b.Send(patient(t), pattern(900)); err != nil {
			t.Fatal(err)
		}
	}
	h.worker.Kill(nil)
	h.awaitDone()
}
