//go:build unix

package wire_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/wire"
)

// What a task asks of shared state goes to who keeps it, with the call that asks; and all
// of it is there before the call's end, also that whose answer is not awaited.
func TestSharedCalls(t *testing.T) {
	var (
		mu   sync.Mutex
		came []string
	)
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		came = append(came, what)
	}
	h := start(t, func(o *wire.Options) {
		o.OnNested = func(_ uint32, _ uint64, c *procpool.Call) {
			t.Errorf("%s was taken for a call of a task", c.Task())
			c.Finish(nil, procpool.ErrUnknownTask)
		}
		o.OnShared = func(lane uint32, seq uint64, c *procpool.Call) {
			if c.Kind() != procpool.KindShared || c.Conduit() != nil || lane != 0 || seq == 0 {
				t.Errorf("%s is a %v of call %d on lane %d", c.Task(), c.Kind(), seq, lane)
			}
			note(c.Task())
			if c.Task() == "mutex.unlock" {
				c.Finish(nil, errors.New("nobody hears of this"))
			}
			c.Finish(c.Payload(), nil)
		}
		replies := o.OnReplies
		o.OnReplies = func(r []wire.Reply) {
			for range r {
				note("end")
			}
			replies(r)
		}
	})
	for i := range 100 {
		if got := mustResult(t, operates.Submit(t.Context(), h, i)); got != i {
			t.Fatalf("got %d, want %d", got, i)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for i := 0; i+3 <= len(came); i += 3 {
		if want := []string{"counter.add", "mutex.unlock", "end"}; !slices.Equal(came[i:i+3], want) {
			t.Fatalf("what came was %q, want %q", came[i:i+3], want)
		}
	}
}

// A task that locks again and again asks the host now and then only, and has told it of
// every unlock before its own end.
func TestRelockingAsksTheHostSeldom(t *testing.T) {
	const rounds = 5000
	var locks, unlocks, atEnd atomic.Int64
	h := start(t, func(o *wire.Options) {
		o.OnShared = func(_ uint32, _ uint64, c *procpool.Call) {
			if c.Task() == "mutex.lock" {
				locks.Add(1)
			} else {
				unlocks.Add(1)
			}
			c.Finish([]byte{0xa0}, nil) // an empty map in CBOR
		}
		replies := o.OnReplies
		o.OnReplies = func(r []wire.Reply) {
			atEnd.Store(unlocks.Load())
			replies(r)
		}
	})
	for range 20 {
		if got := mustResult(t, relocks.Submit(t.Context(), h, rounds)); got != rounds {
			t.Fatalf("got %d, want %d", got, rounds)
		}
		if asked := locks.Swap(0); asked == 0 || asked > rounds/2 || atEnd.Load() != asked {
			t.Fatalf("%d rounds: the host was asked %d times, and at the end of the call told of %d unlocks", rounds, asked, atEnd.Load())
		}
		unlocks.Store(0)
	}
}

// A host that keeps no shared state says so in Hello, and a worker asks nothing of it.
func TestSharedCallsRefused(t *testing.T) {
	h := start(t, func(o *wire.Options) {
		o.OnNested = func(_ uint32, _ uint64, c *procpool.Call) {
			t.Errorf("%s came", c.Task())
			c.Finish(nil, procpool.ErrUnknownTask)
		}
	})
	_, err := operates.Call(t.Context(), h, 1)
	if !errors.As(err, new(*procpool.TaskError)) {
		t.Fatal(err)
	}
	wantText(t, err.Error(), "counter.add was not done", "keeps no shared state")
}
