package sharedstate_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sharedop"
	"github.com/procpool/procpool/internal/sharedstate"
)

// A name means one thing; who takes it for another is told what it is.
func TestDefinitionsMustAgree(t *testing.T) {
	t.Parallel()
	r := sharedstate.New(10)
	program := caller{r: r}
	program.must(t, "queue.put", sharedop.Args{Name: "a", Size: 2, Deliveries: 3, Value: []byte{1}})
	program.must(t, "semaphore.acquire", sharedop.Args{Name: "b", Size: 2, Count: 1, Ticket: 1})
	program.must(t, "mutex.lock", sharedop.Args{Name: "c", Ticket: 2})
	for _, c := range []struct {
		op   string
		args sharedop.Args
		want string
	}{
		{"mutex.lock", sharedop.Args{Name: "a", Ticket: 3}, "a queue of 2 with 3 deliveries"},
		{"counter.add", sharedop.Args{Name: "b"}, "a semaphore of 2"},
		{"semaphore.acquire", sharedop.Args{Name: "c", Size: 2, Count: 1, Ticket: 3}, "a mutex"},
		{"queue.put", sharedop.Args{Name: "a", Size: 3, Deliveries: 3}, "a queue of 3 with 3 deliveries"},
		{"queue.info", sharedop.Args{Name: "a", Size: 2, Deliveries: 4}, "a queue of 2 with 4 deliveries"},
		{"semaphore.acquire", sharedop.Args{Name: "b", Size: 3, Count: 1, Ticket: 3}, "a semaphore of 3"},
	} {
		_, err := program.do(t, c.op, c.args)
		if codeOf(err) != sharedop.CodeMismatch || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s of %q: %v, want it to say %q", c.op, c.args.Name, err, c.want)
		}
	}
	if _, err := program.do(t, "mutex.unlock", sharedop.Args{Name: "b", Ticket: 1}); codeOf(err) != sharedop.CodeNotHeld {
		t.Errorf("permits of a semaphore were given back to a mutex: %v", err)
	}
}

// Arguments that make no sense are refused, and change nothing.
func TestInvalidArguments(t *testing.T) {
	t.Parallel()
	r := sharedstate.New(10)
	task := caller{r: r, owner: call(1, 1)}
	for _, c := range []struct {
		op   string
		args sharedop.Args
	}{
		{"mutex.lock", sharedop.Args{Ticket: 1}},
		{"mutex.lock", sharedop.Args{Name: strings.Repeat("x", 2000), Ticket: 1}},
		{"mutex.lock", sharedop.Args{Name: "a\xff", Ticket: 1}},
		{"mutex.lock", sharedop.Args{Name: "a"}},
		{"mutex.unlock", sharedop.Args{Name: "a"}},
		{"semaphore.acquire", sharedop.Args{Name: "a", Count: 1, Ticket: 1}},
		{"semaphore.acquire", sharedop.Args{Name: "a", Size: 2, Count: 3, Ticket: 1}},
		{"semaphore.acquire", sharedop.Args{Name: "a", Size: 2, Count: -1, Ticket: 1}},
		{"semaphore.acquire", sharedop.Args{Name: "a", Size: math.MaxInt32 + 1, Count: 1, Ticket: 1}},
		{"queue.put", sharedop.Args{Name: "a", Deliveries: 1}},
		{"queue.put", sharedop.Args{Name: "a", Size: 1}},
		{"queue.put", sharedop.Args{Name: "a", Size: -1, Deliveries: 1}},
		{"queue.get", sharedop.Args{Name: "a", Size: 1, Deliveries: 1}},
	} {
		if _, err := task.do(t, c.op, c.args); codeOf(err) != sharedop.CodeInvalid {
			t.Errorf("%s with %+v: %v", c.op, c.args, err)
		}
	}
	if _, err := task.do(t, "mutex.steal", sharedop.Args{Name: "a"}); !errors.Is(err, procpool.ErrUnknownTask) {
		t.Error(err)
	}
	op := procpool.Operation[string, sharedop.Reply]("mutex.lock")
	if _, err := op.Call(t.Context(), task, "no map"); !errors.As(err, new(*procpool.CodecError)) {
		t.Error(err)
	}
	if _, err := op.With(procpool.WithCodec(procpool.JSON)).Call(t.Context(), task, "no map"); codeOf(err) != sharedop.CodeInvalid {
		t.Error(err)
	}
	if r.Busy() {
		t.Error("something is held or waited for")
	}
	task.must(t, "mutex.lock", sharedop.Args{Name: "a", Ticket: 1}) // there is no object of that name yet
	if _, err := task.do(t, "mutex.lock", sharedop.Args{Name: "b", Ticket: 1}); codeOf(err) != sharedop.CodeInvalid {
		t.Errorf("a ticket names two things: %v", err)
	}
}

