package sched_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/procpool/procpool"
	"github.com/procpool/procpool/internal/sched"
)

// kind is what a call of the model does.
type kind int

const (
	succeeds kind = iota
	fails
	crashes
	deaf  // goes on until it is killed
	nests // makes calls of its own and waits for them
)

// record is what the model knows of one call. world.mu guards it.
type record struct {
	w    *world
	id   int
	text string
	kind kind
	run  time.Duration
	key  string
	as   *manner
	seat int // its place among those of its manner

	starts    int
	noted     int  // how many recorders say that it started
	seen      bool // one of them did for a while, at least
	notedAt   time.Time
	running   *modelLane
	refused   bool // a worker heard that it was given up before it ran it
	plain     bool // a worker without a recorder ran it
	finished  bool // its function returned
	forbidden bool // it was cancelled before it had started
	blind     bool // it was aboard a dead worker whose page was of no use
	aboard    int  // dead workers that had been sent it and had not started it

	depth     int  // how many calls it is nested in
	stream    bool // its kind is not that of a function
	lent      bool // its attempt has made nested calls
	abandoned bool // if it is nested: its caller may have given it up
	posted    bool // likewise: the host has heard of it
	outcomes  int  // likewise: how many it has had
}

// world is a scheduler with everything around it that can go wrong.
type world struct {
	t    *testing.T
	s    *sched.Scheduler
	seed uint64
	all  sync.WaitGroup // every goroutine of the model but the submitters

	// The chances of things going wrong.
	noRecorder, badPage, failedStart, killEvery, nesting float64

	mu      sync.Mutex
	streams uint64
	calls   []*record
	workers map[int]*modelWorker
	active  map[string]*record // the last that ran, by key
	closed  bool

	slots, moreLanes, maxCalls int
}

// rand returns a source of chance for one goroutine.
func (w *world) rand() *rand.Rand {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.randLocked()
}

func (w *world) randLocked() *rand.Rand {
	w.streams++
	return rand.New(rand.NewPCG(w.seed, w.streams))
}

// TakesPacks and Enqueue make the world an executor.
func (w *world) TakesPacks() bool { return true }

func (w *world) Enqueue(ctx context.Context, first *procpool.Call, n int) {
	w.s.Enqueue(ctx, first, n)
}

// newCall makes a call; its argument names it.
func (w *world) newCall(rng *rand.Rand, k kind, as *manner) *record {
	r := &record{w: w, kind: k, run: runTime(rng), as: as}
	if as.keyed {
		r.key = strconv.Itoa(rng.IntN(6))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	as.seats++
	r.seat = as.seats
	r.id = len(w.calls)
	w.calls = append(w.calls, r)
	r.text = strconv.Itoa(r.id)
	if rng.IntN(10) == 0 {
		r.text += strings.Repeat(" ", rng.IntN(2*sched.InlineBytes))
	}
	return r
}

func runTime(rng *rand.Rand) time.Duration {
	switch rng.IntN(12) {
	case 0:
		return time.Duration(rng.IntN(20)) * time.Millisecond
	case 1, 2, 3:
		return time.Duration(rng.IntN(800)) * time.Microsecond
	default:
		return time.Duration(rng.IntN(15)) * time.Microsecond
	}
}

func (w *world) lookUp(text string) *record {
	id, err := strconv.Atoi(strings.TrimRight(text, " "))
	if err != nil {
		panic(err)
	}
	return w.calls[id]
}

// launch starts a worker, or fails to.
func (w *world) launch(number int) {
	w.all.Go(func() {
		rng := w.rand()
		<-time.After(time.Duration(rng.IntN(3000)) * time.Microsecond)
		if rng.Float64() < w.failedStart {
			w.s.StartFailed(number, errStart)
			return
		}
		m := newModelWorker(w, number)
		w.mu.Lock()
		w.workers[number] = m
		w.mu.Unlock()
		w.s.Started(number, m, sched.Traits{Recorder: m.recorder, Lanes: m.slots, MaxLanes: len(m.lanes)})
		close(m.registered)
	})
}

// killer kills workers at random moments until stop is closed.
func (w *world) killer(stop chan struct{}) {
	rng := w.rand()
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rng.ExpFloat64() * w.killEvery * float64(time.Millisecond))):
		}
		w.mu.Lock()
		var victim *modelWorker
		for _, m := range w.workers { // in random order
			victim = m
			break
		}
		w.mu.Unlock()
		if victim != nil {
			victim.die()
		}
	}
}

