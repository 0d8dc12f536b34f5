//go:build unix

package wire_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// streamPrefix begins the behaviours of fake workers that know streams and break the
// contract there.
const streamPrefix = "stream-"

func fakeStreams(h *workerv1.HelloResponse) {
	h.Capabilities = []string{"stream", "session"}
	h.Tasks = append(h.GetTasks(),
		&workerv1.TaskDescription{Name: "numbers", Codecs: []string{"cbor"}, Kind: workerv1.TaskKind_TASK_KIND_STREAM},
		&workerv1.TaskDescription{Name: "deaf", Codecs: []string{"raw"}, Kind: workerv1.TaskKind_TASK_KIND_SESSION, Receives: "bytes"})
}

func fakeValue(task *workerv1.Task, data []byte) *workerv1.StreamValue {
	return &workerv1.StreamValue{Seq: task.GetSeq(), Lane: task.GetLane(), Payload: &workerv1.StreamValue_Inline{Inline: data}}
}

// fakeStream is what a fake worker makes of a call of a stream. Its answer is not
// sent when it returns nil.
func fakeStream(behaviour string, task *workerv1.Task) *workerv1.WorkResponse {
	r := &workerv1.WorkResponse{}
	value := fakeValue(task, []byte{7})
	outcome := &workerv1.Outcome{Seq: task.GetSeq(), Lane: task.GetLane()}
	switch behaviour {
	case "stream-unknown":
		value.Seq++
		r.Values = append(r.Values, value)
	case "stream-lane":
		value.Lane = 77
		r.Values = append(r.Values, value)
	case "stream-nobody":
		value.Seq, value.HostCall = 0, 5
		r.Values = append(r.Values, value)
	case "stream-beyond":
		for range task.GetResultCredit() + 1 {
			r.Values = append(r.Values, value)
		}
	case "stream-bytes":
		for range 3 { // which would be within the count
			r.Values = append(r.Values, fakeValue(task, make([]byte, task.GetResultCreditBytes()/2)))
		}
	case "stream-end":
		value.End = true
		r.Values = append(r.Values, value)
	case "stream-generous":
		for range 3 {
			r.Credits = append(r.Credits, &workerv1.Credit{Seq: task.GetSeq(), Lane: task.GetLane(), Values: math.MaxUint64, Bytes: math.MaxUint64})
		}
	case "stream-last":
		// Whatever the order on the wire, outcomes come last. Credit for a call that
		// does not run does no harm.
		r.Credits = append(r.Credits, &workerv1.Credit{Seq: task.GetSeq() + 1, Lane: 77, Values: 1}, &workerv1.Credit{HostCall: 1, Values: 1})
		r.Values, r.Outcomes = append(r.Values, value, value), append(r.Outcomes, outcome)
	}
	return r
}

// answerStream answers a call of a stream.
func (f fakeWorker) answerStream(stream grpc.BidiStreamingServer[workerv1.WorkRequest, workerv1.WorkResponse], task *workerv1.Task) error {
	if f.behaviour == "stream-answered" {
		err := stream.Send(&workerv1.WorkResponse{Outcomes: []*workerv1.Outcome{{Seq: task.GetSeq(), Lane: task.GetLane()}}})
		if err == nil {
			err = stream.Send(&workerv1.WorkResponse{Values: []*workerv1.StreamValue{fakeValue(task, []byte{7})}})
		}
		return err
	}
	err := stream.Send(fakeStream(f.behaviour, task))
	if err == nil && f.behaviour == "stream-generous" {
		<-stream.Context().Done() // and reads nothing more
	}
	return err
}

func TestForeignStreamViolations(t *testing.T) {
	for behaviour, want := range map[string]string{
		"unknown":  "which it does not run",
		"lane":     "on lane 77, which it does not run",
		"nobody":   "",
		"beyond":   "more values of call 1 on lane 0 than it was permitted",
		"bytes":    "more values of call 1 on lane 0 than it was permitted",
		"end":      "other than by answering it",
		"answered": "a value of call 1 on lane 0, which it does not run",
	} {
		t.Run(behaviour, func(t *testing.T) {
			h := startStreams(t, fake(streamPrefix+behaviour))
			_, err := collect(numbers.All(patient(t), h, 1, procpool.Window(10)))
			if err != nil && !errors.Is(err, errDied) {
				t.Errorf("got error %v", err)
			}
			r := h.awaitExit()
			if r.Err == nil || !strings.Contains(r.Err.Error(), "broke the contract") || !strings.Contains(r.Err.Error(), want) || !r.Exit.Killed {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestForeignStreamOutcomeIsLast(t *testing.T) {
	h := startStreams(t, fake(streamPrefix+"last"))
	got, err := collect(numbers.All(patient(t), h, 1))
	if err != nil || len(got) != 2 || got[0] != 7 {
		t.Errorf("got %v, %v", got, err)
	}
}

// However much credit a worker gives, what it does not read does not pile up.
func TestForeignStreamCreditIsBounded(t *testing.T) {
	h := startStreams(t, fake(streamPrefix+"generous"))
	c := deaf.Open(patient(t), h, nil)
	sent := 0
	var err error
	for err == nil && sent < 1<<30 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err = c.Send(ctx, pattern(10_000))
		cancel()
		sent += 10_000
	}
	// The box, gRPC's window and buffers, the socket's.
	if !errors.Is(err, procpool.ErrNotDone) || sent < 4<<20 || sent > 32<<20 {
		t.Errorf("%d bytes were taken, then error %v", sent, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// A worker that knows no streams is not sent any: what it makes of such a call as one
// of no task does not matter.
func TestForeignWorkerWithoutStreams(t *testing.T) {
	h := startStreams(t, fake("future"))
	_, stream := collect(procpool.RemoteStream[int, int]("square").All(patient(t), h, 7))
	_, session := procpool.RemoteSession[int, int, int]("square").Open(patient(t), h, 7).Recv(patient(t))
	for kind, err := range map[string]error{"stream": stream, "session": session} {
		if !errors.Is(err, procpool.ErrUnknownTask) || !strings.Contains(err.Error(), "built with fake, which has no "+kind+"s") {
			t.Errorf("got error %v", err)
		}
	}
	if got := mustResult(t, square.Submit(t.Context(), h, 7)); got != 7 {
		t.Errorf("the echo of 7 is %d", got)
	}
}
