package shared_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
	"github.com/procpool/procpool/shared"
)

// A large request is not overtaken by small ones.
func TestSemaphoreIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := procpooltest.Inline()
		one, err := slots.Acquire(t.Context(), ex, 1)
		must(t, "one permit", err, nil)
		got := make(chan int, 3)
		for _, n := range []int{3, 1, 2} {
			go func() {
				p, err := slots.Acquire(t.Context(), ex, n)
				if err != nil {
					t.Error(err)
					return
				}
				got <- n
				p.Release()
			}()
			synctest.Wait()
		}
		if len(got) > 0 {
			t.Errorf("the request for %d overtook the one for 3", <-got)
		}
		_, err = slots.TryAcquire(t.Context(), ex, 1)
		must(t, "TryAcquire while others wait", err, shared.ErrWouldBlock)
		one.Release()
		if n := <-got; n != 3 {
			t.Errorf("%d came before 3", n)
		}
		if n := <-got + <-got; n != 3 { // these at once
			t.Errorf("1 and 2 came to %d", n)
		}
		synctest.Wait()
		all, err := slots.TryAcquire(t.Context(), ex, 3)
		must(t, "all permits", err, nil)
		all.Release()
		all.Release()
		_, err = slots.TryAcquire(t.Context(), ex, 4)
		if err == nil || !strings.Contains(err.Error(), `semaphore "slots": it is asked for 4 permits, and has 3`) {
			t.Errorf("%v", err)
		}
	})
}

// Counter adds and tells.
func TestCounter(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline()
	for _, c := range []struct{ delta, want int64 }{{5, 5}, {-7, -2}, {0, -2}} {
		if n, err := total.Add(t.Context(), ex, c.delta); n != c.want || err != nil {
			t.Errorf("%d, %v; want %d", n, err, c.want)
		}
	}
	if n, err := total.Value(t.Context(), ex); n != -2 || err != nil {
		t.Error(n, err)
	}
	if n, err := total.Value(t.Context(), procpooltest.Inline()); n != 0 || err != nil {
		t.Errorf("another executor has the same counter: %d, %v", n, err)
	}
}

// A name means one thing.
func TestMismatch(t *testing.T) {
	t.Parallel()
	ex := procpooltest.Inline()
	_, err := total.Add(t.Context(), ex, 1)
	must(t, "Add", err, nil)
	_, err = shared.DefineMutex("total").Lock(t.Context(), ex)
	must(t, "Lock of a counter", err, shared.ErrMismatch)
	if want := `procpool: mutex "total": it is a counter in this pool, and a mutex where it is used here`; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v\nwant it to begin with %s", err, want)
	}
}

// Where there is no executor that keeps state, it is refused as any call is.
func TestOutsideOfATask(t *testing.T) {
	t.Parallel()
	_, err := guard.Lock(t.Context(), procpool.ExecutorFrom(t.Context()))
	if err == nil || !strings.Contains(err.Error(), "ExecutorFrom") {
		t.Error(err)
	}
}

// Wrong definitions are the programmer's mistakes, at start-up.
func TestDefinitionsPanic(t *testing.T) {
	t.Parallel()
	for name, define := range map[string]func(){
		"no name":       func() { shared.DefineMutex("") },
		"no text":       func() { shared.DefineCounter("a\xff") },
		"a long name":   func() { shared.DefineCounter(strings.Repeat("x", 1025)) },
		"no permits":    func() { shared.DefineSemaphore("s", 0) },
		"no capacity":   func() { shared.DefineQueue[int]("q", 0) },
		"no deliveries": func() { shared.Deliveries(0) },
	} {
		func() {
			defer func() {
				if p := recover(); p == nil || !strings.HasPrefix(fmt.Sprint(p), "procpool/shared: D") {
					t.Errorf("%s: %v", name, p)
				}
			}()
			define()
		}()
	}
	if names := []string{guard.Name(), slots.Name(), total.Name(), jobs.Name()}; strings.Join(names, " ") != "guard slots total jobs" {
		t.Errorf("%q", names)
	}
}
