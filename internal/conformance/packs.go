package conformance

import (
	"bytes"
	"fmt"
	"maps"
	"strings"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
	"github.com/procpool/procpool/internal/wire/rawhost"
)

// packCases are about many calls in one Task.
func packCases() []Case {
	const s = "packs"
	recorder := []string{capRecorder}
	return []Case{
		{Section: s, Name: "pack of one", uses: []string{"add"}, run: packOfOne, Promise: "A pack of one item is a call."},
		{Section: s, Name: "sizes", uses: []string{"echo_bytes", "add"}, needs: recorder, run: packSizes, Promise: "Each item gets its own argument, empty ones too, and its own outcome, in order."},
		{Section: s, Name: "one fails", uses: []string{"add", "fail"}, needs: recorder, run: packFails, Promise: "An item that fails, or whose argument can't be decoded, costs no other."},
		{Section: s, Name: "one is cancelled", uses: []string{"hold", "add"}, needs: recorder, run: packCancelled, Promise: "A Cancel is for one item."},
		{Section: s, Name: "fence", uses: []string{"hold", "add"}, needs: recorder, run: packFenced, Promise: "The fence may lie in the middle of a pack."},
		{Section: s, Name: "one kills the process", uses: []string{"note"}, needs: recorder, run: packDies, Promise: "When an item kills the process the page tells which items had started and finished, and the results of those before are there."},
		{Section: s, Name: "context", uses: []string{"context"}, needs: recorder, run: packContext, Promise: "Metadata, attempt and deadline of a pack are each item's."},
		{Section: s, Name: "very many items", uses: []string{"echo_bytes", "add"}, needs: recorder, run: packOfMany, Promise: "70,000 items are answered, in messages of at most 65,536 elements."},
		{Section: s, Name: "map", uses: []string{"add"}, run: packMap, Promise: "A pool's Map over 10,000 inputs gives each its result, in order."},
	}
}

func packOfOne(t *trial) {
	w := t.raw()
	task := w.pack("add", []any{args{"a": 40, "b": 2}})
	w.send(task)
	const done = "A pack of one call of add came"
	expect(t, done, decode[int](t, done, w.answer(done, task)), 42)
	w.works(done)
}

func packSizes(t *trial) {
	w := t.raw()
	items := []any{encoded(""), encoded("a"), encoded(""), encoded(strings.Repeat("long", 10_000)), encoded("\x00\xff"), encoded("")}
	task := w.pack("echo_bytes", items)
	w.send(task)
	for i, item := range items {
		done := fmt.Sprintf("A pack of %d calls of echo_bytes came, item %d with %d bytes", len(items), i, len(item.(encoded))) //nolint:errcheck // all are
		if got := w.answerAt(done, task, i); !bytes.Equal(got, encode(t, item)) {
			t.failf("%s: expected the same, got %d bytes", done, len(got))
		}
	}
	w.works("A pack came")
}

func packFails(t *trial) {
	w := t.raw()
	failing := w.pack("fail", []any{args{"message": "one"}, args{"message": "two"}})
	adding := w.pack("add", []any{args{"a": 1, "b": 2}, encoded("\xff"), args{"a": 3, "b": 4}})
	w.send(failing, adding)
	const done = "Packs came of failing calls and of an argument that can't be decoded between two that can"
	for i, message := range []string{"one", "two"} {
		expect(t, done+": a failure's message", w.outcomeAt(failing, i).GetFailure().GetMessage(), message)
	}
	expect(t, done+": item 0", decode[int](t, done, w.answerAt(done+": item 0", adding, 0)), 3)
	expect(t, done+": item 1", w.outcomeAt(adding, 1).GetFailure().GetKind(), workerv1.FailureKind_FAILURE_KIND_CODEC)
	expect(t, done+": item 2", decode[int](t, done, w.answerAt(done+": item 2", adding, 2)), 7)
	w.works(done)
}

// holdingPack sends a pack whose first item holds until the returned file is there; the
// others find one that is there. Each notes how far it is in a file of its own.
func (w *raw) holdingPack(n int) (task *workerv1.Task, marks []string, until string) {
	t := w.t
	open := t.path("open")
	t.create(open)
	var items []any
	for i := range n {
		marks = append(marks, t.path(fmt.Sprintf("mark %d", w.seq+uint64(i))))
		items = append(items, args{"mark": marks[i], "until": open})
	}
	until = t.path(fmt.Sprintf("until %d", w.seq))
	items[0] = args{"mark": marks[0], "until": until}
	task = w.pack("hold", items)
	w.send(task)
	t.awaitStarted(marks[0], fmt.Sprintf("A pack of %d calls of hold came", n))
	return task, marks, until
}

