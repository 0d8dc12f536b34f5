package procpool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/procpool/procpool"
)

// parity is a handle whose calls have "odd", "even" or, for 0, no key.
var parity = square.KeyBy(func(n int) string {
	switch {
	case n == 0:
		return ""
	case n%2 == 0:
		return "even"
	}
	return "odd"
})

func TestKeyByInSubmit(t *testing.T) {
	t.Parallel()
	s := newStage(1)
	for _, c := range []struct {
		handle *procpool.Func[int, int]
		in     int
		want   string
	}{
		{square, 3, ""},
		{parity, 3, "odd"},
		{parity, 4, "even"},
		{parity, 0, ""},
		{parity.With(procpool.Priority(1)), 3, "odd"},
		{parity.KeyBy(func(n int) string { return fmt.Sprint(n) }), 3, "3"},
		{parity.KeyBy(nil), 3, ""},
	} {
		f := c.handle.Submit(t.Context(), s, c.in)
		call := s.start()
		if got := call.Key(); got != c.want {
			t.Errorf("the key of %d is %q, want %q", c.in, got, c.want)
		}
		answer(call, square)
		if v, err := f.Result(t.Context()); err != nil || v != c.in*c.in {
			t.Errorf("square(%d) = %d, %v", c.in, v, err)
		}
	}
	if parity.Name() != "square" || !parity.Local() {
		t.Errorf("KeyBy made %q, %v of it", parity.Name(), parity.Local())
	}
}

// A pack never mixes keys, however it is cut, and results keep their order.
func TestKeyByInMap(t *testing.T) {
	t.Parallel()
	for _, inputs := range [][]int{upTo(40), {1, 3, 5, 2, 4, 6, 0, 0, 7, 9}, {2, 2, 2, 2}, nil} {
		s := newStage(100)
		s.packs = true
		keys := make(chan string, 100)
		s.serve(t, 2, func(c *procpool.Call) {
			c.Seal()
			all := items(c)
			keyOf := func(c *procpool.Call, want string) {
				for _, in := range items(c) {
					n := number(t, in)
					if got := c.Key(); got != want || got == "odd" && n%2 == 0 || got == "even" && n%2 == 1 || got == "" && n != 0 {
						t.Errorf("%d travels with the key %q", n, got)
					}
				}
				keys <- c.Key()
			}
			key := c.Key()
			if len(all) > 1 {
				rest := s.split(c, 1)
				keyOf(rest, key)
				answer(rest, square)
			}
			keyOf(c, key)
			answer(c, square)
		})
		var got []int
		for v, err := range parity.Map(t.Context(), s, slices.Values(inputs)) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, v)
		}
		var want []int
		for _, n := range inputs {
			want = append(want, n*n)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		i := 0
		for item := range parity.MapUnordered(t.Context(), s, slices.Values(inputs)) {
			if item.Err != nil || item.Out != item.In*item.In || inputs[item.Index] != item.In {
				t.Errorf("%+v", item)
			}
			i++
		}
		if i != len(inputs) {
			t.Errorf("%d items of %d", i, len(inputs))
		}
		if len(inputs) > 4 && len(keys) == 0 {
			t.Error("no call was looked at")
		}
	}
}

// Neighbours with the same key travel together.
func TestKeyByPacksNeighbours(t *testing.T) {
	t.Parallel()
	s := newStage(10)
	s.packs = true
	packed, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for _, err := range parity.Map(t.Context(), s, func(yield func(int) bool) {
			for _, n := range []int{1, 3, 5, 2, 4, 0} {
				yield(n)
			}
			close(packed)
		}) {
			if err != nil {
				t.Error(err)
			}
		}
	}()
	<-packed
	for _, want := range []struct {
		key   string
		items int
	}{{"odd", 3}, {"even", 2}, {"", 1}} {
		c := <-s.calls
		if n := c.Seal(); n != want.items || c.Key() != want.key {
			t.Errorf("%d items travel with the key %q, want %+v", n, c.Key(), want)
		}
		answer(c, square)
	}
	<-ended
}

// A key function that panics does so where its caller can see it.
func TestKeyByPanics(t *testing.T) {
	t.Parallel()
	bad := square.KeyBy(func(n int) string { panic("no key") })
	s := newStage(1)
	mustPanic(t, "no key", func() { bad.Submit(t.Context(), s, 1) })
	mustPanic(t, "no key", func() {
		for v, err := range bad.Map(t.Context(), s, slices.Values(upTo(3))) {
			t.Errorf("a result: %d, %v", v, err)
		}
	})
	if len(s.calls) != 0 {
		t.Error("a call without its key reached the executor")
	}
}

