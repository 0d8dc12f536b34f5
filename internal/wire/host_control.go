package wire

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// controlStream sends control messages from a goroutine of its own, so that those
// who ask for them never wait for the worker, and reads the answers from another.
// Cancels wait in a list that is as long as there are calls sent and not answered.
type controlStream struct {
	stream grpc.BidiStreamingClient[workerv1.ControlRequest, workerv1.ControlResponse]
	wake   chan struct{} // of capacity 1

	mu      sync.Mutex
	cancels []callKey
	// Pings are numbered from 1. One that was sent and not answered stands
	// for all that are asked for meanwhile.
	pings    uint64 // the last that was asked for
	sent     uint64 // the last that was sent, or is being
	ponged   uint64 // the last that was answered
	lastPong time.Time
}

type callKey struct {
	lane uint32
	seq  uint64
}

func newControlStream(stream grpc.BidiStreamingClient[workerv1.ControlRequest, workerv1.ControlResponse]) *controlStream {
	return &controlStream{stream: stream, wake: make(chan struct{}, 1), lastPong: time.Now()}
}

func (s *controlStream) cancelCall(lane uint32, seq uint64) {
	s.mu.Lock()
	s.cancels = append(s.cancels, callKey{lane, seq})
	s.mu.Unlock()
	s.wakeSender()
}

// ping asks for a Pong, unless one is on its way.
func (s *controlStream) ping() {
	s.mu.Lock()
	idle := s.pings == s.ponged
	if idle {
		s.pings++
	}
	s.mu.Unlock()
	if idle {
		s.wakeSender()
	}
}

func (s *controlStream) pongTime() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastPong
}

func (s *controlStream) wakeSender() {
	select {
	case s.wake <- struct{}{}:
	default: // it has been told already
	}
}

// send sends what is asked for until ctx ends or the stream breaks.
func (s *controlStream) send(ctx context.Context) {
	var keys []callKey
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		s.mu.Lock()
		keys, s.cancels = s.cancels, keys[:0]
		ping, isNew := s.pings, s.pings > s.sent
		s.sent = ping
		s.mu.Unlock()
		if isNew && s.stream.Send(pingRequest(ping)) != nil {
			return // the worker is dying; the supervisor sees to it
		}
		for _, k := range keys {
			if s.stream.Send(cancelRequest(k)) != nil {
				return
			}
		}
	}
}

func pingRequest(id uint64) *workerv1.ControlRequest {
	return &workerv1.ControlRequest{Event: &workerv1.ControlRequest_Ping{Ping: &workerv1.Ping{Id: id}}}
}

func cancelRequest(k callKey) *workerv1.ControlRequest {
	return &workerv1.ControlRequest{Event: &workerv1.ControlRequest_Cancel{Cancel: &workerv1.Cancel{Lane: k.lane, Seq: k.seq}}}
}

// receive reads the worker's control messages until the stream ends. It returns
// what the worker did wrong, nil if that was nothing but its end. A message of a
// kind that is not known here is skipped, as is one that answers nothing.
func (s *controlStream) receive() error {
	var m controlMessage
	for {
		if err := s.stream.RecvMsg(&m); err != nil {
			switch status.Code(err) {
			case codes.Internal, codes.ResourceExhausted: // malformed, too large
				return fmt.Errorf("the worker was killed because it broke the contract on its control stream: %s", streamError(err))
			}
			return nil
		}
		if m.isPong {
			s.answered(m.pong)
		}
	}
}

// answered takes note of the Pong of that number.
func (s *controlStream) answered(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == s.ponged+1 && id <= s.sent {
		s.ponged, s.lastPong = id, time.Now()
	}
}

// watchControl reads the control stream to its end.
func (w *Worker) watchControl() {
	if err := w.control.receive(); err != nil {
		w.Kill(err)
	}
}

// Ping asks the worker for a sign of life, for LastPong. It does not block, and
// while the last one is unanswered it does nothing.
func (w *Worker) Ping() { w.control.ping() }

// LastPong returns when the worker last answered a Ping, at first when it said
// Hello.
func (w *Worker) LastPong() time.Time { return w.control.pongTime() }

// Cancel asks the worker to give up a call: one that has not started is answered
// as declined, of one that runs the context is cancelled. It does not block.
func (w *Worker) Cancel(lane int, seq uint64) { w.control.cancelCall(uint32(lane), seq) }