// An operation that is not to wait fails where it would have to, and leaves no trace.
func TestNoWait(t *testing.T) {
	t.Parallel()
	r := sharedstate.New(10)
	task := caller{r: r, owner: call(1, 1)}
	queue := sharedop.Args{Name: "q", Size: 1, Deliveries: 1, NoWait: true, Value: []byte{1}}
	task.must(t, "queue.put", queue)
	task.must(t, "mutex.lock", sharedop.Args{Name: "m", Ticket: 1, NoWait: true})
	task.must(t, "semaphore.acquire", sharedop.Args{Name: "s", Size: 2, Count: 2, Ticket: 2, NoWait: true})
	for op, args := range map[string]sharedop.Args{
		"queue.put":         queue,
		"queue.join":        queue,
		"mutex.lock":        {Name: "m", Ticket: 3, NoWait: true},
		"semaphore.acquire": {Name: "s", Size: 2, Count: 1, Ticket: 4, NoWait: true},
	} {
		if _, err := task.do(t, op, args); codeOf(err) != sharedop.CodeWouldBlock {
			t.Errorf("%s: %v", op, err)
		}
	}
	queue.Ticket = 5
	task.must(t, "queue.get", queue)
	queue.Ticket = 6
	if _, err := task.do(t, "queue.get", queue); codeOf(err) != sharedop.CodeWouldBlock {
		t.Error(err)
	}
	task.must(t, "mutex.unlock", sharedop.Args{Name: "m", Ticket: 1})
	task.must(t, "mutex.lock", sharedop.Args{Name: "m", Ticket: 3, NoWait: true})
}

// A counter says so where it would overflow, and stays as it was.
func TestCounterOverflow(t *testing.T) {
	t.Parallel()
	program := caller{r: sharedstate.New(10)}
	add := func(delta int64) (int64, error) {
		reply, err := program.do(t, "counter.add", sharedop.Args{Name: "n", Delta: delta})
		return reply.Total, err
	}
	for _, c := range []struct{ delta, want int64 }{{math.MaxInt64, math.MaxInt64}, {0, math.MaxInt64}, {math.MinInt64, -1}, {-math.MaxInt64, math.MinInt64}} {
		if n, err := add(c.delta); n != c.want || err != nil {
			t.Fatalf("adding %d gives %d, %v; want %d", c.delta, n, err, c.want)
		}
	}
	if _, err := add(-1); codeOf(err) != sharedop.CodeInvalid {
		t.Error(err)
	}
	if n, err := add(math.MaxInt64); n != -1 || err != nil {
		t.Error(n, err)
	}
}

// What a task can make the host keep is bounded.
func TestBounds(t *testing.T) {
	t.Parallel()
	r := sharedstate.New(10)
	task := caller{r: r, owner: call(1, 1)}
	for i := range uint64(1 << 14) {
		task.must(t, "semaphore.acquire", sharedop.Args{Name: "s", Size: 1 << 20, Count: 1, Ticket: i + 1})
	}
	if _, err := task.do(t, "semaphore.acquire", sharedop.Args{Name: "s", Size: 1 << 20, Count: 1, Ticket: 1 << 20}); codeOf(err) != sharedop.CodeLimit {
		t.Error(err)
	}
	r.EndCall(call(1, 1))
	r.Fill(1 << 16)
	if _, err := task.do(t, "counter.add", sharedop.Args{Name: "one more"}); codeOf(err) != sharedop.CodeLimit {
		t.Error(err)
	}
	task.must(t, "counter.add", sharedop.Args{Name: "counter 1"})
}

