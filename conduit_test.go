package procpool_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/procpool/procpool"
)

// fakeFar is the executor's end of a conduit in the hands of a test.
type fakeFar struct {
	mu            sync.Mutex
	values, bytes int64 // credit granted
	sent          [][]byte
	ends          int
}

func (f *fakeFar) Grant(values, bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.values += values
	f.bytes += bytes
}

func (f *fakeFar) Send(value []byte, end bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if end {
		f.ends++
		return
	}
	f.sent = append(f.sent, value)
}

func (f *fakeFar) got() (sent []string, ends int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range f.sent {
		sent = append(sent, string(v))
	}
	return sent, f.ends
}

func (f *fakeFar) granted() (values, bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.values, f.bytes
}

// newConduit makes a call of a session with a window of its own, and its conduit.
func newConduit(window, windowBytes int64) (*procpool.Call, *procpool.Conduit) {
	c := procpool.Relay{
		Task: "talk", Codec: "raw", Kind: procpool.KindSession, Window: window, WindowBytes: windowBytes,
		Done: func(*procpool.Call, []byte, error) {},
	}.NewCall()
	return c, c.Conduit()
}

func texts(values ...string) [][]byte {
	all := make([][]byte, len(values))
	for i, v := range values {
		all[i] = []byte(v)
	}
	return all
}

// next is Next where there must be a value.
func next(t *testing.T, d *procpool.Conduit) string {
	t.Helper()
	value, err := d.Next(t.Context())
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	return string(value)
}

func TestConduitOutcomeFollowsItsValues(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]error{"success": io.EOF, "failure": errBoom} {
		c, d := newConduit(10, 1000)
		feed := d.Attach(new(fakeFar), 0)
		feed.Values(texts("a", "b"))
		feed.Values(texts("c"))
		if name == "success" {
			c.Finish(nil, nil)
		} else {
			c.Finish(nil, want)
		}
		var got []string
		for range 3 {
			got = append(got, next(t, d))
		}
		if !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("%s: values %q", name, got)
		}
		for range 2 {
			if v, err := d.Next(t.Context()); err != want || v != nil { //nolint:errorlint // bare, as io.Reader does
				t.Errorf("%s: behind the last value: %q, %v", name, v, err)
			}
		}
	}
}

func TestConduitRefusesValuesBeyondCredit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		values []string
		fits   bool
	}{
		"as many as allowed":                    {[]string{"1", "2", "3"}, true},
		"one more":                              {[]string{"1", "2", "3", "4"}, false},
		"the last byte lies in a value":         {[]string{"12345678", "far more than two"}, true},
		"one behind the last byte":              {[]string{"1234567890", ""}, false},
		"one behind a value that went too far":  {[]string{"12345678901234", ""}, false},
		"values of no bytes, as many as credit": {[]string{"", "", ""}, true},
	} {
		_, d := newConduit(3, 10)
		feed := d.Attach(new(fakeFar), 0)
		if fits := feed.Values(texts(c.values...)); fits != c.fits {
			t.Errorf("%s: %v, want %v", name, fits, c.fits)
		}
	}
}

func TestConduitMakesCreditGood(t *testing.T) {
	t.Parallel()
	_, d := newConduit(4, 100)
	far := new(fakeFar)
	feed := d.Attach(far, 0)
	if !feed.Values(texts("aa", "bb", "cc", "dd")) {
		t.Fatal("the window is not as large as it says")
	}
	next(t, d)
	if v, b := far.granted(); v != 0 || b != 0 {
		t.Errorf("granted %d, %d after one of four", v, b)
	}
	next(t, d)
	if v, b := far.granted(); v != 2 || b != 4 {
		t.Errorf("granted %d values, %d bytes after two of four, want 2, 4", v, b)
	}
	// A large value is made good for its bytes.
	if !feed.Values([][]byte{bytes.Repeat([]byte("x"), 70)}) {
		t.Fatal("what was granted is refused")
	}
	next(t, d)
	next(t, d)
	next(t, d)
	if v, b := far.granted(); v != 5 || b != 4+4+70 {
		t.Errorf("granted %d values, %d bytes in all, want 5, 78", v, b)
	}
}

