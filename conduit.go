package procpool

import (
	"context"
	"fmt"
	"io"
	"math"
	"sync"
)

const (
	// defaultStreamWindow and streamWindowBytes bound what a task may send ahead of
	// its reader: enough to keep both busy, little enough that nobody minds the
	// memory. One value of any size may pass while a byte is left.
	defaultStreamWindow = 4096
	streamWindowBytes   = 1 << 20
)

// A Conduit is the caller's end of the values that travel with a call of a stream
// or a session beside its argument: those that the task sends, and for a session
// those that the task receives. Each side sends only what the other has given it
// credit for, so neither buffers without bound and nobody else waits. Programs use
// [Stream.All] and [Conversation]; Conduit is for those who write executors.
//
// Its methods may be called from any goroutine and, but for Next and Push, do not
// block.
type Conduit struct {
	call *Call
	// What the task may send before it is given more credit, in values and bytes.
	window, windowBytes int64
	sink                Sink // takes what comes, for a relay; nil for a reader

	mu   sync.Mutex
	feed *Feed // what the executor has attached last, nil before
	used bool  // a value has passed, so the call can't be run again

	// The values that have come and were not taken, the credit that the task has
	// left, and what was taken and not made good yet.
	queue             [][]byte
	left, leftBytes   int64
	taken, takenBytes int64
	batch             [][]byte // the reader's
	read              int      // of batch
	ready             chan struct{}

	// For what goes to the task.
	running             bool // it has given credit, so it runs
	credit, creditBytes int64
	maxValue            int64
	room                chan struct{}
	ended, endSent      bool // there is no more; and the task has been told
}

// Far is the executor's end of a stream call that runs. Its methods are called with
// the conduit's lock held: they must neither block nor call back. They may also be
// called when the attempt has ended, and do nothing then.
type Far interface {
	// Grant lets the task send that many further values, of that many bytes.
	Grant(values, bytes int64)
	// Send sends the task one encoded value, which must not be modified
	// afterwards; end says that there are no more, and comes with no value.
	Send(value []byte, end bool)
}

// Sink takes what comes out of a relayed call at once, in place of a reader; see
// [Relay]. Its methods must not block. They may be called once more while the call
// ends.
type Sink interface {
	// Values takes values that the task has sent.
	Values(values [][]byte)
	// Credit takes credit that the task has given.
	Credit(values, bytes int64)
}

func newConduit(c *Call, window int) *Conduit {
	if window <= 0 {
		window = defaultStreamWindow
	}
	return &Conduit{call: c, window: int64(window), windowBytes: streamWindowBytes, ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// Window returns the credit with which a call of the task begins: how many values
// it may send, and of how many bytes. The byte in which its credit ends may lie in
// the middle of a value.
func (d *Conduit) Window() (values, bytes int64) { return d.window, d.windowBytes }

// TakesInput reports whether the call is one of a session, which receives values.
func (d *Conduit) TakesInput() bool { return d.call.Kind() == KindSession }

// Attach says that the call has been given to a worker, and far how to reach it. An
// executor calls it for each attempt before it sends the call. maxValue is the
// largest value that may be sent to the task in bytes, 0 for no limit.
func (d *Conduit) Attach(far Far, maxValue int64) *Feed {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.feed = &Feed{conduit: d, far: far}
	d.left, d.leftBytes = d.Window()
	d.credit, d.creditBytes, d.running, d.endSent = 0, 0, false, false
	d.maxValue = maxValue
	return d.feed
}

// detach cuts the call off from the attempt that it has, so that another can follow:
// what that one still sends is dropped, and what is sent to the task waits for the
// next. It reports false when a value has passed, which can't be taken back.
func (d *Conduit) detach() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.used {
		return false
	}
	d.feed, d.credit, d.creditBytes, d.running = nil, 0, 0, false
	return true
}

// Used reports whether a value has passed in either direction: then the call can't
// be run again without anybody noticing.
func (d *Conduit) Used() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used
}

// A Feed is where an executor puts what an attempt of a stream call sends. What
// comes from an attempt that was followed by another is dropped.
type Feed struct {
	conduit *Conduit
	far     Far
}

// Values takes values that the task has sent, in order; they must not be modified
// afterwards. It reports false when the task had no credit for them: the worker
// does not keep the contract.
func (f *Feed) Values(values [][]byte) bool {
	d := f.conduit
	d.mu.Lock()
	if d.feed != f {
		d.mu.Unlock()
		return true
	}
	for _, v := range values {
		if d.left <= 0 || d.leftBytes <= 0 {
			d.mu.Unlock()
			return false
		}
		d.left--
		d.leftBytes -= int64(len(v))
	}
	d.used = true
	wanted := !d.call.Finished()
	if wanted && d.sink == nil {
		d.queue = append(d.queue, values...)
	}
	d.mu.Unlock()
	switch {
	case !wanted:
	case d.sink != nil:
		d.sink.Values(values)
	default:
		token(d.ready)
	}
	return true
}

