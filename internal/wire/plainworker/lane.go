//go:build unix

package plainworker

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"github.com/procpool/procpool"
	workerv1 "github.com/procpool/procpool/internal/gen/procpool/worker/v1"
)

// lane runs the calls of one lane, in their order.
type lane struct {
	server *server
	index  uint32
	page   pageLane // its own goroutine's, but for the waits
	wake   chan struct{}

	mu      sync.Mutex
	queue   []call
	marked  map[uint64]bool // calls that were given up before they ran
	reached uint64          // the call that was taken up last
	running uint64          // the call that runs, 0 for none
	stop    context.CancelFunc
	port    *port // of a call that streams
	waits   int   // how much of the call waits for the host
}

// call is a call that waits for its turn.
type call struct {
	task     *workerv1.Task
	seq      uint64
	argument []byte
	arrived  time.Time
	early    bool // answered already, by DeclinesEarly
}

// put queues the calls of a Task.
func (l *lane) put(task *workerv1.Task, arrived time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sizes, rest := task.GetItemSizes(), task.GetInline()
	l.server.load.add(0, len(rest))
	if len(sizes) == 0 {
		sizes = []uint32{uint32(len(rest))}
	}
	for i, size := range sizes {
		l.queue = append(l.queue, call{task: task, seq: task.GetSeq() + uint64(i), argument: rest[:size], arrived: arrived})
		rest = rest[size:]
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// next takes the next call up, and reports whether it was given up before.
func (l *lane) next() (c call, givenUp, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return call{}, false, false
	}
	c, l.queue = l.queue[0], l.queue[1:]
	l.server.load.add(0, -len(c.argument))
	l.reached = c.seq
	givenUp = l.marked[c.seq]
	delete(l.marked, c.seq)
	return c, givenUp, true
}

// serve runs calls until the process ends.
func (l *lane) serve() {
	var batch workerv1.WorkResponse // of OnePack
	for {
		c, givenUp, ok := l.next()
		if !ok {
			<-l.wake
			continue
		}
		if c.early {
			continue
		}
		o := l.step(c, givenUp)
		if l.server.fault == OneNumber {
			o.Seq = c.task.GetSeq()
		}
		if last := c.task.GetSeq() + uint64(max(len(c.task.GetItemSizes()), 1)) - 1; l.server.fault == OnePack && c.seq != last {
			batch.Outcomes = append(batch.Outcomes, o)
			continue
		}
		carried := l.server.post(&workerv1.WorkResponse{Outcomes: append(batch.GetOutcomes(), o)})
		batch = workerv1.WorkResponse{}
		if l.server.fault != NoReplyFirst {
			l.server.kernel.await(carried)
		}
	}
}

// step sees a call from its start to its outcome.
func (l *lane) step(c call, givenUp bool) *workerv1.Outcome {
	o := &workerv1.Outcome{Seq: c.seq, Lane: l.index}
	fault := l.server.fault
	if givenUp && fault != Deaf && fault != LosesEarly || !l.page.start(c.seq, fault) {
		if fault == RunsDeclined {
			l.run(c, new(workerv1.Outcome))
		}
		o.Result = &workerv1.Outcome_Declined{Declined: &workerv1.Declined{}}
		return o
	}
	if fault == OneThread {
		l.server.alone.Lock()
		defer l.server.alone.Unlock()
	}
	l.server.load.add(1, 0)
	defer l.server.load.add(-1, 0)
	l.run(c, o)
	if fault != NeverFinishes {
		l.page.finish(c.seq)
	}
	return o
}

// run runs a call's function and puts what comes of it into its outcome.
func (l *lane) run(c call, o *workerv1.Outcome) {
	if int(c.task.GetFunction()) >= len(l.server.tasks) {
		o.Result = failed("", "", procpool.ErrUnknownTask)
		return
	}
	task := l.server.tasks[c.task.GetFunction()]
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if l.server.fault == OwnClock && c.task.GetTimeoutNanos() > 0 {
		ctx, stop = context.WithDeadline(ctx, c.arrived.Add(time.Duration(c.task.GetTimeoutNanos())))
		defer stop()
	}
	name := nameOf(task, c.task, l.server.fault)
	r := &running{Context: ctx, lane: l, call: c}
	l.begin(c, stop, r)
	began := time.Now()
	result, err := l.runFunction(r, task)
	o.RunNanos = uint64(time.Since(began))
	r.end()
	l.end()
	if limit := l.server.hello.GetMaxPayloadBytes(); err == nil && limit > 0 && uint64(len(result)) > limit && l.server.fault != NoLimit {
		err = procpool.ErrTooLarge
	}
	if err != nil {
		o.Result = failed(l.server.fault, name, err)
		return
	}
	o.Result = &workerv1.Outcome_Inline{Inline: result}
}

// begin makes a call the one that runs. A Cancel that came since it was taken up is
// heeded.
func (l *lane) begin(c call, stop context.CancelFunc, r *running) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running, l.stop, l.waits = c.seq, stop, 0
	if c.task.GetResultCredit() > 0 {
		l.port = newPort(l, c, r)
	}
	if l.marked[c.seq] && l.server.fault != LosesEarly {
		stop()
	}
	delete(l.marked, c.seq)
}

