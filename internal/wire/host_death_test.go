//go:build unix

package wire_test

import (
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/wire"
)

// A worker that is killed while it starts gives a StartError that says so.
func TestKilledDuringStart(t *testing.T) {
	for role, want := range map[string]string{
		"dies-at-once":               "workerproc.Init",
		"dies-in-handshake":          "", // a line that is not ended may pass for a whole one
		"dies-after-handshake":       "it had printed its handshake",
		fakePrefix + "dies-in-hello": "it had printed its handshake",
	} {
		t.Run(role, func(t *testing.T) {
			for range 5 {
				se := startError(t.Context(), t, withRole(options(t), role))
				if se.ExitCode != -1 {
					t.Errorf("the exit code is %d", se.ExitCode)
				}
				wantText(t, se.Reason, "signal: killed", want)
			}
		})
	}
}

// Right behind Hello the start may have succeeded or not; either way the death is
// told once and as what it was.
func TestKilledBehindHello(t *testing.T) {
	for range 10 {
		o := options(t)
		reports := make(chan wire.ExitReport, 2)
		o.OnExit = func(r wire.ExitReport) { reports <- r }
		w, err := wire.Start(t.Context(), withRole(o, fakePrefix+"dies-behind-hello"))
		if err != nil {
			var se *procpool.StartError
			if !errors.As(err, &se) || !strings.Contains(se.Reason, "signal: killed") {
				t.Errorf("got %v", err)
			}
			continue
		}
		select {
		case <-w.Done():
		case <-time.After(patience):
			t.Fatal("the worker is not done")
		}
		if r := <-reports; r.Exit.Signal != syscall.SIGKILL || r.Exit.Killed || r.Err != nil {
			t.Errorf("got %+v", r)
		}
		if len(reports) > 0 {
			t.Errorf("told twice: %+v", <-reports)
		}
	}
}

// A worker that is killed while it writes a large reply has finished the call, and
// half of a message is no reply and no fault of the worker's.
func TestKilledWhileItReplies(t *testing.T) {
	half := 0
	for range 10 {
		h := start(t)
		f := makeBytes.Submit(t.Context(), h, 32<<20)
		if !eventually(func() bool { _, finished, _ := h.worker.Progress(0); return finished == 1 }) {
			t.Fatal("the call does not finish")
		}
		wantKilledInReply(t, h)
		if f.State() != procpool.Done {
			half++
		}
	}
	if half == 0 {
		t.Error("each reply came whole; the test does not reach what it is for")
	}
}

// The same with a host that takes nothing meanwhile, so that it is certainly in
// the middle of the reply.
func TestKilledWhileItsReplyIsStuck(t *testing.T) {
	var once sync.Once
	reached, goOn := make(chan struct{}), make(chan struct{})
	var h *testHost
	h = start(t, func(o *wire.Options) {
		deliver := o.OnReplies
		o.OnReplies = func(replies []wire.Reply) {
			once.Do(func() { close(reached); <-goOn })
			deliver(replies)
		}
	})
	square.Submit(t.Context(), h, 1)
	<-reached
	f := makeBytes.Submit(t.Context(), h, 64<<20)
	if !eventually(func() bool { _, finished, _ := h.worker.Progress(0); return finished == 2 }) {
		t.Fatal("the call does not finish")
	}
	timer := time.AfterFunc(50*time.Millisecond, func() { close(goOn) })
	defer timer.Stop()
	wantKilledInReply(t, h)
	if f.State() == procpool.Done {
		t.Error("half a reply counts as one")
	}
	if open := h.openCalls(); len(open) != 1 || open[0] != 2 {
		t.Errorf("open are %v", open)
	}
}

// wantKilledInReply kills the worker, which replies to its last call.
func wantKilledInReply(t *testing.T, h *testHost) {
	t.Helper()
	if err := syscall.Kill(h.worker.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r := h.awaitExit()
	if r.Exit.Signal != syscall.SIGKILL || r.Exit.Killed || r.Err != nil {
		t.Errorf("got %+v", r)
	}
	if !r.PageOK || r.Lanes[0].Finished != r.Lanes[0].Started || r.Lanes[0].Finished != h.seq {
		t.Errorf("the page says %v %+v", r.PageOK, r.Lanes)
	}
	if len(r.Replies) != 0 {
		t.Errorf("recovered %v", r.Replies)
	}
}