func packCancelled(t *trial) {
	w := t.raw()
	task, marks, until := w.holdingPack(4)
	t.must(w.Cancel(0, task.GetSeq()+2))
	w.echoPing()
	t.create(until)
	const done = "A pack of four calls of hold came, and a Cancel for the third while the first ran"
	for i := range 4 {
		if i == 2 {
			w.declined(fmt.Sprintf("%s: item %d", done, i), task, i)
			continue
		}
		w.answerAt(fmt.Sprintf("%s: item %d", done, i), task, i)
	}
	expect(t, done+": what the third has noted", len(t.lines(marks[2])), 0)

	task, marks, _ = w.holdingPack(3)
	t.must(w.Cancel(0, task.GetSeq()))
	const then = "A pack of three calls of hold came, and a Cancel for the first, which ran"
	w.outcomeAt(task, 0)
	expect(t, then+": what it has noted", fmt.Sprint(t.lines(marks[0])), "[started cancelled]")
	for i := 1; i < 3; i++ {
		w.answerAt(fmt.Sprintf("%s: item %d", then, i), task, i)
	}
	w.works(then)
}

func packFenced(t *trial) {
	w := t.raw()
	task, marks, until := w.holdingPack(5)
	started := w.Fence(0, task.GetSeq()+1)
	const done = "A pack of five calls of hold came, and the fence was set behind the second while the first ran"
	expect(t, done+": what the page says was started", started, task.GetSeq())
	t.create(until)
	for i := range 5 {
		if i < 2 {
			w.answerAt(fmt.Sprintf("%s: item %d", done, i), task, i)
		} else {
			w.declined(fmt.Sprintf("%s: item %d", done, i), task, i)
			expect(t, done+": what an item beyond has noted", len(t.lines(marks[i])), 0)
		}
	}
	w.Fence(0, rawhost.NoFence)
	w.works(done)
}

func packDies(t *trial) {
	for range tries {
		w := t.raw()
		path := t.path("notes")
		const n, deadly = 20, 12
		var items []any
		for i := range n {
			arg := args{"path": path, "line": fmt.Sprint(i)}
			if i == deadly {
				arg["exit"] = 4
			}
			items = append(items, arg)
		}
		task := w.pack("note", items)
		w.send(task)
		done := fmt.Sprintf("A pack of %d calls of note came, of which item %d exits", n, deadly)
		got := w.recovered(done)
		expect(t, done+": what the page says was started", w.Lane(0).Started, task.GetSeq()+deadly)
		expect(t, done+": what the page says was finished", w.Lane(0).Finished, task.GetSeq()+deadly-1)
		expect(t, done+": the number of outcomes on the wire and in the journal", len(got), deadly)
		expect(t, done+": the number of lines noted", len(t.lines(path)), deadly+1)
		t.must(removeFile(path))
	}
}

func packContext(t *trial) {
	w := t.raw()
	metadata := map[string]string{"tenant": "a", "": "empty"}
	task := w.pack("context", []any{nil, nil, nil}, func(task *workerv1.Task) {
		task.Metadata, task.Attempt, task.TimeoutNanos = metadata, 3, 1e12
	})
	w.send(task)
	for i := range 3 {
		done := fmt.Sprintf("A pack of three calls of context came with metadata, attempt 3 and 1000 seconds: item %d", i)
		got := decode[knowledge](t, done, w.answerAt(done, task, i))
		got.check(t, done, metadata, 3, 1000)
	}
}

// knowledge is what context returns.
type knowledge struct {
	SecondsLeft *float64          `cbor:"seconds_left"`
	Attempt     int               `cbor:"attempt"`
	Metadata    map[string]string `cbor:"metadata"`
}

// check compares it with what the host has said; seconds is the time left at the
// sending, 0 for no deadline.
func (k knowledge) check(t *trial, done string, metadata map[string]string, attempt int, seconds float64) {
	if !maps.Equal(k.Metadata, metadata) {
		t.failf("%s: expected the metadata %q, got %q", done, metadata, k.Metadata)
	}
	expect(t, done+": the attempt", k.Attempt, attempt)
	switch {
	case seconds == 0:
		expect(t, done+": there is a deadline", k.SecondsLeft != nil, false)
	case k.SecondsLeft == nil:
		t.failf("%s: expected a deadline in %v seconds or less, got none", done, seconds)
	case *k.SecondsLeft > seconds || *k.SecondsLeft < seconds-t.kit.cfg.Limit.Seconds():
		t.failf("%s: expected a deadline in %v seconds or a little less, got one in %v", done, seconds, *k.SecondsLeft)
	}
}

func packOfMany(t *trial) {
	w := t.raw()
	const n = 70_000
	items := make([]any, n)
	for i := range items {
		items[i] = encoded(nil)
	}
	task := w.pack("echo_bytes", items)
	w.send(task)
	done := fmt.Sprintf("A pack of %d calls of echo_bytes came, without bytes", n)
	w.answerAt(done, task, n-1)
	for i := range n {
		expect(t, done+": the length of a result", len(w.answerAt(done, task, i)), 0)
	}
	w.works(done)
}

func packMap(t *trial) {
	p := t.pool()
	t.use("add")
	const n = 10_000
	inputs := func(yield func(args) bool) {
		for i := range n {
			if !yield(args{"a": i, "b": 1}) {
				return
			}
		}
	}
	i := 0
	for got, err := range procpool.Remote[args, int]("add").Map(t.ctx, p, inputs) {
		done := fmt.Sprintf("Map was called for %d calls of add: item %d", n, i)
		if err != nil {
			t.failf("%s: expected a result, got %s", done, p.describe(err))
		}
		i++
		expect(t, done, got, i)
	}
	expect(t, "Map was called: the number of results", i, n)
}