// What tasks put into queues is bounded, in all queues together, until it is done, or a
// dead letter that was taken out or has made room. What the program puts is not.
func TestItemsOfTasksAreBounded(t *testing.T) {
	t.Parallel()
	const size = 1000
	r := sharedstate.New(10)
	task, program := caller{r: r, owner: call(1, 1)}, caller{r: r}
	args := func(name string) sharedop.Args {
		return sharedop.Args{Name: name, Size: math.MaxInt32, Deliveries: 1, Value: make([]byte, size), Ticket: 1}
	}
	put := func(name string) error {
		_, err := task.do(t, "queue.put", args(name))
		return err
	}
	program.must(t, "queue.put", args("the program's"))
	if n := r.Items(); n != 0 {
		t.Errorf("what the program puts counts %d", n)
	}
	for _, name := range []string{"a", "b"} {
		if err := put(name); err != nil {
			t.Error(err)
		}
	}
	each := r.Items() / 2
	if each < size || each > 2*size {
		t.Errorf("an item of %d bytes counts %d", size, each)
	}
	r.FillItems(each - 1)
	several := args("c")
	several.Value, several.Values = nil, [][]byte{{1}, make([]byte, size)}
	if _, err := task.do(t, "queue.put", several); codeOf(err) != sharedop.CodeLimit {
		t.Error(err)
	}
	if err := put("c"); codeOf(err) != sharedop.CodeLimit {
		t.Error(err)
	}
	program.must(t, "queue.put", args("c"))
	r.FillItems(each - 1)
	task.must(t, "queue.get", args("a"))
	task.must(t, "queue.done", sharedop.Args{Name: "a", Ticket: 1})
	if err := put("c"); err != nil {
		t.Errorf("when one was done: %v", err)
	}
	task.must(t, "queue.get", args("b"))
	r.EndCall(task.owner) // a dead letter
	if err := put("c"); codeOf(err) != sharedop.CodeLimit {
		t.Errorf("a dead letter has made room: %v", err)
	}
	task.must(t, "queue.dead", args("b"))
	if err := put("c"); err != nil {
		t.Errorf("when a dead letter was taken out: %v", err)
	}
}

// Dead letters come in replies of a bounded size, and the oldest make room for others
// when nobody takes them.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	r := sharedstate.New(10)
	task := caller{r: r, owner: call(1, 1)}
	args := sharedop.Args{Name: "q", Size: 1, Deliveries: 1}
	kill := func(value []byte) {
		t.Helper()
		put, get := args, args
		put.Value, get.Ticket = value, 1
		task.must(t, "queue.put", put)
		task.must(t, "queue.get", get)
		r.EndCall(task.owner)
	}
	for range 3 {
		kill(make([]byte, 600<<10))
	}
	for i, want := range []struct {
		letters int
		more    bool
	}{{1, true}, {1, true}, {1, false}, {0, false}} {
		if reply := task.must(t, "queue.dead", args); len(reply.Letters) != want.letters || reply.More != want.more {
			t.Errorf("reply %d has %d letters and says that there are more: %v; want %+v", i, len(reply.Letters), reply.More, want)
		}
	}
	for i := range 1005 {
		kill(fmt.Append(nil, i))
	}
	if info := task.must(t, "queue.info", args); info.Dead != 1000 || info.Lost != 5 {
		t.Errorf("%+v", info)
	}
	reply := task.must(t, "queue.dead", args)
	if string(reply.Letters[0].Value) != "5" || len(reply.Letters) != 1000 || reply.Letters[0].Deliveries != 1 {
		t.Errorf("%d letters, the first %q", len(reply.Letters), reply.Letters[0].Value)
	}
	task.must(t, "queue.join", args) // they count as done
}
