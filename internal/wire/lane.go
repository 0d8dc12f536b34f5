package wire

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/procpool/procpool"
)

const (
	// shareBelow is the measured run time below which a function's calls may
	// share one write with their neighbours. A call of any other function
	// starts only when the replies before it were handed to the kernel.
	shareBelow = 20 * time.Microsecond
	// hotBelow is the run time below which the host's next call is worth
	// waiting for without sleeping.
	hotBelow = 500 * time.Microsecond
)

// lane runs the calls of one lane, one at a time in the order sent.
//
// Its goroutine ends when a function panics or calls runtime.Goexit, and another
// one takes over, so that a call costs no recover of its own. What says how far
// the lane has come is therefore kept here and not on the goroutine's stack.
type lane struct {
	server *server
	index  uint32
	queue  *laneQueue
	log    *recorderLane

	runs []taskRun // taken from the queue
	run  int       // the current one
	task int       // in it
	item int       // in the task, for a pack
	from int       // where the item begins in the payload

	// The running call. call and seqs let the control stream find it.
	running bool
	mark    outcomeMark
	buf     []byte // the outcome under construction
	began   int64
	call    atomic.Pointer[callContext]
	port    atomic.Pointer[port] // of a stream or a session
	waits   laneWaits
	reached atomic.Uint64 // the number of the last call taken up

	replies *outbox

	now      int64         // a moment ago, in monotonicNow's clock
	hot      bool          // whether the last call was short
	habits   []habit       // per function, then per method of an actor
	contexts []callContext // not used yet
}

// habit is what a lane has learned of a function.
type habit struct {
	cost time.Duration // a decayed maximum of its run time; 0 is unknown
	size int           // a decayed maximum of the size of its results
}

// learn takes note of one run.
func (h *habit) learn(ran time.Duration, size int) {
	h.cost = max(ran, h.cost-h.cost/8, 1)
	h.size = max(size, h.size-h.size/8)
}

func newLane(s *server, index uint32) *lane {
	log := s.recorder.lane(int(index))
	l := &lane{server: s, index: index, queue: newLaneQueue(), log: log, replies: newOutbox(s, log), habits: make([]habit, len(s.tasks)+s.actors.methods)}
	l.waits.lane = l
	return l
}

// serve runs calls until the connection has ended.
func (l *lane) serve() {
	clean := false
	defer func() {
		if !clean {
			l.unwound(recover())
		}
	}()
	for l.next() {
		l.step()
	}
	clean = true
}

// unwound gives the call that unwound the goroutine its outcome and goes on in a
// new goroutine. value is nil for runtime.Goexit.
func (l *lane) unwound(value any) {
	if !l.running {
		panic(value) //nolint:forbidigo // a bug of ours must not pass for a failed call
	}
	l.running = false
	t := l.current()
	name := l.server.nameOf(t)
	l.finish(t, procpool.NewPanicError(name, value, debug.Stack()))
	go l.serve()
}

// current returns the task at hand.
func (l *lane) current() *task { return &l.runs[l.run].tasks[l.task] }

// next goes to the next call. It blocks while there is none and reports false
// when the connection has ended.
func (l *lane) next() bool {
	for {
		if l.run < len(l.runs) {
			r := &l.runs[l.run]
			if l.task < len(r.tasks) {
				return true
			}
			r.batch.release()
			*r = taskRun{}
			l.run, l.task = l.run+1, 0
			continue
		}
		if l.take() {
			continue
		}
		l.replies.flush(l.hot)
		if l.take() { // what came meanwhile
			continue
		}
		if l.replies.owed.Load() {
			l.settle(false) // is due before the next call, and frees what was sent
		}
		select {
		case <-l.queue.wake:
		case <-l.server.gone:
			return false
		}
	}
}

// take takes what waits in the queue and reports whether that is anything.
func (l *lane) take() bool {
	l.runs, l.run = l.queue.take(l.runs[:0]), 0
	if len(l.runs) == 0 {
		return false
	}
	l.now = monotonicNow()
	return true
}

// advance goes past the item at hand.
func (l *lane) advance(t *task) {
	if l.item+1 < len(t.sizes) {
		l.from += int(t.sizes[l.item])
		l.item++
		return
	}
	l.item, l.from = 0, 0
	l.task++
}

// step sees the call at hand from its start to its outcome.
func (l *lane) step() {
	t := l.current()
	seq := t.seq + uint64(l.item)
	var h habit
	known := int(t.function) < len(l.server.tasks)
	if known {
		h = l.habits[l.server.habitOf(t)]
	}
	l.settle(h.cost > 0 && h.cost < shareBelow)

	l.reached.Store(seq) // see cancel
	gaveUp := l.queue.unmark(seq)

	if gaveUp || !l.log.start(seq, l.now) {
		l.replies.add(appendDeclined(l.replies.behind(), seq, l.index), l.now)
		l.advance(t)
		return
	}
	l.buf, l.mark = beginOutcome(l.replies.room(h.size), seq, l.index)
	if !known {
		l.began = l.now
		l.finish(t, procpool.ErrUnknownTask)
		return
	}
	l.execute(t, seq)
}

