package procpool_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/procpool/procpool"
)

// sink keeps what comes out of a relayed call.
type sink struct {
	values        []string
	credit, bytes int64
}

func (s *sink) Values(values [][]byte) {
	for _, v := range values {
		s.values = append(s.values, string(v))
	}
}

func (s *sink) Credit(values, bytes int64) {
	s.credit += values
	s.bytes += bytes
}

func TestRelayedCall(t *testing.T) {
	t.Parallel()
	deadline := time.Now().Add(time.Hour).Truncate(0)
	var outcomes []string
	c := procpool.Relay{
		Task: "far", Codec: "morse", Key: "k", Payload: []byte("..."), Metadata: map[string]string{"a": "b"},
		Priority: 1000, Timeout: time.Minute, Deadline: deadline, Attempt: 2, Suspect: true,
		Done: func(c *procpool.Call, reply []byte, err error) {
			if !c.Finished() {
				t.Error("it is told before it is so")
			}
			outcomes = append(outcomes, string(reply))
			if err != nil {
				outcomes[len(outcomes)-1] += err.Error()
			}
		},
	}.NewCall()
	if c.Task() != "far" || c.Codec() != "morse" || c.Key() != "k" || string(c.Payload()) != "..." || !maps.Equal(c.Metadata(), map[string]string{"a": "b"}) ||
		c.Priority() != 100 || c.Timeout() != time.Minute || c.Kind() != procpool.KindFunction || c.Conduit() != nil || c.Slot.Attempts != 2 || !c.Slot.Suspect ||
		c.Local() || c.NoWait() || c.Dedicated() || c.MayRetry() {
		t.Errorf("the call is not what was asked for: %+v", c.Slot)
	}
	if d, ok := c.Deadline(); !ok || !d.Equal(deadline) {
		t.Errorf("the deadline is %v, %v", d, ok)
	}
	if !c.Finish([]byte("result"), nil) || c.Finish(nil, errBoom) || c.Cancel() {
		t.Error("the first outcome does not count")
	}
	if !slices.Equal(outcomes, []string{"result"}) {
		t.Errorf("told %q", outcomes)
	}
	if _, ok := (procpool.Relay{Done: func(*procpool.Call, []byte, error) {}}).NewCall().Deadline(); ok {
		t.Error("there is a deadline that nobody gave")
	}
	// It fails as it is: whether it is run again is for its caller to decide.
	crash := &procpool.CrashError{Task: "far"}
	if _, again, err := c.Retry(1, crash); again || !errors.Is(err, crash) {
		t.Errorf("%v, %v", again, err)
	}
}

func TestRelayedSession(t *testing.T) {
	t.Parallel()
	var (
		got  sink
		told error
	)
	c := procpool.Relay{
		Task: "far", Codec: "cbor", Kind: procpool.KindSession, Shared: true, Window: 2, WindowBytes: 10, Sink: &got,
		Done: func(_ *procpool.Call, _ []byte, err error) { told = err },
	}.NewCall()
	if c.Dedicated() || c.Kind() != procpool.KindSession {
		t.Errorf("it is a %v, dedicated %v", c.Kind(), c.Dedicated())
	}
	d := c.Conduit()
	if v, b := d.Window(); v != 2 || b != 10 || !d.TakesInput() {
		t.Errorf("its window is %d, %d", v, b)
	}
	far := new(fakeFar)
	feed := d.Attach(far, 0)
	feed.Credit(5, 50)
	if !feed.Values(texts("a", "b")) || feed.Values(texts("c")) {
		t.Error("credit is not counted")
	}
	d.Grant(1, 7)
	if !feed.Values(texts("d")) {
		t.Error("what was granted is refused")
	}
	if v, b := far.granted(); v != 1 || b != 7 {
		t.Errorf("passed on a grant of %d, %d", v, b)
	}
	d.PushRelayed([]byte("in"), false)
	d.PushRelayed(nil, true)
	if sent, ends := far.got(); !slices.Equal(sent, []string{"in"}) || ends != 1 {
		t.Errorf("passed on %q and %d ends", sent, ends)
	}
	if !slices.Equal(got.values, []string{"a", "b", "d"}) || got.credit != 5 || got.bytes != 50 {
		t.Errorf("the caller got %q, credit %d, %d", got.values, got.credit, got.bytes)
	}
	c.Cancel()
	if !errors.Is(told, context.Canceled) {
		t.Errorf("told %v", told)
	}
	d.Grant(1, 1)
	feed.Values(texts("late"))
	if len(got.values) != 3 {
		t.Errorf("the caller got %q after the end", got.values)
	}
	if _, err := d.Next(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := d.Push(t.Context(), nil); errors.Is(err, io.EOF) || err == nil {
		t.Errorf("%v", err)
	}
}
