//go:build unix

package wire_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/wire"
)

const (
	fakeNested = "nested-"
	fakeTells  = "tells-"
)

type workStream = grpc.BidiStreamingServer[workerv1.WorkRequest, workerv1.WorkResponse]

// hostCall is a call that call 1 on lane 0 makes.
func hostCall(id uint64) *workerv1.HostCall {
	return &workerv1.HostCall{Id: id, ParentSeq: 1, Name: "asked", Codec: "cbor", Payload: &workerv1.HostCall_Inline{Inline: []byte{7}}}
}

func hostCalls(calls ...*workerv1.HostCall) *workerv1.WorkResponse {
	return &workerv1.WorkResponse{HostCalls: calls}
}

// session makes it the call of a session.
func session(c *workerv1.HostCall, credit uint64) *workerv1.HostCall {
	c.Kind, c.ResultCredit, c.ResultCreditBytes = workerv1.TaskKind_TASK_KIND_SESSION, credit, credit
	return c
}

func valueOf(id uint64, end bool) *workerv1.WorkResponse {
	return &workerv1.WorkResponse{Values: []*workerv1.StreamValue{{HostCall: id, End: end, Payload: &workerv1.StreamValue_Inline{Inline: []byte{1}}}}}
}

// nest breaks the contract of nested calls while call 1 runs, or stretches it. Where it
// does not break it, the call is answered with the number of refusals that came.
func (f fakeWorker) nest(stream workStream, task *workerv1.Task) error {
	seq := task.GetSeq()
	awaited := 0
	switch strings.TrimPrefix(f.behaviour, fakeNested) {
	case "garbage":
		return stream.SendMsg(rawMessage("\x32\x04\x0a\xff\xff\xff"))
	case "zero":
		return stream.Send(hostCalls(hostCall(0)))
	case "segment":
		c := hostCall(1)
		c.Payload = &workerv1.HostCall_Segment{Segment: &workerv1.SegmentRef{Id: 1}}
		return stream.Send(hostCalls(c))
	case "twice":
		return stream.Send(hostCalls(hostCall(5), hostCall(6), hostCall(5)))
	case "flood":
		for from := uint64(1); from < 70_000; from += 10_000 {
			r := new(workerv1.WorkResponse)
			for id := from; id < from+10_000; id++ {
				r.HostCalls = append(r.HostCalls, hostCall(id))
			}
			if err := stream.Send(r); err != nil {
				return err
			}
		}
		return nil
	case "garbage-cancel":
		return stream.SendMsg(rawMessage("\x3a\x02\x08\xff"))
	case "values-of-function":
		return sendAll(stream, hostCalls(hostCall(1)), valueOf(1, false))
	case "values-uncalled-for":
		return sendAll(stream, hostCalls(session(hostCall(1), 1)), valueOf(1, false))
	case "ends-twice":
		return sendAll(stream, hostCalls(session(hostCall(1), 1)), valueOf(1, true), valueOf(1, true))
	case "credits":
		c := session(hostCall(1), math.MaxUint64)
		credits := &workerv1.WorkResponse{}
		for range 1000 {
			credits.Credits = append(credits.Credits, &workerv1.Credit{HostCall: 1, Values: math.MaxUint64, Bytes: math.MaxUint64})
		}
		return sendAll(stream, hostCalls(c), credits, credits)
	case "strangers":
		var calls []*workerv1.HostCall
		for i, parent := range [][2]uint64{{77, 1}, {math.MaxUint32, 1}, {0, 0}, {0, 2}, {0, math.MaxUint64}} {
			c := hostCall(uint64(i + 1))
			c.ParentLane, c.ParentSeq = uint32(parent[0]), parent[1]
			calls = append(calls, c)
		}
		nameless := hostCall(6)
		nameless.Name = ""
		large := hostCall(7)
		large.Payload = &workerv1.HostCall_Inline{Inline: make([]byte, 1<<20+1)}
		calls = append(calls, nameless, large)
		awaited = len(calls)
		// What there is not is passed over.
		err := sendAll(stream, hostCalls(calls...), valueOf(99, false), &workerv1.WorkResponse{
			HostCancels: []*workerv1.HostCancel{{Id: 99}, {}}, Credits: []*workerv1.Credit{{HostCall: 99, Values: 1}},
		})
		if err != nil {
			return err
		}
	case "numbers":
		c := hostCall(math.MaxUint64)
		c.Priority, c.Attempts, c.TimeoutNanos, c.RunLimitNanos = math.MinInt32, math.MaxUint32, math.MaxUint64, math.MaxUint64
		c.Kind, c.Codec, c.Key, c.Name = 99, strings.Repeat("c", 1000), "k", strings.Repeat("n", 100_000)
		c.Metadata = map[string]string{"a": "b"}
		awaited = 1
		if err := stream.Send(hostCalls(c)); err != nil {
			return err
		}
	}
	refused := 0
	for awaited > 0 {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		for _, r := range request.GetHostReplies() {
			awaited--
			if r.GetFailure() != nil {
				refused++
				fmt.Fprintf(os.Stderr, "refused %d: %v\n", r.GetId(), r.GetFailure().GetKind())
			}
		}
	}
	outcome := &workerv1.Outcome{Seq: seq, Lane: task.GetLane(), Result: &workerv1.Outcome_Inline{Inline: []byte{byte(refused)}}}
	return stream.Send(&workerv1.WorkResponse{Outcomes: []*workerv1.Outcome{outcome}})
}

