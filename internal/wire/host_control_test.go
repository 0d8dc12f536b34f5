//go:build unix

package wire_test

import (
	"errors"
	"syscall"
	"testing"
)

func TestPing(t *testing.T) {
	h := start(t)
	for range 100 {
		before := h.worker.LastPong()
		h.worker.Ping()
		if !eventually(func() bool { return h.worker.LastPong().After(before) }) {
			t.Fatal("a ping is not answered")
		}
	}
}

// A worker that is stopped answers nothing, takes as many pings as one likes, and
// answers when it goes on.
func TestPingStopped(t *testing.T) {
	h := start(t)
	h.stopWorker()
	before := h.worker.LastPong()
	for range 100_000 {
		h.worker.Ping()
	}
	if got := h.worker.LastPong(); got != before {
		t.Errorf("a stopped worker has answered at %v", got)
	}
	if err := syscall.Kill(h.worker.PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { return h.worker.LastPong().After(before) }) {
		t.Error("a worker that goes on does not answer")
	}
}

func TestPingOfTheDead(t *testing.T) {
	h := start(t)
	h.worker.Kill(nil)
	h.awaitDone()
	before := h.worker.LastPong()
	for range 10 {
		h.worker.Ping()
	}
	if got := h.worker.LastPong(); got != before {
		t.Errorf("a dead worker has answered at %v", got)
	}
}

// Pongs that nobody asked for are no signs of life.
func TestForeignPongs(t *testing.T) {
	h := start(t, fake("pongs"))
	before := h.worker.LastPong()
	h.worker.Ping() // is answered with a flood, in which the right number comes last
	if !eventually(func() bool { return h.worker.LastPong().After(before) }) {
		t.Fatal("the right answer was not seen")
	}
	before = h.worker.LastPong()
	if got := mustResult(t, square.Submit(t.Context(), h, 7)); got != 7 {
		t.Errorf("the echo of 7 is %d", got)
	}
	if got := h.worker.LastPong(); got != before {
		t.Errorf("the host took a pong for an answer at %v", got)
	}
}

func TestKillSaysWhy(t *testing.T) {
	h := start(t)
	first, second := errors.New("it hung"), errors.New("it hung again")
	h.worker.Kill(nil)
	h.worker.Kill(first)
	h.worker.Kill(second)
	// The process may be reaped before the reason was given.
	if r := h.awaitExit(); !r.Exit.Killed || r.Err != nil && !errors.Is(r.Err, first) {
		t.Errorf("got %+v", r)
	}
	h = start(t)
	h.worker.Kill(first)
	h.worker.Kill(second)
	if r := h.awaitExit(); !r.Exit.Killed || !errors.Is(r.Err, first) || errors.Is(r.Err, second) {
		t.Errorf("got %+v", r)
	}
}

// Who dies by something else was not killed for that reason.
func TestKillComesTooLate(t *testing.T) {
	h := start(t)
	exits.Submit(t.Context(), h, 4)
	if !eventually(func() bool { return !alive(h.worker.PID()) }) {
		t.Fatal("the worker does not exit")
	}
	h.worker.Kill(errors.New("it was not wanted"))
	if r := h.awaitExit(); r.Exit.Code != 4 || r.Exit.Killed || r.Err != nil {
		t.Errorf("got %+v", r)
	}
}