// Credit takes credit that the task has given for values that are sent to it.
func (f *Feed) Credit(values, bytes int64) {
	d := f.conduit
	if d.sink != nil {
		d.sink.Credit(values, bytes)
		return
	}
	d.mu.Lock()
	if d.feed == f {
		d.credit, d.creditBytes = addCredit(d.credit, values), addCredit(d.creditBytes, bytes)
		d.running = true
		d.sendEndLocked()
	}
	d.mu.Unlock()
	token(d.room)
}

// Grant gives the task further credit; [Conduit.Next] does so by itself. Relays use
// it.
func (d *Conduit) Grant(values, bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.leftBytes = addCredit(d.left, values), addCredit(d.leftBytes, bytes)
	if d.feed != nil && !d.call.Finished() {
		d.feed.far.Grant(values, bytes)
	}
}

// addCredit adds credit to what there is. Who gives more than can be counted has
// given enough.
func addCredit(have, more int64) int64 {
	if more > 0 && have > math.MaxInt64-more {
		return math.MaxInt64
	}
	return have + more
}

// Next returns the next value that the task has sent. It blocks until there is one.
// The error is io.EOF behind the last value of a call that has succeeded, the call's
// error behind the last value of one that has failed, and matches [ErrNotDone] when
// ctx ends first. One goroutine may call it at a time.
func (d *Conduit) Next(ctx context.Context) ([]byte, error) {
	value, inTime, err := d.next(ctx)
	if !inTime {
		err = notDone(ctx, fmt.Sprintf("a value of task %q", d.call.Task()))
	}
	return value, err
}

// next is Next; inTime is false when ctx has ended first.
func (d *Conduit) next(ctx context.Context) (value []byte, inTime bool, err error) {
	for d.read == len(d.batch) {
		finished := d.call.Finished() // what came before that is in the queue by now
		switch {
		case d.refill():
			continue
		case finished:
			return nil, true, d.lastWord()
		}
		select {
		case <-d.ready:
		case <-d.call.doneChan():
		case <-ctx.Done():
			return nil, false, nil
		}
	}
	value = d.batch[d.read]
	d.batch[d.read] = nil
	d.read++
	d.taken++
	d.takenBytes += int64(len(value))
	// Credit is made good by the half, so that it costs little; at least half of the
	// window is always with the task or on its way here.
	if d.taken*2 >= d.window || d.takenBytes*2 >= d.windowBytes {
		values, bytes := d.taken, d.takenBytes
		d.taken, d.takenBytes = 0, 0
		d.Grant(values, bytes)
	}
	return value, true, nil
}

// lastWord is what the reader gets behind the last value.
func (d *Conduit) lastWord() error {
	if err := d.call.err; err != nil {
		return err
	}
	return io.EOF
}

// refill takes over what has come, and reports whether that is anything.
func (d *Conduit) refill() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.batch, d.queue = d.queue, d.batch[:0]
	d.read = 0
	return len(d.batch) > 0
}

// Push sends the task a value, which must not be modified afterwards. It blocks
// while the task takes none; the error is that of the call when it has ended, and
// matches [ErrNotDone] when ctx ends first. One goroutine may call it at a time.
func (d *Conduit) Push(ctx context.Context, value []byte) error {
	for {
		if sent, err := d.tryPush(value); sent || err != nil {
			return err
		}
		select {
		case <-d.room:
		case <-d.call.doneChan():
		case <-ctx.Done():
			return notDone(ctx, fmt.Sprintf("task %q to take a value", d.call.Task()))
		}
	}
}

// tryPush sends a value if there is credit for it.
func (d *Conduit) tryPush(value []byte) (sent bool, err error) {
	if d.call.Finished() {
		return false, d.endedError()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.ended:
		return false, fmt.Errorf("procpool: a value was sent to task %q after CloseSend", d.call.Task())
	case d.credit <= 0 || d.creditBytes <= 0:
		return false, nil
	case d.maxValue > 0 && int64(len(value)) > d.maxValue:
		return false, fmt.Errorf("procpool: a value for task %q has %d bytes, at most %d are allowed (MaxPayload): %w",
			d.call.Task(), len(value), d.maxValue, ErrTooLarge)
	}
	d.credit--
	d.creditBytes -= int64(len(value))
	d.used = true
	d.feed.far.Send(value, false)
	return true, nil
}

// endedError is what those get who send to a call that is over.
func (d *Conduit) endedError() error {
	if err := d.call.err; err != nil {
		return err
	}
	return fmt.Errorf("procpool: task %q has returned and takes no more values: %w", d.call.Task(), io.EOF)
}

// End says that no more values follow for the task.
func (d *Conduit) End() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	d.sendEndLocked()
}

// sendEndLocked tells the task, if it runs, that there are no more values, if there
// are none. That costs no credit, and another attempt can be told again.
func (d *Conduit) sendEndLocked() {
	if d.running && d.ended && !d.endSent {
		d.endSent = true
		d.feed.far.Send(nil, true)
	}
}

// PushRelayed sends the task a value for which whoever relays it has seen credit, or
// says that there are no more.
func (d *Conduit) PushRelayed(value []byte, end bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.used = true
	if d.feed != nil {
		d.feed.far.Send(value, end)
	}
}
