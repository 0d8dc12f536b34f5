package procpooltest_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// hold is a session and a stream that wait for their end.
var (
	holdSession = procpool.DefineSession("hold_session", func(_ context.Context, _ int, recv iter.Seq[int], send func(int) error) error {
		for v := range recv {
			if err := send(v); err != nil {
				return err
			}
		}
		return nil
	})
	holdStream = procpool.DefineStream("hold_stream", func(ctx context.Context, _ int, emit func(int) error) error {
		if err := emit(1); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
)

func TestInlineStreamsHoldTheirPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ex := procpooltest.Inline(holdStream, double)
		ctx, leave := context.WithCancel(t.Context())
		for range 8 {
			go func() {
				for _, err := range holdStream.All(ctx, ex, 0) {
					if err != nil {
						return // it is given up
					}
				}
			}()
		}
		synctest.Wait()
		f := double.Submit(t.Context(), ex, 4)
		synctest.Wait()
		if s := f.State(); s != procpool.Queued {
			t.Errorf("a ninth call is %v", s)
		}
		leave()
		if v, err := f.Result(t.Context()); v != 8 || err != nil {
			t.Errorf("%d, %v", v, err)
		}
		synctest.Wait()
	})
}

func TestInlineSessionsOfTheirOwnNeedNoPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		ex := procpooltest.Inline(holdSession, double)
		for range 20 {
			talk := holdSession.Open(ctx, ex, 0)
			defer talk.Close()
			if err := talk.Send(ctx, 5); err != nil {
				t.Fatal(err)
			}
			if v, err := talk.Recv(ctx); v != 5 || err != nil {
				t.Fatal(v, err)
			}
		}
		if v, err := double.Call(ctx, ex, 4); v != 8 || err != nil {
			t.Errorf("%d, %v", v, err)
		}
		// Those that share take a place each.
		var shared []*procpool.Conversation[int, int]
		for range 9 {
			talk := holdSession.Open(ctx, ex, 0, procpool.Shared())
			defer talk.Close()
			shared = append(shared, talk)
		}
		synctest.Wait()
		if s := shared[8].Info().State; s != procpool.Queued {
			t.Errorf("the ninth is %v", s)
		}
		if err := shared[0].Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if s := shared[8].Info().State; s != procpool.Started {
			t.Errorf("the ninth is %v when a place is free", s)
		}
	})
}

func TestInlineValuesOfStreamsCrossThroughTheCodec(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var kept [][]byte
	mirror := procpool.DefineSession("mirror", func(_ context.Context, first []byte, recv iter.Seq[[]byte], send func([]byte) error) error {
		kept = append(kept, first)
		if err := send(first); err != nil {
			return err
		}
		for v := range recv {
			kept = append(kept, v)
			if err := send(v); err != nil {
				return err
			}
			v[0] = '!' // it was encoded by then
		}
		return nil
	})
	for _, c := range []sloppy{{append: true}, {append: true, alias: true}} {
		kept = nil
		task := mirror.With(procpool.WithCodec(c))
		talk := task.Open(ctx, procpooltest.Inline(task), []byte("a"))
		mine := [][]byte{[]byte("bc"), []byte("de")}
		for _, v := range mine {
			if err := talk.Send(ctx, v); err != nil {
				t.Fatal(err)
			}
		}
		talk.CloseSend()
		var got []string
		for v, err := range talk.All(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(v))
		}
		if !slices.Equal(got, []string{"a", "bc", "de"}) || string(mine[0]) != "bc" {
			t.Errorf("%+v: got %q, sent %q", c, got, mine)
		}
		// What the codec decodes must not refer to what it was given: that is gone.
		if spoiled := strings.Contains(string(kept[1]), "\xa5"); spoiled != c.alias {
			t.Errorf("%+v: what the task kept is %q", c, kept)
		}
	}
}

// count is a stream of its own kind.
type count struct{ own }

func (count) Name() string { return "count" }
func (count) Describe() procpool.TaskInfo {
	return procpool.TaskInfo{Name: "count", Kind: procpool.KindStream}
}

func (count) RunStream(_ context.Context, _ string, in []byte, port procpool.Port) error {
	if _, more := port.Next(); more {
		return errors.New("a stream receives something")
	}
	for i := byte('a'); i < in[0]; i++ {
		if err := port.Emit(append(port.Room(), i)); err != nil {
			return err
		}
	}
	return nil
}

func TestInlineTakesAnyStreamTask(t *testing.T) {
	t.Parallel()
	letters := procpool.RemoteStream[[]byte, []byte]("count", procpool.WithCodec(procpool.Raw))
	var got []byte
	for v, err := range letters.All(t.Context(), procpooltest.Inline(count{}), []byte("d")) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v...)
	}
	if string(got) != "abc" {
		t.Errorf("got %q", got)
	}
}

func TestInlineTimeoutDoesNotCountWaitingForInput(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		think := procpool.DefineSession("think", func(ctx context.Context, each time.Duration, recv iter.Seq[int], send func(int) error) error {
			for v := range recv {
				select {
				case <-time.After(each):
				case <-ctx.Done():
					return ctx.Err()
				}
				if err := send(v); err != nil {
					return err
				}
			}
			return nil
		}, procpool.Timeout(time.Second))
		talk := think.Open(ctx, procpooltest.Inline(think), 220*time.Millisecond)
		for i := range 5 {
			<-time.After(time.Hour)
			if err := talk.Send(ctx, i); err != nil {
				t.Fatal(err)
			}
			v, err := talk.Recv(ctx)
			if i < 4 && (v != i || err != nil) {
				t.Fatalf("value %d: %d, %v", i, v, err)
			}
			if _, late := errors.AsType[*procpool.TimeoutError](err); i == 4 && !late {
				t.Errorf("after a second: %d, %v", v, err)
			}
		}
		synctest.Wait()

		talk = think.Open(ctx, procpooltest.Inline(think), 200*time.Millisecond)
		<-time.After(time.Hour)
		if err := talk.Send(ctx, 1); err != nil {
			t.Fatal(err)
		}
		talk.CloseSend()
		for range 2 {
			if _, err := talk.Recv(ctx); err != nil && !errors.Is(err, io.EOF) {
				t.Error(err)
			}
		}
		if ran := talk.Info().Run; ran != 200*time.Millisecond {
			t.Errorf("it ran for %v", ran)
		}
	})
}
