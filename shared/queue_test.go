package shared_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
	"github.com/procpool/procpool/shared"
)

// A pipeline with a bounded queue: the producer waits for room, Join for the last item,
// and everybody ends when the queue is closed.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const items = 50
		var sum atomic.Int64
		ex, call := inTask(func(ctx context.Context, ex procpool.Executor) error {
			for item, err := range jobs.All(ctx, ex) {
				if err != nil {
					return err
				}
				<-time.After(time.Millisecond)
				sum.Add(int64(item.Value.N))
				if err := item.Done(ctx); err != nil {
					return err
				}
			}
			return nil
		})
		consumers := []*procpool.Future[int]{call(t.Context()), call(t.Context()), call(t.Context())}
		began := time.Now()
		for i := range items {
			must(t, "Put", jobs.Put(t.Context(), ex, order{Name: fmt.Sprint(i), N: i}), nil)
		}
		if took := time.Since(began); took < (items-3-3)/3*time.Millisecond {
			t.Errorf("all was put after %v: the queue holds no more than two", took)
		}
		must(t, "Join", jobs.Join(t.Context(), ex), nil)
		if want := int64(items * (items - 1) / 2); sum.Load() != want {
			t.Errorf("%d, want %d", sum.Load(), want)
		}
		must(t, "Close", jobs.Close(t.Context(), ex), nil)
		for _, f := range consumers {
			_, err := f.Result(t.Context())
			must(t, "a consumer", err, nil)
		}
		must(t, "Put when it is closed", jobs.Put(t.Context(), ex, order{}), shared.ErrQueueClosed)
		info, err := jobs.Info(t.Context(), ex)
		must(t, "Info", err, nil)
		if info != (shared.QueueInfo{Closed: true}) {
			t.Errorf("%+v", info)
		}
	})
}

// An item that is not done comes back, in its place, with the count of its deliveries,
// until it is a dead letter.
func TestItemsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex, call := inTask(func(ctx context.Context, ex procpool.Executor) error {
			_, err := jobs.Get(ctx, ex)
			return err
		})
		must(t, "Put", jobs.Put(t.Context(), ex, order{Name: "a"}), nil)
		must(t, "Put", jobs.Put(t.Context(), ex, order{Name: "b"}), nil)
		must(t, "TryPut", jobs.TryPut(t.Context(), ex, order{Name: "c"}), shared.ErrWouldBlock)
		_, err := call(t.Context()).Result(t.Context())
		must(t, "the task", err, nil)
		item, err := jobs.Get(t.Context(), ex)
		must(t, "Get", err, nil)
		if item.Value.Name != "a" || item.Delivery != 2 {
			t.Errorf("%+v", item)
		}
		item.Return()
		item.Return()
		must(t, "Done behind Return", item.Done(t.Context()), shared.ErrNotHeld)
		letters, err := jobs.DeadLetters(t.Context(), ex)
		must(t, "DeadLetters", err, nil)
		if len(letters) != 1 || letters[0] != (shared.DeadLetter[order]{Value: order{Name: "a"}, Deliveries: 2}) {
			t.Errorf("%+v", letters)
		}
		item, err = jobs.Get(t.Context(), ex)
		must(t, "Get", err, nil)
		if item.Value.Name != "b" || item.Delivery != 1 {
			t.Errorf("%+v", item)
		}
		must(t, "Done", item.Done(t.Context()), nil)
		item.Return() // does nothing
		must(t, "Done again", item.Done(t.Context()), shared.ErrNotHeld)
		must(t, "Join", jobs.Join(t.Context(), ex), nil)
		_, err = jobs.TryGet(t.Context(), ex)
		must(t, "TryGet", err, shared.ErrWouldBlock)
	})
}

// Who gets from a closed queue waits for items that may still come back.
func TestClosedQueueWaitsForWhatMayComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := procpooltest.Inline()
		must(t, "Put", jobs.Put(t.Context(), ex, order{Name: "a"}), nil)
		first, err := jobs.Get(t.Context(), ex)
		must(t, "Get", err, nil)
		must(t, "Close", jobs.Close(t.Context(), ex), nil)
		got := make(chan *shared.Item[order], 1)
		ended := make(chan error, 1)
		go func() {
			item, err := jobs.Get(t.Context(), ex)
			if err != nil {
				t.Error(err)
			}
			got <- item
			_, err = jobs.Get(t.Context(), ex)
			ended <- err
		}()
		synctest.Wait()
		if len(got) > 0 {
			t.Fatal("it did not wait")
		}
		first.Return()
		item := <-got
		synctest.Wait()
		if len(ended) > 0 {
			t.Fatal(<-ended)
		}
		must(t, "Done", item.Done(t.Context()), nil)
		must(t, "Get when all is done", <-ended, shared.ErrQueueClosed)
	})
}

