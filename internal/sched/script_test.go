package sched_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// work is the task of these tests: it takes and returns bytes as they are.
var work = procpool.Remote[[]byte, []byte]("work", procpool.WithCodec(procpool.Raw))

// inBubble runs a test in virtual time, beside other tests.
func inBubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

// host is a scheduler under test whose workers are scripts.
type host struct {
	*sched.Scheduler
	t *testing.T

	mu       sync.Mutex
	launched []int // asked for and not started by the test yet
	events   []sched.Event
	scripts  []*script
}

// newHost makes a scheduler without workers. It is killed and looked at when the
// test ends.
func newHost(t *testing.T, change func(*sched.Config)) *host {
	t.Helper()
	h := &host{t: t}
	cfg := sched.Config{
		QueueSize: 1 << 20, QueueBytes: 1 << 40, MaxPayload: 1 << 30, CancelGrace: time.Second,
		Launch: func(number int) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.launched = append(h.launched, number)
		},
		Unknown: func(c *procpool.Call) error { return fmt.Errorf("%w: %q", procpool.ErrUnknownTask, c.Task()) },
		OnEvent: func(e sched.Event) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.events = append(h.events, e)
		},
	}
	if change != nil {
		change(&cfg)
	}
	h.Scheduler = sched.New(cfg)
	t.Cleanup(h.end)
	return h
}

// TakesPacks makes Map use packs.
func (h *host) TakesPacks() bool { return true }

// end kills what is left and checks that nothing is.
func (h *host) end() {
	h.check()
	gone, _ := h.Scheduler.Kill()
	h.mu.Lock()
	launched, scripts := h.launched, h.scripts
	h.launched = nil
	h.mu.Unlock()
	for _, number := range launched {
		h.StartFailed(number, errors.New("the test is over"))
	}
	for _, l := range scripts {
		l.exit(nil)
	}
	<-gone
	synctest.Wait()
	h.check()
	st := h.Stats()
	if st.Submitted != st.Succeeded+st.Failed+st.Cancelled+st.Refused || st.Queued+st.Running+st.Workers+st.Idle+st.Starting != 0 || st.QueuedBytes != 0 {
		h.t.Errorf("in the end the counts are %+v", st)
	}
	if n, ok := h.Watches(); !ok {
		h.t.Errorf("in the end %d contexts are watched", n)
	}
}

// Kill is the scheduler's, with the calls that it ended counted.
func (h *host) Kill() (gone <-chan struct{}, running, queued int) {
	gone, what := h.Scheduler.Kill()
	return gone, what.Running, what.Queued
}

func (h *host) check() {
	h.t.Helper()
	synctest.Wait()
	if err := h.Check(); err != nil {
		h.t.Errorf("the scheduler's accounts are wrong:\n%v", err)
	}
}

// pending returns how many workers the scheduler waits for.
func (h *host) pending() int {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.launched)
}

func (h *host) next() int {
	h.t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.launched) == 0 {
		h.t.Fatal("no worker was launched")
	}
	number := h.launched[0]
	h.launched = h.launched[1:]
	return number
}

// start has the next launched worker be ready.
func (h *host) start() *script { return h.startWith(nil) }

func (h *host) startWith(change func(*script)) *script {
	h.t.Helper()
	l := h.prepare(change)
	h.Started(l.number, l, sched.Traits{Recorder: l.recorder, Lanes: 1 + len(l.more) - l.extra, MaxLanes: 1 + len(l.more)})
	h.check()
	return l
}

