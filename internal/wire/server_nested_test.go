package wire //nolint:testpackage // tests what is not exported

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// reply answers a HostCall with a failure of the host's, or with its argument.
func reply(t *testing.T, call *callContext, id uint64, data []byte, failed error) {
	t.Helper()
	r := hostReply{id: id, worker: 2, pid: 4711, wait: time.Second, took: time.Minute}
	if failed != nil {
		f := hostFailureOf("asked", failed)
		r.failure = &f
	}
	body := r.append(nil)
	if len(data) > 0 {
		body = append(append(body, tagHostReplyInline, byte(len(data))), data...)
	}
	if err := call.lane.server.takeNested(&taskBatch{hostReplies: [][]byte{body}}); err != nil {
		t.Error(err)
	}
}

// sentCalls returns the HostCalls and HostCancels among what was sent.
func sentCalls(stream *captured) (calls []*workerv1.HostCall, cancels []uint64) {
	for _, r := range stream.take() {
		calls = append(calls, r.GetHostCalls()...)
		for _, c := range r.GetHostCancels() {
			cancels = append(cancels, c.GetId())
		}
	}
	return calls, cancels
}

var askedNumber = procpool.Remote[int, int]("asked")

func TestNestedCallRefusedInWorker(t *testing.T) {
	t.Parallel()
	call, stream := runningCall(t, offers{hostCall: true})
	call.lane.server.maxPayload = 1 << 10
	ex := procpool.ExecutorFrom(call)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	text := procpool.Remote[string, int]("asked")
	for name, test := range map[string]struct {
		ctx  context.Context //nolint:containedctx // the case is what it is
		in   string
		opts []procpool.Option
		want error
	}{
		"argument": {t.Context(), strings.Repeat("x", 1<<10), nil, procpool.ErrTooLarge},
		"metadata": {t.Context(), "", []procpool.Option{procpool.Metadata(map[string]string{"k": strings.Repeat("x", messageSlack/2)})}, procpool.ErrTooLarge},
		"context":  {ended, "", nil, context.Canceled},
	} {
		if _, err := text.Call(test.ctx, ex, test.in, test.opts...); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	call.close()
	for _, ex := range []procpool.Executor{ex, procpool.ExecutorFrom(call)} {
		if _, err := text.Call(t.Context(), ex, ""); !errors.Is(err, procpool.ErrNestingLimit) {
			t.Errorf("behind the end: got %v", err)
		}
	}
	if calls, cancels := sentCalls(stream); len(calls)+len(cancels) > 0 {
		t.Errorf("sent %v, %v", calls, cancels)
	}
}

// Between two attempts lies the caller's Backoff.
func TestNestedRetryWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		call, stream := runningCall(t, offers{hostCall: true})
		f := askedNumber.Submit(t.Context(), procpool.ExecutorFrom(call), 1, procpool.Retries(3), procpool.Backoff(time.Minute, time.Minute))
		crash := &procpool.CrashError{Task: "asked", Reason: "signal: killed", Suspects: 1}
		began := time.Now()
		for i := range 3 {
			calls, _ := sentCalls(stream)
			if len(calls) != 1 || calls[0].GetAttempts() != uint32(i) || calls[0].GetSuspect() != (i == 2) {
				t.Fatalf("attempt %d: sent %v", i, calls)
			}
			crash.Suspects = i + 1 // of which the last one counts
			reply(t, call, calls[0].GetId(), nil, crash)
			synctest.Wait()
			if calls, _ := sentCalls(stream); len(calls) > 0 {
				t.Fatalf("attempt %d is followed by another at once", i)
			}
			<-time.After(time.Minute)
			synctest.Wait()
		}
		if waited := time.Since(began); waited != 3*time.Minute {
			t.Errorf("it took %v", waited)
		}
		calls, _ := sentCalls(stream)
		reply(t, call, calls[0].GetId(), []byte{7}, nil)
		if v, err := f.Result(t.Context()); v != 7 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
		info := f.Info()
		if len(info.Failed) != 3 || info.Attempts != 4 || info.Worker != 2 || info.PID != 4711 || info.Wait != time.Second || info.Run != time.Minute {
			t.Errorf("got %+v", info)
		}
		reply(t, call, calls[0].GetId(), []byte{8}, nil) // too late, and harmless
		call.close()
	})
}

// A call that waits for its next attempt is given up as one that runs is.
func TestNestedRetryIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for how := range 3 {
			call, stream := runningCall(t, offers{hostCall: true})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			f := askedNumber.Submit(ctx, procpool.ExecutorFrom(call), 1, procpool.Retries(3), procpool.Backoff(time.Minute, time.Minute))
			calls, _ := sentCalls(stream)
			reply(t, call, calls[0].GetId(), nil, &procpool.CrashError{})
			synctest.Wait()
			switch how {
			case 0:
				cancel()
			case 1:
				f.Cancel()
			case 2:
				call.close()
			}
			if _, err := f.Result(context.Background()); !errors.Is(err, context.Canceled) {
				t.Errorf("%d: got %v", how, err)
			}
			<-time.After(time.Hour)
			synctest.Wait()
			if calls, cancels := sentCalls(stream); len(calls)+len(cancels) > 0 {
				t.Errorf("%d: sent %v, %v", how, calls, cancels)
			}
		}
	})
}

// The context of the call that is made bounds it; what the host says afterwards does
// not matter.
func TestNestedDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		call, stream := runningCall(t, offers{hostCall: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f := askedNumber.Submit(ctx, procpool.ExecutorFrom(call), 1)
		calls, _ := sentCalls(stream)
		if calls[0].GetTimeoutNanos() != uint64(time.Minute) || calls[0].GetParentSeq() != 7 || calls[0].GetParentLane() != 3 {
			t.Errorf("sent %v", calls)
		}
		_, err := f.Result(context.Background())
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if _, cancels := sentCalls(stream); len(cancels) != 1 || cancels[0] != calls[0].GetId() {
			t.Errorf("given up are %v", cancels)
		}
		reply(t, call, calls[0].GetId(), []byte{7}, nil)
		call.close()
		if n := len(call.lane.server.nested.calls); n > 0 {
			t.Errorf("%d calls are remembered", n)
		}
	})
}