// checker recounts the scheduler's accounts until stop is closed.
func (w *world) checker(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(700 * time.Microsecond):
		}
		synctest.Wait()
		if err := w.s.Check(); err != nil {
			w.t.Errorf("the scheduler's accounts are wrong:\n%v", err)
			return
		}
	}
}

// end says what may have given a call up, and whether it is nested.
type end struct{ cancelled, noWait, nested bool }

// judge checks that a call's outcome is one that it can have.
func (w *world) judge(r *record, out []byte, err error, e end) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var (
		te *procpool.TaskError
		ce *procpool.CrashError
		se *procpool.StartError
		to *procpool.TimeoutError
	)
	fine := false
	switch {
	case err == nil:
		fine = (r.kind == succeeds || r.kind == nests) && r.finished && string(out) == r.text
	case errors.As(err, &to):
		fine = r.as.timeout > 0 && (r.plain || r.seen && time.Since(r.notedAt) >= r.as.timeout)
		if fine && r.running != nil && !r.plain {
			fine = r.running.ranLocked() >= r.as.timeout
		}
	case errors.As(err, &te):
		fine = r.kind == fails && r.finished
	case errors.As(err, &ce):
		// Noted as started in a worker that died; or nobody could know; or it
		// was aboard too often to be innocent.
		fine = r.noted > 0 || r.blind || r.aboard > sched.SuspectAfter
		if fine && !r.blind && r.noted == r.starts && ce.Finished != r.finished {
			fine = false
		}
		if poison := errors.Is(err, procpool.ErrPoison); poison != (r.as.reruns > 0) && (poison || !e.cancelled) {
			fine = false
		}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		fine = e.cancelled
	case errors.Is(err, procpool.ErrQueueFull):
		fine = e.noWait && r.starts == 0
	case errors.Is(err, procpool.ErrNestingLimit):
		fine = e.nested && r.starts == 0
	case errors.Is(err, procpool.ErrClosed):
		fine = w.closed
	case errors.Is(err, errStart), errors.As(err, &se):
		fine = r.starts == 0 || r.as.reruns > 0
	}
	if !fine {
		shown := *r
		shown.text, shown.w = "", nil
		w.t.Errorf("call %+v of %+v ended with %.20q, %v", shown, *r.as, out, err)
	}
}

// tasks differ in what the scheduler learns of their run times.
func tasks() []*procpool.Func[[]byte, []byte] {
	var all []*procpool.Func[[]byte, []byte]
	for i := range 3 {
		all = append(all, procpool.Remote[[]byte, []byte](fmt.Sprintf("task%d", i), procpool.WithCodec(procpool.Raw)))
	}
	return all
}

// submitter makes calls of all sorts, one group after the other.
func (w *world) submitter(groups int) {
	rng := w.rand()
	all := tasks()
	for range groups {
		as := newManner(rng)
		task := w.inManner(all[rng.IntN(len(all))], as)
		switch n := rng.IntN(6); {
		case n == 0:
			w.mapGroup(rng, task, as)
		case n == 1 && w.killEvery > 0:
			w.deafCall(rng, task, as)
		default:
			w.burst(rng, task, as)
		}
		if rng.IntN(3) == 0 {
			<-time.After(time.Duration(rng.IntN(4000)) * time.Microsecond)
		}
	}
}

func (w *world) kindOf(rng *rand.Rand, as *manner) kind {
	if rng.Float64() < w.nesting {
		return nests
	}
	switch n := rng.IntN(40); {
	case n == 0 && w.killEvery > 0:
		return crashes
	case n < 3:
		return fails
	case n == 3 && as.timeout > 0 && w.killEvery > 0:
		return deaf
	default:
		return succeeds
	}
}

