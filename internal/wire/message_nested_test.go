package wire //nolint:testpackage // tests what is not exported

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// toTheTask sends an error as a host does and returns what the task gets.
func toTheTask(t *testing.T, err error) error {
	t.Helper()
	f := hostFailureOf("scale", err)
	data := (&hostReply{id: 7, failure: &f}).append(nil)
	if contractErr := proto.Unmarshal(data, new(workerv1.HostReply)); contractErr != nil {
		t.Fatalf("protobuf can't read it: %v", contractErr)
	}
	var got hostReply
	if parseErr := got.parse(data); parseErr != nil || got.id != 7 || got.failure == nil {
		t.Fatalf("the failure %v decoded as %+v with error %v", err, got, parseErr)
	}
	return got.failure.err()
}

var nestedSentinels = []error{
	procpool.ErrTooLarge, procpool.ErrUnknownTask, procpool.ErrClosed, procpool.ErrQueueFull, procpool.ErrCrashed, procpool.ErrNestingLimit,
	procpool.ErrPoison, procpool.ErrNotDone, procpool.ErrActorEnded, procpool.ErrReentrant, context.Canceled, context.DeadlineExceeded, io.ErrUnexpectedEOF,
}

func ofType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// An error that the host has for a call matches the same in the task that made it.
func TestHostFailuresCrossTheWire(t *testing.T) {
	t.Parallel()
	call := procpool.Relay{Task: "scale", Done: func(*procpool.Call, []byte, error) {}}.NewCall()
	cancelled, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("the user left"))
	late, cancelLate := context.WithDeadline(context.Background(), time.Unix(1, 0))
	defer cancelLate()
	crash := &procpool.CrashError{
		Task: "scale", Worker: math.MaxInt32, PID: 4711, ExitCode: -1, Signal: "SIGKILL", Reason: "signal: killed", OOM: procpool.OOMYes,
		MaxRSS: math.MaxInt64, UserCPU: time.Hour, SystemCPU: 1, Stderr: "oh", Attempt: 3, Finished: true, Suspects: 2, Hung: true, Dir: "/d",
	}
	for name, err := range map[string]error{
		"task":           &procpool.TaskError{Task: "scale", Type: "T", Message: "m", Code: "c", Stack: "s", Language: "python"},
		"panic":          procpool.NewPanicError("scale", "v", []byte("stack")),
		"goexit":         procpool.NewPanicError("scale", nil, nil),
		"codec":          &procpool.CodecError{Task: "scale", Codec: "cbor", Op: "encode the result", Err: errors.New("no")},
		"crash":          crash,
		"crash, exit 0":  &procpool.CrashError{Task: "scale", Reason: "exit status 0"},
		"crash, exit 3":  &procpool.CrashError{Task: "scale", ExitCode: 3, OOM: procpool.OOMLikely, Reason: "exit status 3"},
		"wrapped crash":  fmt.Errorf("%w", crash),
		"timeout":        &procpool.TimeoutError{Task: "scale", Limit: 90 * time.Second, Attempt: 2},
		"cancelled":      procpool.CancelError(cancelled, call),
		"deadline":       procpool.CancelError(late, call),
		"closed":         procpool.ErrClosed,
		"queue full":     fmt.Errorf("%w: 5 calls wait in it", procpool.ErrQueueFull),
		"nesting":        procpool.NestingError("scale", "it is nested 51 deep"),
		"reentrant":      procpool.ReentrantError(call),
		"actor closed":   procpool.ActorEndedError("scale", nil),
		"actor crashed":  procpool.ActorEndedError("scale", crash),
		"actor's pool":   procpool.ActorEndedError("scale", procpool.ErrClosed),
		"task's choice":  &procpool.TaskError{Task: "scale", Type: "T", Message: procpool.ErrActorEnded.Error()},
		"unknown":        procpool.UnknownTaskError(call, []string{"scala"}, ""),
		"too large":      fmt.Errorf("5 bytes are too many: %w", procpool.ErrTooLarge),
		"start":          &procpool.StartError{Reason: "it ended", ExitCode: 3, Output: "no licence"},
		"start, killed":  &procpool.StartError{Command: []string{"a", "b c"}, Reason: "it ended", ExitCode: -1},
		"start, timeout": &procpool.StartError{Command: []string{"a"}, Reason: "too slow", ExitCode: -1, Err: context.DeadlineExceeded},
		"start, file":    &procpool.StartError{Command: []string{"a"}, Reason: "gone", ExitCode: -1, Err: errors.New("no such file")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := toTheTask(t, err)
			want := err
			if name == "wrapped crash" {
				want = crash
			}
			if got.Error() != want.Error() {
				t.Errorf("text %q, want %q", got, want)
			}
			for _, sentinel := range nestedSentinels {
				if errors.Is(got, sentinel) != errors.Is(err, sentinel) {
					t.Errorf("errors.Is(%v, %v) is %v", got, sentinel, errors.Is(got, sentinel))
				}
			}
			for kind, is := range map[string]func(error) bool{
				"TaskError": ofType[*procpool.TaskError], "PanicError": ofType[*procpool.PanicError], "CodecError": ofType[*procpool.CodecError],
				"CrashError": ofType[*procpool.CrashError], "TimeoutError": ofType[*procpool.TimeoutError], "StartError": ofType[*procpool.StartError],
			} {
				if is(got) != is(err) {
					t.Errorf("%#v is a *%s: %v", got, kind, is(got))
				}
			}
			if c, ok := errors.AsType[*procpool.CrashError](got); ok {
				before, _ := errors.AsType[*procpool.CrashError](err)
				if *c != *before {
					t.Errorf("%+v became %+v", before, c)
				}
			}
			if to, ok := errors.AsType[*procpool.TimeoutError](got); ok {
				if before, _ := errors.AsType[*procpool.TimeoutError](err); *to != *before {
					t.Errorf("%+v became %+v", before, to)
				}
			}
			if s, ok := errors.AsType[*procpool.StartError](got); ok {
				before, _ := errors.AsType[*procpool.StartError](err)
				if s.ExitCode != before.ExitCode || s.Output != before.Output || s.Reason != before.Reason {
					t.Errorf("%+v became %+v", before, s)
				}
			}
		})
	}
}

