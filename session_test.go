package procpool_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/procpooltest"
)

// echo is the session that tests run when it does not matter which: it sends back
// what it gets, with a prefix.
var echo = procpool.DefineSession("echo", func(_ context.Context, prefix string, recv iter.Seq[string], send func(string) error) error {
	for v := range recv {
		if err := send(prefix + v); err != nil {
			return err
		}
	}
	return nil
})

func TestSessionConversation(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	talk := echo.Open(ctx, procpooltest.Inline(echo), "> ")
	for _, word := range []string{"a", "", "c"} {
		if err := talk.Send(ctx, word); err != nil {
			t.Fatal(err)
		}
		if got, err := talk.Recv(ctx); got != "> "+word || err != nil {
			t.Fatalf("Recv = %q, %v", got, err)
		}
	}
	select {
	case <-talk.Done():
		t.Error("it has ended by itself")
	default:
	}
	if info := talk.Info(); info.Task != "echo" || info.State != procpool.Started || info.Attempts != 1 {
		t.Errorf("info %+v", info)
	}
	talk.CloseSend()
	talk.CloseSend()
	for range 2 {
		if got, err := talk.Recv(ctx); got != "" || err != io.EOF { //nolint:errorlint // bare, as io.Reader does
			t.Errorf("after the end: %q, %v", got, err)
		}
	}
	if err := procpool.Wait(ctx, procpool.UntilAll, talk); err != nil {
		t.Error(err)
	}
	if err := talk.Send(ctx, "more"); !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), `"echo" has returned`) {
		t.Errorf("Send after the end: %v", err)
	}
	for range 2 {
		if err := talk.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if s := talk.Info().State; s != procpool.Done {
		t.Errorf("it is %v", s)
	}
}

// CloseSend ends what the task receives; what it sends goes on.
func TestSessionHalfClose(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	sum := procpool.DefineSession("sum", func(_ context.Context, _ int, recv iter.Seq[int], send func(int) error) error {
		var all []int
		for v := range recv {
			all = append(all, v)
		}
		total := 0
		for _, v := range all {
			total += v
			if err := send(total); err != nil {
				return err
			}
		}
		for range recv { // which has ended
			return errBoom
		}
		return nil
	})
	ex := procpooltest.Inline(sum)
	talk := sum.Open(ctx, ex, 0)
	for i := range 3000 { // more than a window
		if err := talk.Send(ctx, i); err != nil {
			t.Fatal(err)
		}
	}
	talk.CloseSend()
	if err := talk.Send(ctx, 1); err == nil || !strings.Contains(err.Error(), "after CloseSend") || errors.Is(err, io.EOF) {
		t.Errorf("Send after CloseSend: %v", err)
	}
	got, errs := drain(talk.All(ctx))
	if errs != nil || len(got) != 3000 || got[2999] != 2999*3000/2 {
		t.Errorf("%d values, %v", len(got), errs)
	}
	// The same where nothing was sent, before the task runs.
	talk = sum.Open(ctx, ex, 0)
	talk.CloseSend()
	if got, errs := drain(talk.All(ctx)); got != nil || errs != nil {
		t.Errorf("%v, %v", got, errs)
	}
}

func TestSessionEndsWithItsTasksError(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	fail := procpool.DefineSession("fail", func(_ context.Context, how string, recv iter.Seq[int], send func(int) error) error {
		for v := range recv {
			if err := send(v); err != nil {
				return err
			}
			if how == "panic" {
				panic(how)
			}
			return errNotFound
		}
		return nil
	}, procpool.Errors(map[string]error{"not_found": errNotFound}))
	ex := procpooltest.Inline(fail)
	for how, check := range map[string]func(error) bool{
		"error": func(err error) bool { return errors.Is(err, errNotFound) },
		"panic": func(err error) bool {
			pe, ok := errors.AsType[*procpool.PanicError](err)
			return ok && pe.Value == "panic"
		},
	} {
		talk := fail.Open(ctx, ex, how)
		if err := talk.Send(ctx, 1); err != nil {
			t.Fatal(err)
		}
		if v, err := talk.Recv(ctx); v != 1 || err != nil {
			t.Errorf("%s: the value before is %d, %v", how, v, err)
		}
		_, err := talk.Recv(ctx)
		if !check(err) {
			t.Errorf("%s: Recv: %v", how, err)
		}
		if again := talk.Send(ctx, 2); !errors.Is(again, err) {
			t.Errorf("%s: Send: %v", how, again)
		}
		if again := talk.Close(); !errors.Is(again, err) {
			t.Errorf("%s: Close: %v", how, again)
		}
	}
}