// What a pack knows of its attempts goes with both halves.
func TestSplitCarriesTheAttempts(t *testing.T) {
	t.Parallel()
	s := newStage(10)
	s.packs = true
	packed, ended := make(chan struct{}), make(chan struct{})
	handle := square.With(procpool.Retries(2), procpool.Timeout(time.Second), procpool.Priority(7))
	go func() {
		defer close(ended)
		for _, err := range handle.Map(t.Context(), s, func(yield func(int) bool) {
			_ = yield(1) && yield(2)
			close(packed)
		}) {
			if err != nil {
				t.Error(err)
			}
		}
	}()
	<-packed
	c := <-s.calls
	c.Seal()
	c.Slot.Attempts, c.Slot.Failures, c.Slot.Victims, c.Slot.Suspect, c.Slot.Stamp = 4, 3, 2, true, 99
	c.NoteFailed(procpool.Attempt{Err: crash})
	rest := s.split(c, 1)
	if r := rest.Slot; r.Attempts != 4 || r.Failures != 3 || r.Victims != 2 || !r.Suspect || r.Stamp != 99 {
		t.Errorf("%+v", rest.Slot)
	}
	if failed := rest.Record(procpool.Queued).Failed; len(failed) != 1 || !same(failed[0].Err, crash) {
		t.Errorf("%+v", failed)
	}
	rest.NoteFailed(procpool.Attempt{Err: oom})
	if failed := c.Record(procpool.Queued).Failed; len(failed) != 1 {
		t.Errorf("the halves share what follows: %+v", failed)
	}
	if rest.Timeout() != time.Second || rest.Priority() != 7 || !rest.MayRetry() {
		t.Errorf("%v, %d, %v", rest.Timeout(), rest.Priority(), rest.MayRetry())
	}
	answer(rest, square)
	answer(c, square)
	<-ended
}

func TestBind(t *testing.T) {
	t.Parallel()
	in := []byte("model.bin")
	load := procpool.Define("load", func(_ context.Context, b []byte) (int, error) { return len(b), nil }, procpool.Retries(9), procpool.Priority(3), procpool.NoWait()).
		KeyBy(func([]byte) string { return "key" })
	b := load.Bind(in, procpool.WithCodec(procpool.Raw), procpool.Timeout(time.Second), procpool.Metadata(map[string]string{"a": "1"}), procpool.Idempotent())
	clear(in)
	if b.IsZero() || b.Err() != nil || !new(procpool.Bound).IsZero() || new(procpool.Bound).Err() != nil {
		t.Errorf("%v, %v", b.IsZero(), b.Err())
	}
	first, second := b.NewCall(), b.NewCall()
	if first == second {
		t.Error("a call is made twice")
	}
	for _, c := range []*procpool.Call{first, second} {
		if c.Task() != "load" || c.Codec() != "raw" || string(c.Payload()) != "model.bin" || c.Timeout() != time.Second || c.Metadata()["a"] != "1" || !c.Local() {
			t.Errorf("%q %q %q %v %v", c.Task(), c.Codec(), c.Payload(), c.Timeout(), c.Metadata())
		}
		if _, deadline := c.Deadline(); deadline || c.Key() != "" || c.Priority() != 0 || c.NoWait() || c.MayRetry() || c.Items() != 1 || c.Finished() {
			t.Errorf("%q %d %v %v", c.Key(), c.Priority(), c.NoWait(), c.MayRetry())
		}
		if _, again, final := c.Retry(1, crash); again || !same(final, crash) {
			t.Errorf("%v, %v", again, final)
		}
	}
	if !first.Finish(encoded(1), nil) || second.Finished() || !second.Finish(nil, errBoom) {
		t.Error("the calls share their outcome")
	}
	// An argument that can't be encoded is told, not sent.
	for _, in := range []any{panicky{}, func() {}} {
		b := procpool.Remote[any, int]("load").Bind(in)
		var ce *procpool.CodecError
		if err := b.Err(); b.IsZero() || !errors.As(err, &ce) || ce.Task != "load" || ce.Op != "encode the argument" {
			t.Errorf("%T: %v", in, err)
		}
	}
}

func TestCallOptions(t *testing.T) {
	t.Parallel()
	call, f := staged(t.Context())
	if call.Timeout() != 0 || call.Priority() != 0 || call.MayRetry() {
		t.Errorf("%v, %d, %v", call.Timeout(), call.Priority(), call.MayRetry())
	}
	f.Cancel()
	handle := square.With(procpool.Timeout(time.Hour), procpool.Priority(-5))
	s := newStage(1)
	f = handle.Submit(t.Context(), s, 1, procpool.Timeout(time.Second))
	if call := s.start(); call.Timeout() != time.Second || call.Priority() != -5 {
		t.Errorf("%v, %d", call.Timeout(), call.Priority())
	}
	f.Cancel()
}

func TestAttemptFrom(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for n, want := range map[int]int{-1: 1, 0: 1, 1: 1, 2: 2, 101: 101} {
		if got := procpool.AttemptFrom(procpool.WithAttempt(ctx, n)); got != want {
			t.Errorf("attempt %d reads as %d", n, got)
		}
	}
	if procpool.AttemptFrom(ctx) != 1 || procpool.WithAttempt(ctx, 1) != ctx {
		t.Error("the first attempt needs a context of its own")
	}
}
