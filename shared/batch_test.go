package shared_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
	"github.com/procpool/procpool/shared"
)

var numbers = shared.DefineQueue[int]("numbers", 5, shared.Deliveries(2))

// values returns those of items.
func values[T any](items []*shared.Item[T]) (of []T) {
	for _, item := range items {
		of = append(of, item.Value)
	}
	return of
}

// gets fails the test unless these are the first items, so many at the most.
func gets(t *testing.T, ex procpool.Executor, most int, want ...int) []*shared.Item[int] {
	t.Helper()
	items, err := numbers.GetMany(t.Context(), ex, most)
	must(t, "GetMany", err, nil)
	if !slices.Equal(values(items), want) {
		t.Fatalf("got %v, want %v", values(items), want)
	}
	return items
}

// Several items are put, got and done at a time, or one by one as one likes.
func TestBatches(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline()
	must(t, "PutAll", numbers.PutAll(t.Context(), ex, []int{1, 2, 3}), nil)
	must(t, "Put", numbers.Put(t.Context(), ex, 4), nil)
	three := gets(t, ex, 3, 1, 2, 3)
	rest := gets(t, ex, 100, 4)
	three[1].Return()
	must(t, "DoneAll with one that was returned", numbers.DoneAll(t.Context(), three), shared.ErrNotHeld)
	must(t, "DoneAll", numbers.DoneAll(t.Context(), []*shared.Item[int]{three[2], rest[0]}), nil)
	must(t, "Done", three[0].Done(t.Context()), nil)
	again := gets(t, ex, 5, 2)
	if again[0].Delivery != 2 {
		t.Errorf("delivery %d", again[0].Delivery)
	}
	must(t, "DoneAll", numbers.DoneAll(t.Context(), again), nil)
	again[0].Return() // does nothing
	must(t, "DoneAll again", numbers.DoneAll(t.Context(), again), shared.ErrNotHeld)
	must(t, "Join", numbers.Join(t.Context(), ex), nil)
	must(t, "PutAll of nothing", numbers.PutAll(t.Context(), ex, nil), nil)
	must(t, "DoneAll of nothing", numbers.DoneAll(t.Context(), nil), nil)
	must(t, "Close", numbers.Close(t.Context(), ex), nil)
	must(t, "PutAll when it is closed", numbers.PutAll(t.Context(), ex, []int{1}), shared.ErrQueueClosed)
	_, err := numbers.GetMany(t.Context(), ex, 2)
	must(t, "GetMany when it is closed", err, shared.ErrQueueClosed)
}

// All of a batch are put when there is room for all, and nobody overtakes it.
func TestBatchWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := procpooltest.Inline()
		must(t, "PutAll", numbers.PutAll(t.Context(), ex, []int{1, 2, 3}), nil)
		put := make(chan error, 2)
		go func() { put <- numbers.PutAll(t.Context(), ex, []int{4, 5, 6}) }()
		synctest.Wait()
		go func() { put <- numbers.Put(t.Context(), ex, 7) }()
		synctest.Wait()
		if len(put) > 0 {
			t.Fatal("it was put without room for all, or was overtaken")
		}
		first := gets(t, ex, 1, 1)
		must(t, "PutAll", <-put, nil)
		synctest.Wait()
		if len(put) > 0 {
			t.Fatal("there was no room for the last")
		}
		all := gets(t, ex, 5, 2, 3, 4, 5, 6)
		must(t, "Put", <-put, nil)
		last := gets(t, ex, 5, 7)
		must(t, "DoneAll", numbers.DoneAll(t.Context(), slices.Concat(first, all, last)), nil)
	})
}

// A batch that a call has and does not end with goes back, each to its place; and so
// does one that comes in the moment in which it is given up.
func TestBatchComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex, call := inTask(func(ctx context.Context, ex procpool.Executor) error {
			items, err := numbers.GetMany(ctx, ex, 4)
			if err == nil {
				err = items[1].Done(ctx)
			}
			return err
		})
		must(t, "PutAll", numbers.PutAll(t.Context(), ex, []int{1, 2, 3, 4, 5}), nil)
		_, err := call(t.Context()).Result(t.Context())
		must(t, "the task", err, nil)
		items := gets(t, ex, 9, 1, 3, 4, 5)
		for i, want := range []int{2, 2, 2, 1} {
			if items[i].Delivery != want {
				t.Errorf("delivery %d of %d, want %d", items[i].Delivery, items[i].Value, want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error, 1)
		go func() {
			_, err := numbers.GetMany(ctx, ex, 3)
			got <- err
		}()
		synctest.Wait()
		cancel()
		must(t, "GetMany that is given up", <-got, context.Canceled)
		must(t, "DoneAll", numbers.DoneAll(t.Context(), items), nil)
		must(t, "Join", numbers.Join(t.Context(), ex), nil)
	})
}

func TestBadBatches(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline()
	says := func(what string, err error, want ...string) {
		t.Helper()
		for _, text := range want {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v; want it to say %q", what, err, text)
			}
		}
	}
	says("too many", numbers.PutAll(t.Context(), ex, make([]int, 6)), `"numbers"`, "6 items", "holds 5")
	for _, most := range []int{-1, 0, 1<<14 + 1} {
		_, err := numbers.GetMany(t.Context(), ex, most)
		says("GetMany", err, `"numbers"`, "between 1 and 16384")
	}
	must(t, "PutAll", numbers.PutAll(t.Context(), ex, []int{1, 2}), nil)
	items := gets(t, ex, 2, 1, 2)
	says("twice", numbers.DoneAll(t.Context(), []*shared.Item[int]{items[0], items[1], items[0]}), "twice")
	other := shared.DefineQueue[int]("other numbers", 5)
	says("of another queue", other.DoneAll(t.Context(), items), "2 items", `"other numbers"`, `"numbers"`)
	must(t, "DoneAll", numbers.DoneAll(t.Context(), items), nil)

	mixed := shared.DefineQueue[any]("mixed", 5)
	must(t, "PutAll", mixed.PutAll(t.Context(), ex, []any{1, "no number", 3}), nil)
	got, err := shared.DefineQueue[int]("mixed", 5).GetMany(t.Context(), ex, 5)
	if codec := new(*procpool.CodecError); !errors.As(err, codec) || !slices.Equal(values(got), []int{1, 3}) {
		t.Errorf("%v, %v", values(got), err)
	}
	back, err := mixed.GetMany(t.Context(), ex, 5)
	must(t, "GetMany", err, nil)
	if !slices.Equal(values(back), []any{"no number"}) || back[0].Delivery != 2 {
		t.Errorf("%v", values(back))
	}
	if err := shared.DefineQueue[func()]("functions", 5).PutAll(t.Context(), ex, []func(){nil, func() {}}); !errors.As(err, new(*procpool.CodecError)) {
		t.Errorf("%v", err)
	}
}