func sendAll(stream workStream, all ...*workerv1.WorkResponse) error {
	for _, r := range all {
		if err := stream.Send(r); err != nil {
			return err
		}
	}
	return nil
}

// tell reports and logs what is no report and no line.
func (f fakeWorker) tell(stream workStream, task *workerv1.Task) error {
	seq := task.GetSeq()
	r := new(workerv1.WorkResponse)
	switch strings.TrimPrefix(f.behaviour, fakeTells) {
	case "garbage-progress":
		return stream.SendMsg(rawMessage("\x22\x02\x08\xff"))
	case "garbage-log":
		return stream.SendMsg(rawMessage("\x2a\x02\x08\xff"))
	case "nonsense":
		for _, done := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -3, 7, 0.25} {
			for _, total := range []float64{1, 0, math.NaN(), math.Inf(1), -1} {
				r.Progress = append(r.Progress, &workerv1.Progress{Seq: seq, Done: done, Total: total})
			}
		}
		r.Progress = append(r.Progress, &workerv1.Progress{Seq: seq + 1, Message: "no such call"}, &workerv1.Progress{Message: "no call"},
			&workerv1.Progress{Seq: seq, Lane: 77, Message: "no such lane"})
		many := make(map[string]string)
		for i := range 10_000 {
			many[fmt.Sprint("k", i)] = strings.Repeat("v", 50)
		}
		r.Logs = []*workerv1.Log{
			{Seq: seq, Level: 99, Message: strings.Repeat("m", 100<<10), TimeUnixNanos: math.MaxUint64},
			{Seq: seq, Level: workerv1.LogLevel_LOG_LEVEL_ERROR, Fields: many},
			{Seq: seq, Lane: 77, Level: -1, Message: "no such lane"},
		}
	}
	r.Outcomes = []*workerv1.Outcome{{Seq: seq, Lane: task.GetLane(), Result: &workerv1.Outcome_Inline{Inline: []byte{7}}}}
	return stream.Send(r)
}

// What a worker does wrong with nested calls costs the worker, and the report says
// what it was.
func TestForeignNestedViolations(t *testing.T) {
	for behaviour, want := range map[string]string{
		fakeNested + "garbage":             "can't be read: the message ends in the middle of a field",
		fakeNested + "zero":                "without a number",
		fakeNested + "segment":             "shared-memory segment",
		fakeNested + "twice":               "two calls of the same number",
		fakeNested + "flood":               "more than 65536 calls at once",
		fakeNested + "garbage-cancel":      "HostCancel can't be read",
		fakeNested + "values-of-function":  "which takes none",
		fakeNested + "values-uncalled-for": "no credit",
		fakeNested + "ends-twice":          "behind their end",
		fakeTells + "garbage-progress":     "can't be read",
		fakeTells + "garbage-log":          "can't be read",
	} {
		t.Run(behaviour, func(t *testing.T) {
			h, n := startNested(t, nil, fake(behaviour), listening)
			square.Submit(t.Context(), h, 7)
			r := h.awaitExit()
			if r.Err == nil || !strings.Contains(r.Err.Error(), want) || !strings.Contains(r.Err.Error(), "broke the contract") || !r.Exit.Killed {
				t.Errorf("got %v of %+v", r.Err, r.Exit)
			}
			h.awaitDone()
			for _, c := range n.calls {
				if !c.Finished() {
					t.Error("a call is open")
				}
			}
		})
	}
}