// A worker can't have a call of its host's fail as only the host can.
func TestWorkersDontForgeHostFailures(t *testing.T) {
	t.Parallel()
	for kind := workerv1.FailureKind_FAILURE_KIND_CRASH; kind <= workerv1.FailureKind_FAILURE_KIND_NESTING_LIMIT; kind++ {
		data, err := proto.Marshal(&workerv1.WorkResponse{Outcomes: []*workerv1.Outcome{{Seq: 1, Result: &workerv1.Outcome_Failure{
			Failure: &workerv1.Failure{
				Kind: kind, Task: "t", Message: "m", LimitNanos: 5, Crash: &workerv1.Crash{Pid: 1, Stderr: "s"},
				Cause: &workerv1.Failure{Kind: workerv1.FailureKind_FAILURE_KIND_DEADLINE},
			},
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		replies, err := decodeReplies(nil, data)
		if err != nil || len(replies) != 1 {
			t.Fatalf("%v decoded as %v, %v", kind, replies, err)
		}
		got := replies[0].Err
		te, ok := got.(*procpool.TaskError) //nolint:errorlint // it is bare
		if !ok || te.Message != "m" {
			t.Errorf("%v became %#v", kind, got)
		}
		for _, sentinel := range nestedSentinels {
			if errors.Is(got, sentinel) {
				t.Errorf("%v matches %v", kind, sentinel)
			}
		}
	}
}

func TestHostFailureTextsAreCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", maxFailureText)
	got := toTheTask(t, &procpool.CrashError{Reason: long, Stderr: "start" + long + "\xff the end", Dir: long, Signal: long})
	c, ok := errors.AsType[*procpool.CrashError](got)
	if !ok {
		t.Fatalf("got %#v", got)
	}
	for name, text := range map[string]string{"reason": c.Reason, "stderr": c.Stderr, "dir": c.Dir, "signal": c.Signal} {
		if len(text) > maxFailureText || len(text) < maxFailureText-10 || !utf8.ValidString(text) {
			t.Errorf("the %s has %d bytes", name, len(text))
		}
	}
	if !strings.HasSuffix(c.Stderr, "ä\uFFFD the end") {
		t.Errorf("standard error ends in %q", c.Stderr[len(c.Stderr)-20:])
	}
	got = toTheTask(t, &procpool.CrashError{Stderr: strings.Repeat("x", maxFailureText)})
	if c, _ := errors.AsType[*procpool.CrashError](got); len(c.Stderr) != maxFailureText {
		t.Errorf("64 KiB of standard error became %d bytes", len(c.Stderr))
	}
}

// FuzzHostCall reads what a worker may send as a call of a task.
func FuzzHostCall(f *testing.F) {
	for _, c := range []*workerv1.HostCall{
		{
			Id: 1, ParentSeq: 2, ParentLane: 3, Name: "n", Codec: "cbor", Payload: &workerv1.HostCall_Inline{Inline: []byte("abc")}, TimeoutNanos: 5,
			Metadata: map[string]string{"a": "b"}, Kind: workerv1.TaskKind_TASK_KIND_SESSION, Key: "k", Priority: -7, RunLimitNanos: 6, Attempts: 2,
			Suspect: true, Shared: true, ResultCredit: 4, ResultCreditBytes: 1 << 20,
		},
		{Id: 1, Name: "n", Kind: workerv1.TaskKind_TASK_KIND_ACTOR, Actor: 1<<53 - 1, Method: "m"},
		{Id: 1, Name: "n", Kind: workerv1.TaskKind_TASK_KIND_ACTOR, Restarts: math.MaxUint32, Shared: true},
		{Id: math.MaxUint64, Priority: math.MinInt32, TimeoutNanos: math.MaxUint64, RunLimitNanos: math.MaxUint64, Attempts: math.MaxUint32},
		{Id: 1, Payload: &workerv1.HostCall_Segment{Segment: &workerv1.SegmentRef{}}},
		{},
	} {
		data, err := proto.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got hostCall
		var err error
		boundAllocations(t, len(data), 64, func() { err = got.parse(data) })
		var want workerv1.HostCall
		if err != nil || proto.Unmarshal(data, &want) != nil {
			return
		}
		r := &got.relay
		if got.id != want.GetId() || got.parent != (callKey{want.GetParentLane(), want.GetParentSeq()}) || r.Task != want.GetName() ||
			r.Codec != want.GetCodec() || !bytes.Equal(r.Payload, want.GetInline()) || !maps.Equal(r.Metadata, want.GetMetadata()) ||
			r.Key != want.GetKey() || r.Actor != nil && (r.Actor.Number() != want.GetActor() || r.Method != want.GetMethod()) || r.Priority != int(want.GetPriority()) || r.Suspect != want.GetSuspect() || r.Shared != want.GetShared() {
			t.Errorf("read %+v, protobuf says %v", got, &want)
		}
		if got.timeout < 0 || got.timeout > maxSpan || r.Timeout < 0 || r.Timeout > maxSpan || r.Attempt < 0 || r.Attempt > maxRelayAttempts ||
			r.Window < 0 || r.Window > maxRelayWindow || r.WindowBytes < 0 || r.WindowBytes > maxRelayBytes {
			t.Errorf("read %+v", got)
		}
		// It can be made a call.
		r.Deadline = time.Now().Add(got.timeout)
		r.Done = func(*procpool.Call, []byte, error) {}
		c := r.NewCall()
		if d, _ := c.Deadline(); d.Before(time.Unix(0, 0)) || (c.Conduit() != nil) != c.Kind().HasValues() || (c.Actor() != nil) != (c.Kind() == procpool.KindActor) {
			t.Errorf("the call has until %v", d)
		}
	})
}

// FuzzHostReply reads what a host may send in answer.
func FuzzHostReply(f *testing.F) {
	crash := &workerv1.Crash{
		Worker: 1, Pid: 2, ExitCode: -1, Signal: "SIGSEGV", Reason: "r", Oom: 1, MaxRssBytes: 3, UserNanos: 4, SystemNanos: 5, Stderr: "s",
		Attempt: 6, Finished: true, Suspects: 7, Hung: true, Dir: "d",
	}
	for _, r := range []*workerv1.HostReply{
		{Id: 1, Result: &workerv1.HostReply_Inline{Inline: []byte("abc")}, Worker: 2, Pid: 3, WaitNanos: 4, RunNanos: 5},
		{Id: 1, Result: &workerv1.HostReply_Failure{Failure: &workerv1.Failure{Kind: 7, Task: "t", Crash: crash}}},
		{Id: 1, Actor: 1 << 50},
		{Id: 1, Result: &workerv1.HostReply_Failure{Failure: &workerv1.Failure{Kind: 20, Task: "t", Message: "m", Cause: &workerv1.Failure{Kind: 11}}}},
		{Id: 1, Result: &workerv1.HostReply_Failure{Failure: &workerv1.Failure{Kind: 8, Task: "t", LimitNanos: 4, Attempt: 5}}},
		{Id: 1, Result: &workerv1.HostReply_Failure{Failure: &workerv1.Failure{Kind: 13, Cause: &workerv1.Failure{Kind: 10, Cause: &workerv1.Failure{}}}}},
		{Id: 1, Worker: math.MaxUint64, Pid: -1, WaitNanos: math.MaxUint64, Result: &workerv1.HostReply_Failure{Failure: &workerv1.Failure{
			Kind: 7, Crash: &workerv1.Crash{ExitCode: math.MinInt64, Oom: 9, MaxRssBytes: math.MaxUint64, Suspects: math.MaxUint32},
		}}},
	} {
		data, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got hostReply
		var err error
		boundAllocations(t, len(data), 512, func() { err = got.parse(data) })
		if err != nil {
			return
		}
		if got.wait < 0 || got.took < 0 || got.worker < 0 || got.pid < 0 {
			t.Errorf("read %+v", got)
		}
		var want workerv1.HostReply
		if proto.Unmarshal(data, &want) == nil && (got.id != want.GetId() || got.actor != want.GetActor() || !bytes.Equal(got.data, want.GetInline()) ||
			(got.failure != nil) != (want.GetFailure() != nil)) {
			t.Errorf("read %+v, protobuf says %v", got, &want)
		}
		if got.failure == nil {
			return
		}
		failed := got.failure.err()
		if !utf8.ValidString(failed.Error()) {
			t.Errorf("the error's text is %q", failed)
		}
		if c, ok := failed.(*procpool.CrashError); ok && (c.OOM > procpool.OOMYes || c.MaxRSS < 0 || c.UserCPU < 0 || c.Suspects < 0) { //nolint:errorlint // it is bare
			t.Errorf("read %+v", c)
		}
		// What we made of it survives another trip.
		var again hostReply
		if err := again.parse(got.append(nil)); err != nil || again.failure.err().Error() != failed.Error() {
			t.Errorf("%+v came back as %+v, error %v", got.failure, again.failure, err)
		}
	})
}

// FuzzTelling reads what a worker may send as a report or a line for the log.
func FuzzTelling(f *testing.F) {
	report, err := proto.Marshal(&workerv1.Progress{Seq: 1, Lane: 2, Done: 0.5, Total: 2, Message: "m"})
	if err != nil {
		f.Fatal(err)
	}
	line, err := proto.Marshal(&workerv1.Log{Level: 3, Message: "m", Fields: map[string]string{"a": "b"}, Seq: 1, Lane: 2, TimeUnixNanos: 7})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(report)
	f.Add(line)
	f.Add(bytes.Repeat([]byte{tagLogFields, 0}, 1000))
	f.Fuzz(func(t *testing.T, data []byte) {
		var p progress
		var l logLine
		var progressErr, logErr error
		boundAllocations(t, len(data), 64, func() { progressErr, logErr = p.parse(data), l.parse(data) })
		if progressErr == nil && (!(p.fraction >= 0 && p.fraction <= 1) || !utf8.ValidString(p.text) || len(p.text) > maxFailureText) {
			t.Errorf("read %+v", p)
		}
		if logErr == nil {
			if level := slogLevel(l.level); level < slog.LevelDebug || level > slog.LevelError || len(l.fields) > maxLogFields || len(l.message) > maxFailureText ||
				slices.ContainsFunc(l.fields, func(f logField) bool { return !utf8.ValidString(f.key) || !utf8.ValidString(f.value) }) {
				t.Errorf("read %+v", l)
			}
		}
		var want workerv1.Progress
		if progressErr == nil && len(data) < maxFailureText && proto.Unmarshal(data, &want) == nil &&
			(p.call != callKey{want.GetLane(), want.GetSeq()} || p.text != want.GetMessage()) {
			t.Errorf("read %+v, protobuf says %v", p, &want)
		}
	})
}
