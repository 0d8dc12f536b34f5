//go:build unix

package wire_test

import (
	"errors"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool/internal/wire"
)

func TestExitStop(t *testing.T) {
	for _, busy := range []bool{false, true} {
		t.Run("busy="+strconv.FormatBool(busy), func(t *testing.T) {
			h := start(t)
			if busy {
				forever.Submit(t.Context(), h, 0)
			}
			h.worker.Stop()
			if r := h.awaitExit(); r.Exit.Code != 0 || r.Err != nil {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// A worker that is asked to leave does so at once, whatever its lanes do: some were
// never used, one waits for its next call, one for ever, one in a system call that
// does not return, one computes.
func TestExitStopManyLanes(t *testing.T) {
	h := start(t, lanes(8))
	mustResult(t, square.Submit(t.Context(), h.on(1), 1))
	forever.Submit(t.Context(), h.on(2), 0)
	blocks.Submit(t.Context(), h.on(3), 0)
	burn.Submit(t.Context(), h.on(4), 0)
	for lane := 2; lane <= 4; lane++ {
		h.awaitProgress(lane, uint64(lane))
	}
	began := time.Now()
	h.worker.Stop()
	r := h.awaitExit()
	t.Logf("it was gone after %v", time.Since(began))
	if r.Exit.Code != 0 || r.Exit.Signal != 0 || r.Err != nil {
		t.Errorf("got %+v", r)
	}
	h = start(t, lanes(8))
	h.worker.Stop()
	if r := h.awaitExit(); r.Exit.Code != 0 || r.Exit.Signal != 0 || r.Err != nil {
		t.Errorf("of an idle worker: %+v", r)
	}
}

// One that does not leave when it is asked to is killed by whoever asked, and the
// report says why.
func TestExitStopIsNotHeeded(t *testing.T) {
	reason := errors.New("it did not leave within its grace")
	for name, prepare := range map[string]func(*testHost){
		"stopped": func(h *testHost) { h.stopWorker(); h.worker.Stop() },
		"lingers": func(h *testHost) { h.worker.Stop() },
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, func(o *wire.Options) { *o = withRole(*o, "lingers") })
			forever.Submit(t.Context(), h, 0)
			h.awaitStarted(1)
			prepare(h)
			if !alive(h.worker.PID()) {
				t.Error("the worker has left")
			}
			h.worker.Kill(reason)
			r := h.awaitExit()
			if r.Exit.Signal != syscall.SIGKILL || !r.Exit.Killed || !errors.Is(r.Err, reason) {
				t.Errorf("got %+v", r)
			}
		})
	}
}