func listening(o *wire.Options) {
	level := slog.LevelDebug
	o.OnProgress, o.OnLog, o.LogLevel = func(uint32, uint64, procpool.Progress) {}, func(wire.LogRecord) {}, &level
}

func TestForeignNestedStrangers(t *testing.T) {
	h, n := startNested(t, nil, fake(fakeNested+"strangers"))
	if got := mustResult(t, square.Submit(t.Context(), h, 1)); got != 7 {
		t.Errorf("%d calls are refused", got)
	}
	if len(n.calls) > 0 {
		t.Errorf("a call of nobody's is made: %d", len(n.calls))
	}
	h.worker.Kill(nil)
	said := h.awaitExit().Stderr
	for id, kind := range []string{"NESTING_LIMIT", "NESTING_LIMIT", "NESTING_LIMIT", "NESTING_LIMIT", "NESTING_LIMIT", "UNKNOWN_TASK", "TOO_LARGE"} {
		wantText(t, said, fmt.Sprintf("refused %d: FAILURE_KIND_%s", id+1, kind))
	}
}

// A worker that makes calls of a host which takes none is told so.
func TestForeignNestedNotTaken(t *testing.T) {
	h := start(t, fake(fakeNested+"numbers"))
	if got := mustResult(t, square.Submit(t.Context(), h, 1)); got != 1 {
		t.Errorf("%d calls are refused", got)
	}
	h.worker.Kill(nil)
	wantText(t, h.awaitExit().Stderr, "FAILURE_KIND_TASK")
}

func TestForeignNestedNumbers(t *testing.T) {
	h, n := startNested(t, answerEcho, fake(fakeNested+"numbers"))
	if got := mustResult(t, square.Submit(t.Context(), h, 1)); got != 0 {
		t.Errorf("%d calls are refused", got)
	}
	c := n.await(1)
	deadline, ok := c.Deadline()
	if !ok || deadline.Before(time.Now()) || c.Timeout() <= 0 || c.Priority() != -100 || c.Slot.Attempts == 0 || c.Slot.Attempts > 200 ||
		c.Kind() != procpool.KindFunction || len(c.Task()) != 100_000 {
		t.Errorf("the call has until %v, %v to run, priority %d, and has run %d times", deadline, c.Timeout(), c.Priority(), c.Slot.Attempts)
	}
}

// A worker that takes nothing is sent no more than the host bears, whatever credit it
// gives.
func TestForeignNestedCredit(t *testing.T) {
	h, n := startNested(t, nil, fake(fakeNested+"credits"))
	square.Submit(t.Context(), h, 1)
	c := n.await(1)
	feed := c.Conduit().Attach(&handFar{}, 0)
	h.stopWorker()
	value := bytes.Repeat([]byte{1}, 1<<10)
	sent := 0
	for feed.Values([][]byte{value}) {
		if sent++; sent > 1<<20 {
			t.Fatal("the host takes values without end")
		}
	}
	if sent > 1<<15 {
		t.Errorf("the host took %d values of 1 KiB", sent)
	}
}

func TestForeignTells(t *testing.T) {
	h, r := startTold(t, slog.LevelInfo, fake(fakeTells+"nonsense"))
	mustResult(t, square.Submit(t.Context(), h, 1))
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.progress) != 30 {
		t.Errorf("%d reports came", len(r.progress))
	}
	for i, p := range r.progress {
		if !(p.Fraction >= 0 && p.Fraction <= 1) || p.Text != "" {
			t.Errorf("report %d is %+v", i, p)
		}
	}
	if len(r.records) != 3 {
		t.Fatalf("%d records came", len(r.records))
	}
	if l := r.records[0]; l.Level != slog.LevelInfo || len(l.Message) > 64<<10 || l.Seq != 1 {
		t.Errorf("got %v from %d at %v, with %d bytes", l.Level, l.Seq, l.Time, len(l.Message))
	}
	if l := r.records[1]; l.Level != slog.LevelError || len(l.Attrs) != 128 {
		t.Errorf("got %v with %d fields", l.Level, len(l.Attrs))
	}
	if l := r.records[2]; l.Level != slog.LevelInfo || l.Seq != 0 || l.Lane != 0 {
		t.Errorf("got %+v", l)
	}
}
