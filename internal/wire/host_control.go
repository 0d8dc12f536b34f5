package wire

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// controlSender sends control messages from a goroutine of its own, so that those
// who ask for them never wait for the worker. Cancels wait in a list that is as
// long as there are calls sent and not answered.
type controlSender struct {
	stream grpc.BidiStreamingClient[workerv1.ControlRequest, workerv1.ControlResponse]
	wake   chan struct{} // of capacity 1

	mu      sync.Mutex
	cancels []callKey
}

type callKey struct {
	lane uint32
	seq  uint64
}

func newControlSender(stream grpc.BidiStreamingClient[workerv1.ControlRequest, workerv1.ControlResponse]) *controlSender {
	return &controlSender{stream: stream, wake: make(chan struct{}, 1)}
}

func (s *controlSender) cancelCall(lane uint32, seq uint64) {
	s.mu.Lock()
	s.cancels = append(s.cancels, callKey{lane, seq})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // it has been told already
	}
}

// send sends what is asked for until ctx ends or the stream breaks.
func (s *controlSender) send(ctx context.Context) {
	var keys []callKey
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		s.mu.Lock()
		keys, s.cancels = s.cancels, keys[:0]
		s.mu.Unlock()
		for _, k := range keys {
			err := s.stream.Send(&workerv1.ControlRequest{Event: &workerv1.ControlRequest_Cancel{
				Cancel: &workerv1.Cancel{Lane: k.lane, Seq: k.seq},
			}})
			if err != nil {
				return // the worker is dying; the supervisor sees to it
			}
		}
	}
}

// receive reads the worker's control messages until the stream ends. A message of
// a kind that is not known here is skipped, as is one that answers nothing.
func (s *controlSender) receive() {
	for {
		if _, err := s.stream.Recv(); err != nil {
			return
		}
	}
}