func (l *lane) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waits > 0 {
		l.page.goOn()
	}
	l.running, l.stop, l.port, l.waits = 0, nil, nil, 0
}

// runFunction runs a function in a goroutine of its own, which it may end.
func (l *lane) runFunction(r *running, task procpool.Task) (result []byte, err error) {
	t := r.call.task
	codec := t.GetCodec()
	if codec == "" {
		codec = task.Describe().Codecs[0]
	}
	attempt := int(t.GetAttempt())
	if l.server.fault == FirstAttempt {
		attempt--
	}
	ctx := procpool.WithAttempt(procpool.WithMetadata(r, t.GetMetadata()), attempt)
	called := procpool.KindFunction
	if t.GetStreamsArgument() {
		called = procpool.KindSession
	} else if t.GetResultCredit() > 0 {
		called = procpool.KindStream
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned := false
		defer func() {
			if v := recover(); !returned {
				if l.server.fault == PanicKills {
					kill()
				}
				err = procpool.NewPanicError(nameOf(task, t, ""), v, debug.Stack())
			}
		}()
		result, err = l.call(ctx, task, t, called, codec, r.call.argument)
		returned = true
	}()
	if l.server.fault == EndsEarly {
		select {
		case <-done:
		case <-r.Done():
			return nil, r.Err()
		}
	}
	<-done
	return result, err
}

// call calls a function, a stream, a session or an actor.
func (l *lane) call(ctx context.Context, task procpool.Task, t *workerv1.Task, called procpool.Kind, codec string, argument []byte) ([]byte, error) {
	is := task.Describe().Kind
	if l.server.fault == AnyKind && is == procpool.KindFunction {
		return task.Run(ctx, codec, argument, nil)
	}
	streaming, ok := task.(procpool.StreamTask)
	switch {
	case called == procpool.KindFunction && (is == procpool.KindActor || t.GetActor() != 0):
		return l.stepActor(ctx, task, t, codec, argument)
	case called != is:
		return nil, procpool.KindError(task.Name(), called, is)
	case is == procpool.KindFunction:
		return task.Run(ctx, codec, argument, nil)
	case !ok:
		return nil, procpool.ErrUnknownTask
	}
	p := l.port
	if called == procpool.KindSession {
		p.welcome()
	}
	err := streaming.RunStream(ctx, codec, argument, p)
	p.close()
	return nil, err
}

// cancel gives a call up.
func (l *lane) cancel(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fault := l.server.fault
	switch {
	case fault == Deaf:
	case l.stop != nil && (l.running == seq || fault == HitsNext):
		l.stop()
	case seq >= l.reached:
		if fault == DeclinesEarly && l.decline(seq) {
			return
		}
		if l.marked == nil || len(l.marked) > 1000 {
			l.marked = make(map[uint64]bool) // those that never come are forgotten
		}
		l.marked[seq] = true
	}
}

// decline answers a call that waits, out of its turn.
func (l *lane) decline(seq uint64) bool {
	for i := range l.queue {
		if c := &l.queue[i]; c.seq == seq && !c.early {
			c.early = true
			l.server.post(&workerv1.WorkResponse{Outcomes: []*workerv1.Outcome{{
				Seq: seq, Lane: l.index, Result: &workerv1.Outcome_Declined{Declined: &workerv1.Declined{}},
			}}})
			return true
		}
	}
	return false
}

// wait notes that something of the running call waits for the host, until the returned
// function is called.
func (l *lane) wait() (goOn func()) {
	if l.server.fault == NeverWaits {
		return func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	seq := l.running
	if l.waits++; l.waits == 1 {
		l.page.wait()
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.running != seq || seq == 0 {
			return // end has seen to it
		}
		if l.waits--; l.waits == 0 {
			l.page.goOn()
		}
	}
}