func TestConduitDropsWhatAStaleAttemptSends(t *testing.T) {
	t.Parallel()
	c, d := newConduit(2, 100)
	old, far := new(fakeFar), new(fakeFar)
	stale := d.Attach(old, 0)
	feed := d.Attach(far, 0)
	if !stale.Values(texts("1", "2", "3", "4")) {
		t.Error("a worker is accused whose call is not its own any more")
	}
	stale.Credit(10, 100)
	if d.Used() {
		t.Error("what was dropped counts")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Push(ctx, []byte("in")); !errors.Is(err, procpool.ErrNotDone) {
		t.Errorf("there is credit of a stale attempt: %v", err)
	}
	feed.Values(texts("a"))
	feed.Credit(1, 100)
	if got := next(t, d); got != "a" || !d.Used() {
		t.Errorf("the first value is %q, used %v", got, d.Used())
	}
	if err := d.Push(t.Context(), []byte("in")); err != nil {
		t.Error(err)
	}
	d.End()
	c.Finish(nil, nil)
	if sent, ends := old.got(); len(sent) > 0 || ends > 0 {
		t.Errorf("the former attempt got %q, %d ends", sent, ends)
	}
	if sent, ends := far.got(); !slices.Equal(sent, []string{"in"}) || ends != 1 {
		t.Errorf("the attempt got %q, %d ends", sent, ends)
	}
}

func TestConduitNextWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, d := newConduit(2, 100)
		feed := d.Attach(new(fakeFar), 0)
		got := make(chan string)
		go func() {
			defer close(got)
			for {
				value, err := d.Next(t.Context())
				if err != nil {
					return
				}
				got <- string(value)
			}
		}()
		synctest.Wait()
		feed.Values(texts("a"))
		if v := <-got; v != "a" {
			t.Errorf("got %q", v)
		}
		synctest.Wait()
		c.Finish(nil, nil)
		if _, more := <-got; more {
			t.Error("it goes on behind the end")
		}

		// A context of its own ends the wait and nothing else.
		c, d = newConduit(2, 100)
		feed = d.Attach(new(fakeFar), 0)
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			synctest.Wait()
			cancel(errBoom)
		}()
		if _, err := d.Next(ctx); !errors.Is(err, procpool.ErrNotDone) || !errors.Is(err, errBoom) {
			t.Errorf("%v", err)
		}
		feed.Values(texts("b"))
		if v, err := d.Next(ctx); string(v) != "b" || err != nil {
			t.Errorf("what is there is not waited for: %q, %v", v, err)
		}
		c.Finish(nil, nil)
	})
}

func TestConduitPushWaitsForCredit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, d := newConduit(1, 1)
		pushed := make(chan error, 10)
		push := func(values ...string) {
			go func() {
				for _, v := range values {
					pushed <- d.Push(t.Context(), []byte(v))
				}
			}()
			synctest.Wait()
		}
		push("a", "b", "c", "d")
		if len(pushed) != 0 {
			t.Fatal("it sends before the call was given to a worker")
		}
		far := new(fakeFar)
		feed := d.Attach(far, 0)
		synctest.Wait()
		if len(pushed) != 0 {
			t.Fatal("it sends before the task runs")
		}
		for i, c := range []struct {
			values, bytes int64
			sent          int
		}{
			{1, 0, 0}, // no byte
			{0, 1, 1},
			{5, 0, 1},
			{0, 1, 2},
			{0, 10, 4},
		} {
			feed.Credit(c.values, c.bytes)
			synctest.Wait()
			if len(pushed) != c.sent {
				t.Errorf("step %d: %d sent, want %d", i, len(pushed), c.sent)
			}
		}
		if sent, _ := far.got(); strings.Join(sent, "") != "abcd" {
			t.Errorf("sent %q", sent)
		}
		for len(pushed) > 0 {
			if err := <-pushed; err != nil {
				t.Error(err)
			}
		}
		// A value of any size passes while a byte is left; then it is made good.
		push("larger than what is left")
		push("e")
		feed.Credit(9, 10)
		synctest.Wait()
		if err := <-pushed; err != nil || len(pushed) != 0 {
			t.Errorf("%v, and %d more", err, len(pushed))
		}
		// The end of the call ends the wait.
		c.Finish(nil, errBoom)
		if err := <-pushed; !errors.Is(err, errBoom) {
			t.Errorf("%v", err)
		}
	})
}