func TestSessionClose(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"before anything", "while it waits for input", "while it waits for its reader", "while it does something else"} {
		synctest.Test(t, func(t *testing.T) {
			left := make(chan error, 1)
			busy := procpool.DefineSession("busy", func(ctx context.Context, how string, recv iter.Seq[int], send func(int) error) error {
				defer func() { left <- ctx.Err() }()
				switch how {
				case "while it waits for input":
					for range recv {
						t.Error("it received something")
					}
				case "while it waits for its reader":
					for {
						if err := send(1); err != nil {
							return err
						}
					}
				default:
					<-ctx.Done()
				}
				return nil
			})
			talk := busy.Open(t.Context(), procpooltest.Inline(busy), when)
			if when != "before anything" {
				synctest.Wait()
			}
			received := make(chan error, 1)
			if when == "while it waits for its reader" {
				received <- context.Canceled // nobody reads
			} else {
				go func() {
					_, err := talk.Recv(t.Context())
					received <- err
				}()
			}
			for range 2 {
				if err := talk.Close(); err != nil {
					t.Errorf("%s: Close: %v", when, err)
				}
			}
			<-talk.Done()
			synctest.Wait()
			if err := <-received; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: Recv: %v", when, err)
			}
			if err := talk.Send(t.Context(), 1); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: Send: %v", when, err)
			}
			select {
			case err := <-left:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%s: the task's context: %v", when, err)
				}
			default:
				if when != "before anything" {
					t.Errorf("%s: the task goes on", when)
				}
			}
		})
	}
}

func TestSessionContextsOfWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got []int
		slow := procpool.DefineSession("slow", func(ctx context.Context, _ int, recv iter.Seq[int], _ func(int) error) error {
			<-ctx.Done()
			for v := range recv {
				got = append(got, v)
			}
			return ctx.Err()
		}, procpool.Window(2))
		ctx, cancel := context.WithCancelCause(t.Context())
		talk := slow.Open(ctx, procpooltest.Inline(slow), 0)
		for i := range 2 {
			if err := talk.Send(t.Context(), i); err != nil {
				t.Fatal(err)
			}
		}
		impatient, stop := context.WithCancelCause(t.Context())
		go func() {
			synctest.Wait()
			stop(errNotFound)
		}()
		if err := talk.Send(impatient, 2); !errors.Is(err, procpool.ErrNotDone) || !errors.Is(err, errNotFound) {
			t.Errorf("Send: %v", err)
		}
		if _, err := talk.Recv(impatient); !errors.Is(err, procpool.ErrNotDone) || !errors.Is(err, errNotFound) {
			t.Errorf("Recv: %v", err)
		}
		select {
		case <-talk.Done():
			t.Error("the end of a wait has ended the session")
		default:
		}
		cancel(errBoom)
		if _, err := talk.Recv(t.Context()); !errors.Is(err, context.Canceled) || !errors.Is(err, errBoom) {
			t.Errorf("the session's context ends: %v", err)
		}
		if err := talk.Close(); !errors.Is(err, errBoom) {
			t.Errorf("Close: %v", err)
		}
		synctest.Wait()
		if len(got) != 0 {
			t.Errorf("a session that was given up receives %v", got)
		}
	})
}

