//go:build unix

package wire //nolint:testpackage // tests what is not exported

import (
	"errors"
	"testing"
	"time"

	"github.com/procpool/procpool"
)

// A HostCall says whether it wants an answer, which only operations can do without.
func TestHostCallWithoutReply(t *testing.T) {
	t.Parallel()
	call, stream := runningCall(t, offers{hostCall: true, shared: true})
	ex := procpool.ExecutorFrom(call)
	quiet := procpool.Operation[int, int]("mutex.unlock", procpool.Unanswered())
	if f := quiet.Submit(t.Context(), ex, 1); f.State() != procpool.Done {
		t.Error("it waits for an answer")
	}
	loud := procpool.Operation[int, int]("mutex.lock").Submit(t.Context(), ex, 2)
	task := procpool.Remote[int, int]("task", procpool.Unanswered()).Submit(t.Context(), ex, 3)
	calls, _ := sentCalls(stream)
	if len(calls) != 3 || !calls[0].GetNoReply() || calls[1].GetNoReply() || calls[2].GetNoReply() {
		t.Errorf("sent %+v", calls)
	}
	if loud.State() == procpool.Done || task.State() == procpool.Done {
		t.Error("a call that wants an answer is done without one")
	}
	if calls[0].GetId() == calls[1].GetId() {
		t.Error("two calls have the same number")
	}
	call.close()
	if _, err := quiet.Submit(t.Context(), ex, 1).Result(t.Context()); !errors.Is(err, procpool.ErrNestingLimit) {
		t.Errorf("behind the end of its call: %v", err)
	}
	if calls, _ := sentCalls(stream); len(calls) > 3 {
		t.Error("it was sent behind the end of its call")
	}

	(&relayedCall{silent: true}).reply(procpool.CallInfo{}, nil, nil) // would need its worker
	forged := appendFlag(appendHostCall(nil, 1, callKey{seq: 1}, exampleCall(procpool.KindFunction, 0), time.Now()), tagHostCallNoReply, true)
	var h hostCall
	if err := h.parse(forged); err != nil || h.silent {
		t.Errorf("a call of a task wants no answer: %+v, %v", h, err)
	}
}