// settle does what is due before the next call starts.
func (l *lane) settle(quick bool) {
	if l.replies.settle(quick, l.hot, l.now) {
		l.now = monotonicNow()
	}
}

// execute runs the function. It does not return when the function unwinds.
func (l *lane) execute(t *task, seq uint64) {
	payload := t.payload
	if len(t.sizes) > 0 {
		payload = payload[l.from : l.from+int(t.sizes[l.item])]
	}
	codec := t.codec
	if codec == "" {
		codec = l.server.codecs[t.function]
	}
	call := l.newContext()
	call.seq, call.lane = seq, l
	if t.timeout > 0 {
		call.deadline = l.runs[l.run].arrived.Add(t.timeout)
	}
	ctx := procpool.WithAttempt(procpool.WithMetadata(call, t.metadata), int(t.attempt))
	// A swap, because the look at the marks must come behind it, and under the
	// race detector a store is no barrier (see cancel).
	l.call.Swap(call)
	if l.queue.unmark(seq) {
		call.cancel() // it came between the start and now
	}
	l.began = l.now
	switch kind := l.server.infos[t.function].Kind; {
	case t.actor != 0 || kind == procpool.KindActor:
		l.finish(t, l.runActor(ctx, t, codec))
		return
	case t.stream != 0 || kind != procpool.KindFunction:
		l.finish(t, l.runStream(ctx, call, t, codec))
		return
	}
	l.running = true
	buf, err := l.server.tasks[t.function].Run(ctx, codec, payload, l.buf)
	l.running = false
	if err == nil {
		l.buf = buf
	}
	l.finish(t, err)
}

// runStream runs the function of a stream or a session. It does not return when the
// function unwinds.
func (l *lane) runStream(ctx context.Context, call *callContext, t *task, codec string) error {
	task, begin, err := l.server.streamOf(t, l.runs[l.run].batch)
	if err != nil {
		return err
	}
	p := newPort(l, call, l.server.infos[t.function].Name, begin)
	l.port.Store(p)
	if begin.input {
		p.openInput()
	}
	l.running = true
	err = task.RunStream(ctx, codec, t.payload, p)
	l.running = false
	return err
}

// newContext returns a context that was never used.
func (l *lane) newContext() *callContext {
	if len(l.contexts) == 0 {
		l.contexts = make([]callContext, contextSlab)
	}
	c := &l.contexts[0]
	l.contexts = l.contexts[1:]
	return c
}

// finish gives the call at hand its outcome: with a nil error, the result behind
// the mark in buf.
func (l *lane) finish(t *task, err error) {
	l.now = monotonicNow()
	ran := time.Duration(l.now - l.began)
	l.hot = ran < hotBelow
	if call := l.call.Swap(nil); call != nil {
		call.close()
		l.waits.ended()
	}
	if p := l.port.Load(); p != nil {
		l.port.Store(nil)
		p.end()
	}
	seq := t.seq + uint64(l.item)
	size := len(l.buf) - l.mark.result
	name := ""
	if int(t.function) < len(l.server.tasks) {
		name = l.server.nameOf(t)
		l.habits[l.server.habitOf(t)].learn(ran, size)
	}
	if limit := l.server.maxPayload; err == nil && limit > 0 && int64(size) > limit {
		err = tooLarge(name, size, limit)
	}
	switch {
	case err != nil:
		buf, mark := beginOutcome(l.replies.behind(), seq, l.index)
		l.replies.add(failOutcome(buf, mark, ran, name, err), l.now)
	case l.replies.keeps(l.buf) && cap(l.buf)-len(l.buf) >= outcomeSlack:
		l.replies.add(endOutcome(l.buf, l.mark, ran), l.now)
	default:
		l.log.finish(seq) // sending may take its time
		l.replies.addBig(l.buf, l.mark, ran, l.hot)
	}
	l.log.finish(seq)
	l.buf = nil
	l.advance(t)
}

// cancel gives up a call of this lane. It is called by the reader of the control
// stream.
//
// The lane stores reached, looks for a mark, publishes the call's context, looks
// for a mark again. Here the mark is set first and then the context looked for,
// so whatever the order, one of the two sees the other.
func (l *lane) cancel(seq uint64) {
	reached := l.reached.Load()
	if seq < reached {
		return
	}
	l.queue.mark(seq, reached)
	if call := l.call.Load(); call != nil && call.seq == seq {
		call.cancel()
	}
}

// tooLarge is the failure of a call whose result is over the limit.
func tooLarge(task string, size int, limit int64) error {
	return fmt.Errorf("the result of task %q has %d bytes, and the host takes at most %d (MaxPayload): %w", task, size, limit, procpool.ErrTooLarge)
}