// contextOf returns a context for a group of calls; given says whether it may end
// before they do.
func (w *world) contextOf(rng *rand.Rand) (ctx context.Context, cancel context.CancelFunc, given bool) {
	switch rng.IntN(4) {
	case 0:
		ctx, cancel = context.WithTimeout(context.Background(), time.Duration(rng.IntN(8000))*time.Microsecond)
		return ctx, cancel, true
	case 1:
		ctx, end := context.WithCancel(context.Background())
		if rng.IntN(2) == 0 {
			after := time.AfterFunc(time.Duration(rng.IntN(5000))*time.Microsecond, end)
			return ctx, func() { after.Stop(); end() }, true
		}
		return ctx, end, false
	default:
		return context.Background(), func() {}, false
	}
}

// burst submits some calls, cancels some of them, and waits for all.
func (w *world) burst(rng *rand.Rand, task *procpool.Func[[]byte, []byte], as *manner) {
	ctx, cancel, ends := w.contextOf(rng)
	defer cancel()
	noWait := rng.IntN(4) == 0
	if noWait {
		task = task.With(procpool.NoWait())
	}
	n := 1 + rng.IntN(1<<rng.IntN(8))
	type submitted struct {
		r *record
		f *procpool.Future[[]byte]
		e end
	}
	var calls []submitted
	for range n {
		r := w.newCall(rng, w.kindOf(rng, as), as)
		calls = append(calls, submitted{r, task.Submit(ctx, w, []byte(r.text)), end{cancelled: ends, noWait: noWait}})
		if rng.IntN(12) == 0 {
			c := &calls[rng.IntN(len(calls))]
			c.e.cancelled = w.cancel(c.r, c.f) || c.e.cancelled
		}
	}
	for range rng.IntN(3) {
		<-time.After(time.Duration(rng.IntN(300)) * time.Microsecond)
		c := &calls[rng.IntN(len(calls))]
		c.e.cancelled = w.cancel(c.r, c.f) || c.e.cancelled
	}
	for _, c := range calls {
		out, err := c.f.Result(context.Background())
		w.judge(c.r, out, err, c.e)
	}
}

// cancel cancels a call; if that resolves it before it has started it must never
// start.
func (w *world) cancel(r *record, f *procpool.Future[[]byte]) bool {
	if !f.Cancel() {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.noted == 0 && r.starts == 0 {
		r.forbidden = true
	}
	return true
}

// deafCall makes a call that goes on until its worker is killed for it.
func (w *world) deafCall(rng *rand.Rand, task *procpool.Func[[]byte, []byte], as *manner) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.IntN(3000))*time.Microsecond)
	defer cancel()
	r := w.newCall(rng, deaf, as)
	out, err := task.Call(ctx, w, []byte(r.text))
	w.judge(r, out, err, end{cancelled: true})
}

// mapGroup runs a Map, and sometimes leaves it early.
func (w *world) mapGroup(rng *rand.Rand, task *procpool.Func[[]byte, []byte], as *manner) {
	ctx, cancel, ends := w.contextOf(rng)
	defer cancel()
	n := rng.IntN(400)
	leaveAt := -1
	if rng.IntN(4) == 0 {
		leaveAt = rng.IntN(n + 1)
	}
	feed := w.rand()
	var pulled []*record // written by the feeder before its results can come
	var mu sync.Mutex
	in := func(yield func([]byte) bool) {
		for range n {
			r := w.newCall(feed, w.kindOf(feed, as), as)
			mu.Lock()
			pulled = append(pulled, r)
			mu.Unlock()
			if !yield([]byte(r.text)) {
				return
			}
		}
	}
	i := 0
	for out, err := range task.Map(ctx, w, in) {
		mu.Lock()
		var r *record
		if i < len(pulled) {
			r = pulled[i]
		}
		mu.Unlock()
		if r != nil {
			w.judge(r, out, err, end{cancelled: ends})
		} else if err == nil {
			w.t.Errorf("item %d of %d came out of a map of %d", i, len(pulled), n)
		}
		if i++; i == leaveAt {
			return
		}
	}
}

// close takes no more calls.
func (w *world) close(how func()) {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	how()
}