func TestConduitPushErrors(t *testing.T) {
	t.Parallel()
	c, d := newConduit(1, 1)
	far := new(fakeFar)
	feed := d.Attach(far, 3)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errBoom)
	if err := d.Push(ctx, []byte("x")); !errors.Is(err, procpool.ErrNotDone) || !errors.Is(err, errBoom) {
		t.Errorf("the context ends: %v", err)
	}
	feed.Credit(10, 10)
	if err := d.Push(t.Context(), []byte("long")); !errors.Is(err, procpool.ErrTooLarge) || !strings.Contains(err.Error(), "4 bytes, at most 3") {
		t.Errorf("too large: %v", err)
	}
	if d.Used() {
		t.Error("what was not sent counts")
	}
	if err := d.Push(t.Context(), []byte("yes")); err != nil {
		t.Errorf("as large as it may be: %v", err)
	}
	d.End()
	if err := d.Push(t.Context(), []byte("x")); err == nil || !strings.Contains(err.Error(), "after CloseSend") {
		t.Errorf("after the end: %v", err)
	}
	c.Finish(nil, nil)
	if err := d.Push(t.Context(), []byte("x")); !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), `"talk" has returned`) {
		t.Errorf("the task has returned: %v", err)
	}
	if sent, ends := far.got(); !slices.Equal(sent, []string{"yes"}) || ends != 1 {
		t.Errorf("sent %q and %d ends", sent, ends)
	}
}

func TestConduitEnd(t *testing.T) {
	t.Parallel()
	ends := func(f *fakeFar) int { _, n := f.got(); return n }

	// Before the task runs, the end waits.
	_, d := newConduit(1, 1)
	d.End()
	far := new(fakeFar)
	feed := d.Attach(far, 0)
	if ends(far) != 0 {
		t.Error("a task that does not run yet was told")
	}
	feed.Credit(1, 1)
	feed.Credit(1, 1)
	d.End()
	if ends(far) != 1 {
		t.Errorf("told %d times", ends(far))
	}
	// Another attempt is told anew.
	again := new(fakeFar)
	d.Attach(again, 0).Credit(1, 1)
	if ends(again) != 1 || d.Used() {
		t.Errorf("another attempt was told %d times, used %v", ends(again), d.Used())
	}

	// Where the task runs, the end needs no credit.
	_, d = newConduit(1, 1)
	far = new(fakeFar)
	feed = d.Attach(far, 0)
	feed.Credit(1, 1)
	if err := d.Push(t.Context(), []byte("last")); err != nil {
		t.Fatal(err)
	}
	d.End()
	if sent, n := far.got(); len(sent) != 1 || n != 1 {
		t.Errorf("sent %q, then %d ends", sent, n)
	}
}

func TestConduitLeftAlone(t *testing.T) {
	t.Parallel()
	c, d := newConduit(2, 100)
	far := new(fakeFar)
	feed := d.Attach(far, 0)
	feed.Values(texts("a"))
	if !c.Cancel() {
		t.Fatal("the call had ended")
	}
	if !feed.Values(texts("b")) || feed.Values(texts("c")) {
		t.Error("a worker's credit is not counted once its call is given up")
	}
	if got := next(t, d); got != "a" {
		t.Errorf("the value before is %q", got)
	}
	if v, err := d.Next(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("behind it: %q, %v", v, err)
	}
	if v, _ := far.granted(); v != 0 {
		t.Errorf("a call that is given up was granted %d more", v)
	}
}

func TestConduitCreditWithoutBound(t *testing.T) {
	t.Parallel()
	_, d := newConduit(math.MaxInt64, math.MaxInt64)
	far := new(fakeFar)
	feed := d.Attach(far, 0)
	d.Grant(math.MaxInt64, math.MaxInt64)
	if !feed.Values(texts("a")) {
		t.Error("more credit than can be counted is none")
	}
	feed.Credit(math.MaxInt64, math.MaxInt64)
	feed.Credit(math.MaxInt64, math.MaxInt64)
	if err := d.Push(t.Context(), []byte("a")); err != nil {
		t.Error(err)
	}
}