func TestSessionBackPressure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		talk := echo.Open(t.Context(), procpooltest.Inline(echo), "", procpool.Window(4))
		sent := 0
		go func() {
			for talk.Send(t.Context(), "x") == nil {
				sent++
			}
		}()
		synctest.Wait()
		// A window each way, and what the task has in its hands.
		if sent < 5 || sent > 9 {
			t.Errorf("%d values are on their way with nobody reading", sent)
		}
		for range 20 {
			before := sent
			for range 4 {
				if _, err := talk.Recv(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if sent == before {
				t.Fatal("the reader reads and the sender waits")
			}
		}
		if err := talk.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSessionCodecFailures(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	op := func(err error) string {
		ce, _ := errors.AsType[*procpool.CodecError](err)
		if ce == nil {
			return "no CodecError: " + err.Error()
		}
		return ce.Op
	}
	ex := procpooltest.Inline(echo)

	talk := procpool.RemoteSession[panicky, int, int]("echo").Open(ctx, never{t}, panicky{})
	if _, err := talk.Recv(ctx); op(err) != "encode the argument" {
		t.Errorf("an argument that can't be encoded: %v", err)
	}
	if err := talk.Send(ctx, 1); op(err) != "encode the argument" {
		t.Errorf("Send to what was never opened: %v", err)
	}
	numbers := procpool.RemoteSession[int, string, string]("echo").Open(ctx, ex, 7)
	if _, err := numbers.Recv(ctx); op(err) != "decode the argument" {
		t.Errorf("an argument that the task can't decode: %v", err)
	}

	// A value that its sender can't encode costs nothing.
	any1 := procpool.RemoteSession[string, any, any]("echo").Open(ctx, ex, "")
	if err := any1.Send(ctx, panicky{}); op(err) != "encode a value" {
		t.Errorf("a value that can't be encoded: %v", err)
	}
	if err := any1.Send(ctx, "good"); err != nil {
		t.Error(err)
	}
	if v, err := any1.Recv(ctx); v != "good" || err != nil {
		t.Errorf("afterwards: %v, %v", v, err)
	}
	// One that the task can't decode ends the session.
	if err := any1.Send(ctx, 7); err != nil {
		t.Error(err)
	}
	if v, err := any1.Recv(ctx); op(err) != "decode a received value" {
		t.Errorf("a value that the task can't decode: %v, %v", v, err)
	}

	// One that its reader can't decode costs that value.
	wrong := procpool.RemoteSession[string, string, int]("echo").Open(ctx, ex, "")
	for range 2 {
		if err := wrong.Send(ctx, "text"); err != nil {
			t.Error(err)
		}
		if _, err := wrong.Recv(ctx); op(err) != "decode a value" {
			t.Errorf("a value that the reader can't decode: %v", err)
		}
	}
	if err := wrong.Close(); err != nil {
		t.Errorf("the session has ended of it: %v", err)
	}
}

// A task may receive on one goroutine and send on another, and return while the first
// still waits.
func TestSessionTwoDirectionsAtOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ended := make(chan struct{})
	duplex := procpool.DefineSession("duplex", func(_ context.Context, n int, recv iter.Seq[int], send func(int) error) error {
		go func() {
			defer close(ended)
			for range recv { // which its caller never ends
			}
		}()
		for i := range n {
			if err := send(i); err != nil {
				return err
			}
		}
		return nil
	})
	talk := duplex.Open(ctx, procpooltest.Inline(duplex), 5000)
	sending := make(chan struct{})
	go func() {
		defer close(sending)
		for talk.Send(ctx, 1) == nil {
		}
	}()
	got, errs := drain(talk.All(ctx))
	if errs != nil || !slices.Equal(got, upTo(5000)) {
		t.Errorf("%d values, %v", len(got), errs)
	}
	<-sending
	<-ended
}

func TestSessionRecvIsLeftAndTakenUpAgain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pairs := procpool.DefineSession("pairs", func(_ context.Context, _ int, recv iter.Seq[int], send func(int) error) error {
		for {
			var pair []int
			for v := range recv {
				if pair = append(pair, v); len(pair) == 2 {
					break
				}
			}
			if len(pair) < 2 {
				return nil
			}
			if err := send(pair[0] * pair[1]); err != nil {
				return err
			}
		}
	})
	talk := pairs.Open(ctx, procpooltest.Inline(pairs), 0)
	for _, v := range []int{2, 3, 5, 7, 11} {
		if err := talk.Send(ctx, v); err != nil {
			t.Fatal(err)
		}
	}
	talk.CloseSend()
	got, errs := drain(talk.All(ctx))
	if errs != nil || !slices.Equal(got, []int{6, 35}) {
		t.Errorf("%v, %v", got, errs)
	}
}

func TestSessionAllIsLeftAndTakenUpAgain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	talk := echo.Open(ctx, procpooltest.Inline(echo), "")
	for _, v := range []string{"a", "b", "c"} {
		if err := talk.Send(ctx, v); err != nil {
			t.Fatal(err)
		}
	}
	talk.CloseSend()
	for v, err := range talk.All(ctx) {
		if v != "a" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
		break
	}
	if got, errs := drain(talk.All(ctx)); errs != nil || !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("%v, %v", got, errs)
	}
}

func TestSessionRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for want, ex := range map[error]procpool.Executor{
		procpool.ErrUnknownTask: procpooltest.Inline(),
		procpool.ErrQueueFull:   newStage(0),
	} {
		talk := echo.Open(ctx, ex, "", procpool.NoWait())
		if _, err := talk.Recv(ctx); !errors.Is(err, want) {
			t.Errorf("%v: Recv: %v", want, err)
		}
		if err := talk.Send(ctx, ""); !errors.Is(err, want) {
			t.Errorf("%v: Send: %v", want, err)
		}
		talk.CloseSend()
		if err := talk.Close(); !errors.Is(err, want) {
			t.Errorf("%v: Close: %v", want, err)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	talk := echo.Open(ended, never{t}, "")
	if _, err := talk.Recv(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("opened with a context that has ended: %v", err)
	}
}