// prepare makes a script for the next launched worker, which is not ready yet.
func (h *host) prepare(change func(*script)) *script {
	h.t.Helper()
	l := &script{h: h, number: h.next(), tally: tally{fence: noFence}, recorder: true, ok: true}
	if change != nil {
		change(l)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.scripts = append(h.scripts, l)
	return l
}

// grow launches a worker and has it be ready.
func (h *host) grow() *script {
	h.t.Helper()
	h.Grow(1)
	return h.start()
}

// fail has the next launched worker never be ready.
func (h *host) fail(err error) {
	h.t.Helper()
	h.StartFailed(h.next(), err)
	h.check()
}

// submit submits calls with the texts as arguments.
func (h *host) submit(texts ...string) (fs []*procpool.Future[[]byte]) {
	for _, text := range texts {
		fs = append(fs, work.Submit(context.Background(), h, []byte(text)))
	}
	return fs
}

// call is submit of a single call.
func (h *host) call(ctx context.Context, text string, opts ...procpool.Option) *procpool.Future[[]byte] {
	return work.Submit(ctx, h, []byte(text), opts...)
}

// sent is one item that a script was sent.
type sent struct {
	seq  uint64
	text string
	pack int // how many items came in the same call
}

// noFence is the fence of a worker that may start all it has.
const noFence = math.MaxUint64

// script is a worker that does what the test says.
type script struct {
	h        *host
	number   int
	index    int       // of the lane
	more     []*script // the other lanes of the worker, if this is its first,
	extra    int       // how many of them are for lending slots
	recorder bool
	ok       bool          // the fence works
	claim    time.Duration // what Progress says instead of how long the call ran, if not 0
	gate     chan struct{} // Send waits for it to close, if there is one

	mu       sync.Mutex
	items    []sent
	waiting  bool   // what Waiting says
	asked    int    // calls of Progress
	ghost    uint64 // what Fence and Progress say has started, if not 0
	onFence  func() // runs as the fence rises
	answered uint64 // the last that was answered
	exited   bool
	tally
}

// tally is what was asked of a script, and what it has done.
type tally struct {
	fence             uint64
	started, finished uint64
	startedAt         time.Time
	cancels           []uint64
	fences, unfences  int
	kills, stops      int
	hot               []bool
	entered           int // Sends that began
}

// saw returns the tally of the moment.
func (l *script) saw() tally {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.tally
	seen.cancels, seen.hot = slices.Clone(seen.cancels), slices.Clone(seen.hot)
	return seen
}

// lanes makes the script one of a worker with n lanes.
func (l *script) lanes(n int) {
	for i := 1; i < n; i++ {
		l.more = append(l.more, &script{h: l.h, number: l.number, index: i, recorder: true, ok: true, tally: tally{fence: noFence}})
	}
}

func (l *script) lane(i int) *script {
	if i == 0 {
		return l
	}
	return l.more[i-1]
}

func (l *script) PID() int { return 1000 + l.number }

func (l *script) Send(lane int, calls []*procpool.Call) {
	l = l.lane(lane)
	l.mu.Lock()
	l.entered++
	gate := l.gate
	l.mu.Unlock()
	if gate != nil {
		<-gate
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range calls {
		payload, sizes := c.Payload(), c.ItemSizes()
		if sizes == nil {
			sizes = []uint32{uint32(len(payload))}
		}
		for i, size := range sizes {
			l.items = append(l.items, sent{seq: c.Slot.Seq + uint64(i), text: string(payload[:size]), pack: len(sizes)})
			payload = payload[size:]
		}
	}
}

func (l *script) Cancel(lane int, seq uint64) {
	l = l.lane(lane)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancels = append(l.cancels, seq)
}

func (l *script) Fence(lane int, k uint64) (uint64, bool) {
	l = l.lane(lane)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fence = k
	l.fences++
	if l.onFence != nil {
		l.onFence()
	}
	return max(l.started, l.ghost), l.ok
}

func (l *script) Unfence(lane int) {
	l = l.lane(lane)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fence = noFence
	l.unfences++
}

func (l *script) Progress(lane int) (started, finished uint64, ran time.Duration) {
	l = l.lane(lane)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if l.claim != 0 {
		return max(l.started, l.ghost), l.finished, l.claim
	}
	return max(l.started, l.ghost), l.finished, time.Since(l.startedAt)
}

func (l *script) Waiting(lane int) bool {
	l = l.lane(lane)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting
}

func (l *script) SetHot(hot bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hot = append(l.hot, hot)
}

func (l *script) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stops++
}

func (l *script) Kill(error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kills++
}

// got returns the arguments that were sent so far.
func (l *script) got() (texts []string) {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range l.items {
		texts = append(texts, it.text)
	}
	return texts
}

// seq returns the number of the first call with that argument that the worker
// has not answered.
func (l *script) seq(text string) uint64 {
	l.h.t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range l.items {
		if it.text == text && it.seq > l.answered {
			return it.seq
		}
	}
	l.h.t.Fatalf("worker %d has no %q to do", l.number, text)
	return 0
}

// begin starts the call, as its worker would; false if the fence is in its way,
// and then the caller has to decline.
func (l *script) begin(text string) bool {
	l.h.t.Helper()
	seq := l.seq(text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq > l.fence {
		return false
	}
	l.started, l.startedAt = seq, time.Now()
	return true
}

// answer starts what was not started, and answers the calls in one batch; what
// the fence keeps from starting it declines.
func (l *script) answer(run time.Duration, texts ...string) {
	l.h.t.Helper()
	var batch []sched.Reply
	for _, text := range texts {
		batch = append(batch, l.finish(l.seq(text), text, run))
	}
	l.reply(batch...)
}

// answerAll is answer for all that was sent and not answered yet.
func (l *script) answerAll(run time.Duration) {
	l.h.t.Helper()
	synctest.Wait()
	l.mu.Lock()
	items := slices.Clone(l.items)
	l.mu.Unlock()
	var batch []sched.Reply
	for _, it := range items {
		if it.seq > l.answered {
			batch = append(batch, l.finish(it.seq, it.text, run))
		}
	}
	l.reply(batch...)
}

func (l *script) finish(seq uint64, text string, run time.Duration) sched.Reply {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered = seq
	if seq > l.started && seq > l.fence {
		return sched.Reply{Lane: uint32(l.index), Seq: seq, Kind: sched.Declined}
	}
	l.started, l.finished = max(l.started, seq), seq
	return sched.Reply{Lane: uint32(l.index), Seq: seq, Data: []byte(text), Run: run}
}

func (l *script) decline(texts ...string) {
	l.h.t.Helper()
	var batch []sched.Reply
	for _, text := range texts {
		seq := l.seq(text)
		l.mu.Lock()
		l.answered = seq
		l.mu.Unlock()
		batch = append(batch, sched.Reply{Seq: seq, Kind: sched.Declined})
	}
	l.reply(batch...)
}

// reply gives answers that have to make sense.
func (l *script) reply(batch ...sched.Reply) {
	l.h.t.Helper()
	if !l.h.Replies(l.number, batch) {
		l.h.t.Errorf("worker %d: %+v makes no sense to the scheduler", l.number, batch)
	}
	l.h.check()
}

// nonsense gives answers that can't make sense.
func (l *script) nonsense(batch ...sched.Reply) {
	l.h.t.Helper()
	if l.h.Replies(l.number, batch) {
		l.h.t.Errorf("worker %d: %+v makes sense to the scheduler", l.number, batch)
	}
	l.h.check()
}

// exit reports the end of the worker, once.
func (l *script) exit(change func(*sched.Report)) {
	l.mu.Lock()
	r := sched.Report{
		Crash: procpool.CrashError{Worker: l.number, PID: l.PID(), ExitCode: -1, Signal: "SIGKILL", Reason: "signal: killed"},
		Lanes: []sched.LaneReport{{Started: l.started, Finished: l.finished}}, PageOK: l.recorder,
	}
	for _, other := range l.more {
		r.Lanes = append(r.Lanes, sched.LaneReport{Started: other.started, Finished: other.finished})
	}
	was := l.exited
	l.exited = true
	l.mu.Unlock()
	if was {
		return
	}
	if change != nil {
		change(&r)
	}
	l.h.Exited(l.number, r)
}

// die is exit of a worker in the middle of a test.
func (l *script) die() {
	l.h.t.Helper()
	l.exit(nil)
	l.h.check()
}

// wantSent compares what a worker was sent, from the first item on.
func (l *script) wantSent(texts ...string) {
	l.h.t.Helper()
	if got := l.got(); !slices.Equal(got, texts) {
		l.h.t.Errorf("worker %d was sent %q, want %q", l.number, got, texts)
	}
}
