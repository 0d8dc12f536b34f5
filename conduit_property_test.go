package procpool_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/procpool/procpool"
)

// worker is the far end of a conduit, which keeps the contract to the letter: it sends
// as much as it has credit for, and gives credit as it likes.
type worker struct {
	feed                *procpool.Feed
	window, windowBytes int64

	mu                    sync.Mutex
	credit, creditBytes   int64 // to send
	sent                  int64
	given, givenBytes     int64 // for what it receives
	received              int64
	unreturned, unretByte int64 // of what it received
	ended                 bool
	broken                string
}

func (w *worker) Grant(values, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.credit += values
	w.creditBytes += bytes
	if w.credit > w.window || w.creditBytes > w.windowBytes {
		w.broken = fmt.Sprintf("it may send %d values and %d bytes, the window is %d and %d", w.credit, w.creditBytes, w.window, w.windowBytes)
	}
}

func (w *worker) Send(value []byte, end bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.ended:
		w.broken = "something follows the end"
	case end:
		w.ended = true
	case w.given <= 0 || w.givenBytes <= 0:
		w.broken = "a value was sent for which there was no credit"
	case string(value) != valueOf(w.received):
		w.broken = fmt.Sprintf("received %q as number %d", value, w.received)
	default:
		w.given--
		w.givenBytes -= int64(len(value))
		w.received++
		w.unreturned++
		w.unretByte += int64(len(value))
	}
}

// valueOf is value number n: no two are alike, and some are large.
func valueOf(n int64) string { return fmt.Sprintf("%d:%*d", n, n*n%97, n) }

// send sends what it has credit for, at most n values, in one message.
func (w *worker) send(n int) bool {
	w.mu.Lock()
	var values [][]byte
	for len(values) < n && w.credit > 0 && w.creditBytes > 0 {
		v := []byte(valueOf(w.sent))
		values = append(values, v)
		w.sent++
		w.credit--
		w.creditBytes -= int64(len(v))
	}
	w.mu.Unlock()
	return len(values) == 0 || w.feed.Values(values)
}

// give gives back part of the credit for what it has received.
func (w *worker) give(values int64) {
	w.mu.Lock()
	values = min(values, w.unreturned)
	bytes := w.unretByte
	if values < w.unreturned {
		bytes = w.unretByte * values / w.unreturned
	}
	w.unreturned -= values
	w.unretByte -= bytes
	w.given += values
	w.givenBytes += bytes
	w.mu.Unlock()
	w.feed.Credit(values, bytes)
}

// Whatever the two ends of a call and the executor between them do, in whatever order:
// what is sent comes, once and in order, nobody sends more than the other has room
// for, and nobody waits for ever.
func TestConduitProperty(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 4)) //nolint:gosec // to be repeated
			window, windowBytes := 1+rng.Int64N(20), 1+rng.Int64N(500)
			c, d := newConduit(window, windowBytes)
			w := &worker{window: window, windowBytes: windowBytes, credit: window, creditBytes: windowBytes}
			total, pushes := 200+rng.Int64N(200), 200+rng.Int64N(200)
			w.given, w.givenBytes = window, windowBytes
			w.feed = d.Attach(w, 0)
			w.feed.Credit(window, windowBytes)

			var read, pushed int64
			readers, writers := make(chan struct{}), make(chan struct{}) // one token a step
			var done sync.WaitGroup
			done.Go(func() {
				for range readers {
					value, err := d.Next(t.Context())
					if err != nil {
						if !errors.Is(err, io.EOF) || read != total {
							t.Errorf("seed %d: Next after %d of %d values: %v", seed, read, total, err)
						}
						return
					}
					if string(value) != valueOf(read) {
						t.Errorf("seed %d: value %d is %q", seed, read, value)
					}
					read++
				}
			})
			done.Go(func() {
				for range writers {
					if pushed == pushes {
						d.End()
						return
					}
					if err := d.Push(t.Context(), []byte(valueOf(pushed))); err != nil {
						t.Errorf("seed %d: Push %d: %v", seed, pushed, err)
						return
					}
					pushed++
				}
			})
			// try has somebody take a step who does not wait.
			try := func(ch chan struct{}) {
				select {
				case ch <- struct{}{}:
				default:
				}
			}
			for step := 0; w.sent < total || w.received < pushes; step++ {
				switch rng.IntN(5) {
				case 0:
					if !w.send(int(min(1+rng.Int64N(8), total-w.sent))) {
						t.Fatalf("seed %d: what it had credit for was refused", seed)
					}
				case 1:
					w.give(1 + rng.Int64N(8))
				case 2, 3:
					try(readers)
				case 4:
					try(writers)
				}
				synctest.Wait()
				if ahead := w.sent - read; ahead > window+1 {
					t.Fatalf("seed %d: %d values are on their way, the window is %d", seed, ahead, window)
				}
				if w.broken != "" {
					t.Fatalf("seed %d, step %d: %s", seed, step, w.broken)
				}
				if step > 100_000 {
					t.Fatalf("seed %d: stuck at %d of %d sent, %d of %d received", seed, w.sent, total, w.received, pushes)
				}
			}
			c.Finish(nil, nil)
			for range total - read + 1 {
				try(readers)
				synctest.Wait()
			}
			try(writers)
			synctest.Wait()
			close(readers)
			close(writers)
			done.Wait()
		})
	}
}