// An item of the program's that it has lost comes back.
func TestLostItem(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline()
	must(t, "Put", jobs.Put(t.Context(), ex, order{Name: "a"}), nil)
	_, err := jobs.Get(t.Context(), ex)
	must(t, "Get", err, nil)
	deadline := time.Now().Add(time.Minute)
	for {
		runtime.GC()
		item, err := jobs.TryGet(t.Context(), ex)
		if err == nil {
			if item.Delivery != 2 {
				t.Errorf("%+v", item)
			}
			must(t, "Done", item.Done(t.Context()), nil)
			return
		}
		must(t, "TryGet", err, shared.ErrWouldBlock)
		if time.Now().After(deadline) {
			t.Fatal("an item that nobody has any more did not come back")
		}
		runtime.Gosched()
	}
}

// moody is a type that can't always be encoded or decoded.
type moody string

func (m moody) MarshalText() ([]byte, error) {
	if m == "panic" {
		panic("while it is encoded")
	}
	if m == "refuse" {
		return nil, errors.New("it does not like to be encoded")
	}
	return []byte(m), nil
}

func (m *moody) UnmarshalText(b []byte) error {
	if string(b) == "no" {
		return errors.New("it does not like to be decoded")
	}
	*m = moody(b)
	return nil
}

// A value that can't be encoded is not put; one that can't be decoded is a dead letter
// in the end.
func TestBadItems(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline()
	q := shared.DefineQueue[map[string]moody]("moods", 10, shared.Deliveries(2))
	var codec *procpool.CodecError
	unencodable := shared.DefineQueue[func()]("functions", 10)
	if err := unencodable.Put(t.Context(), ex, func() {}); !errors.As(err, &codec) {
		t.Errorf("%v", err)
	}
	sent := shared.DefineQueue[string]("mixed", 10)
	must(t, "Put", sent.Put(t.Context(), ex, "no number"), nil)
	got := shared.DefineQueue[int]("mixed", 10)
	for range 3 {
		if _, err := got.TryGet(t.Context(), ex); !errors.As(err, &codec) || codec.Op != "decode an item" {
			t.Errorf("%v", err)
		}
	}
	letters, err := got.DeadLetters(t.Context(), ex)
	must(t, "DeadLetters", err, nil)
	if len(letters) != 1 || !errors.As(letters[0].Err, &codec) || letters[0].Deliveries != 3 {
		t.Errorf("%+v", letters)
	}
	must(t, "Put", q.Put(t.Context(), ex, map[string]moody{"a": "fine"}), nil)
	must(t, "Join", sent.Join(t.Context(), ex), nil)
}

// The wait of a task lends its place, so that what it waits for can run; and does not
// count in its Timeout.
func TestWaitsLendTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		consume := procpool.Define("consume", func(ctx context.Context, _ int) (string, error) {
			item, err := jobs.Get(ctx, procpool.ExecutorFrom(ctx))
			if err != nil {
				return "", err
			}
			return item.Value.Name, item.Done(ctx)
		}, procpool.Timeout(20*time.Millisecond))
		produce := procpool.Define("produce", func(ctx context.Context, name string) (int, error) {
			return 0, jobs.Put(ctx, procpool.ExecutorFrom(ctx), order{Name: name})
		})
		ex := procpooltest.Inline(consume, produce)
		var consumers []*procpool.Future[string]
		for range 20 { // of which 8 run at once
			consumers = append(consumers, consume.Submit(t.Context(), ex, 0))
		}
		<-time.After(time.Hour)
		for i := range consumers {
			if _, err := produce.Call(t.Context(), ex, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		got := map[string]bool{}
		for i, f := range consumers {
			name, err := f.Result(t.Context())
			if got[name] || err != nil {
				t.Errorf("consumer %d got %q, %v", i, name, err)
			}
			got[name] = true
		}
	})
}
