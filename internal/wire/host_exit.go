package wire

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// exitGrace is how long a process that has hung up may take to be dead: the
	// sockets of a dying process close before it can be reaped, on a busy
	// machine much earlier, and a kill meanwhile would hide the real cause of
	// death.
	exitGrace = 2 * time.Second
	// drainLimit bounds the reading of what a dead worker has sent.
	drainLimit = time.Second
	// stderrWait bounds the wait for the end of standard error, which a
	// process that left the group may hold open.
	stderrWait = time.Millisecond
)

// supervise sees the worker to its end, reports it and tidies up.
func (w *Worker) supervise() {
	w.awaitDeath()
	w.box.close()
	died := monotonicNow()
	report := ExitReport{Exit: w.child.Exit()}
	// Where there are no signals nothing tells who ended it.
	if reason := w.reason.Load(); reason != nil && (report.Exit.Killed || runtime.GOOS == "windows") {
		report.Err = *reason
	}
	w.awaitDrained()
	report.Stderr = string(w.child.Tail(stderrWait))
	w.readRecorder(&report, died)
	w.closeStreams()
	w.o.OnExit(report)
	w.closeRelayed()

	w.cancel()
	w.helpers.Wait()
	w.box.awaitIdle()
	w.launch.tidy()
	close(w.done)
}

// awaitDeath returns when the process is dead and reaped. It kills one whose
// stream has ended while it lives on.
func (w *Worker) awaitDeath() {
	select {
	case <-w.child.Done():
		return
	case <-w.received:
	}
	if w.stopping.Load() || w.killed.Load() {
		// It was asked to leave and has hung up. How long it may take to be
		// gone is for the one who asked.
		<-w.child.Done()
		return
	}
	if hungUp(w.recvErr) {
		timer := time.NewTimer(exitGrace)
		defer timer.Stop()
		select {
		case <-w.child.Done():
			return
		case <-timer.C:
		}
	}
	w.Kill(fmt.Errorf("the worker was killed because its stream ended while it lived on: %s", streamError(w.recvErr)))
	<-w.child.Done()
}

// streamError is the text of a stream's error without gRPC's decoration.
func streamError(err error) string {
	if s, ok := status.FromError(err); ok && s.Message() != "" {
		return s.Message()
	}
	return err.Error()
}

// awaitDrained returns when all that the worker had handed to the kernel has been
// delivered, or at the limit.
func (w *Worker) awaitDrained() {
	timer := time.NewTimer(drainLimit)
	defer timer.Stop()
	select {
	case <-w.received:
	case <-timer.C:
		w.cancel()
		<-w.received
	}
	w.drained = hungUp(w.recvErr)
}

// hungUp reports whether a stream has ended because the other side is gone, with all
// read that it had sent.
func hungUp(err error) bool { return status.Code(err) == codes.Unavailable || errors.Is(err, io.EOF) }

// readRecorder reads from the page of the worker, which died at that moment, how
// far it had come, and the replies that did not reach the kernel.
func (w *Worker) readRecorder(report *ExitReport, died int64) {
	if !w.hello.Recorder {
		return
	}
	report.PageOK = true
	for lane := range w.sent {
		s, ok := w.recorder.progress(lane)
		if !ok || s.finished > s.started || s.started > w.sent[lane].Load() {
			report.PageOK = false
		}
		p := LaneProgress{Started: s.started, Finished: s.finished}
		if s.started > 0 {
			p.Ran = s.ran(died, w.born)
		}
		report.Lanes = append(report.Lanes, p)
		report.Replies = append(report.Replies, w.recovered(lane)...)
	}
}

// recovered returns the outcomes in the lane's journal that were not delivered.
// The journal may also hold some that were: it is emptied only once all in it
// have been handed to the kernel.
func (w *Worker) recovered(lane int) []Reply {
	journal, err := w.recorder.journal(lane)
	if err != nil {
		return nil // its length makes no sense: nothing in it can be trusted
	}
	replies, err := decodeReplies(nil, journal)
	if err != nil {
		return nil
	}
	var lost []Reply
	last := w.answered[lane]
	for _, r := range replies {
		if int(r.Lane) == lane && r.Seq > last && r.Seq <= w.sent[lane].Load() {
			last = r.Seq
			if !w.drained && w.stream(streamKey{seq: r.Seq, lane: r.Lane}) != nil {
				continue // values of its may be missing
			}
			w.closeStream(&r)
			w.boundRun(&r)
			lost = append(lost, r)
		}
	}
	return lost
}
